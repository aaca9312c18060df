// What a service does when svcadm asks. The classes that do the work give these to Services (engine/engine.cpp wires
// them).
#pragma once

#include <functional>

#include "base/result.h"
#include "control/types.h"

namespace adit::engine {

struct ServiceMethods {
  // start: enable and boot; refresh: refresh and restart (decision 9: the same atomic replacement); stop: disable. An
  // error puts the service into maintenance with the error's text as reason; what stood before still stands.
  std::function<Result<Outcome>()> start, refresh, stop;
};

}  // namespace adit::engine
