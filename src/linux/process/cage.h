// The cage of a daemon: what the kernel refuses it however it was talked into it. Files by Landlock, system calls by
// seccomp. It is closed before threads are started and before anything that others sent is read, and never opens.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "linux/process/daemon_limits.h"

namespace adit::platform {

// Sentences about what this kernel lacks or refuses, so that a part of the cage stays open: a daemon that did not start
// would protect less. Sets no_new_privs and takes the signal SIGSYS.
//
// A call that has no business in such a process (starting programs, mounting, tracing, modules, bpf, changing users)
// ends it: that is an attack, and closed is what stays behind. Any other call that is not on the list may be a gap of
// the list (another libc, another resolver module): it fails with EPERM, the process lives, and refused_calls() tells.
std::vector<std::string> close_cage(const CageRules& rules);

// A sentence for each system call that was refused since the last asking; each call once. Any thread.
std::vector<std::string> refused_calls();

}  // namespace adit::platform
