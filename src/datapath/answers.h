// ICMP errors that the tunnel's entrance owes an inner sender; written back to the TUN, so that the host forwards or
// takes them.
#pragma once

#include <array>

#include "datapath/context.h"
#include "net/icmp.h"

namespace adit::datapath {

class Answers {
 public:
  // About `offending`, an inner packet or its beginning, that came to that link from the host. Silent when too many
  // were sent lately, when the rules of ICMP forbid an answer, or when the device does not take it. The entrance may
  // have no inner address of its own, so the error seems to come from where the packet was to go: that address is
  // routed through the tunnel, and reverse path filters find it there.
  void send(const Context& context, tunnel::LinkId link, ByteSpan offending, const net::IcmpError& error);

 private:
  net::TokenBucket bucket_{100, 20};
  std::array<uint8_t, net::kMaxIcmpError> buffer_;
};

}  // namespace adit::datapath
