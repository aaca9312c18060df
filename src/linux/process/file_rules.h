// The files' part of the cage.
#pragma once

#include "base/result.h"
#include "linux/process/daemon_limits.h"

namespace adit::platform {

// For the calling thread and those that it starts. ENOSYS: this kernel has no Landlock.
Result<> restrict_files(const CageRules& rules);

}  // namespace adit::platform
