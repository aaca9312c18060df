// The pair for IKE on UDP port 4500 (ike/door/frame.h): the workers' end, and the one for in.iked.
#pragma once

#include <memory>

#include "base/result.h"
#include "ike/door/port.h"
#include "linux/process/descriptor.h"

namespace adit::platform {

// What waits in each direction is bounded by this (the kernel doubles it, and counts its own bookkeeping: 300 to 700
// short messages), so a reader that stops costs that and no more.
constexpr int kIkePairBytes = 256 << 10;

struct IkePair {
  std::shared_ptr<ike::Port> port;
  Descriptor far;  // non-blocking
};
// EMFILE, ENFILE, ENOMEM.
Result<IkePair> make_ike_pair();

}  // namespace adit::platform
