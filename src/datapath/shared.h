// What the workers share with each other and with the engine.
#pragma once

#include "datapath/events.h"
#include "datapath/snapshot.h"

namespace adit::datapath {

struct Shared {  // outlives every worker
  Publisher publisher;
  EventQueue events;
  TraceTap trace;
};

}  // namespace adit::datapath
