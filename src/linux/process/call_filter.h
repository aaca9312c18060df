// The system calls' part of the cage.
#pragma once

#include "base/result.h"
#include "linux/process/daemon_limits.h"

namespace adit::platform {

// For every thread of the process. An error: this kernel has no filters, or takes none here.
Result<> filter_calls(CageRules::Calls calls);

}  // namespace adit::platform
