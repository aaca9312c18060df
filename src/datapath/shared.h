// What the workers share with each other and with the engine.
#pragma once

#include <functional>

#include "datapath/events.h"
#include "datapath/snapshot.h"

namespace adit::datapath {

// A datagram behind the non-ESP marker (RFC 3948 §2.2), the marker taken off. Valid during the call.
struct IkeDatagram {
  net::Address source, destination;
  uint16_t source_port = 0;
  ByteSpan bytes;
};

struct Shared {  // outlives every worker
  Publisher publisher;
  EventQueue events;
  TraceTap trace;
  std::function<void(const IkeDatagram&)>
      ike_sink;  // set before workers start; called on a worker's thread; may be empty
};

}  // namespace adit::datapath
