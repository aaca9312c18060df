// The switch for a person at the machine's console: `adit.guard=off` on the kernel's command line. For this boot no
// layer of the guard is raised, so that nobody is locked out of a host by what is closed. The book stays as it is.
#pragma once

#include <string>

namespace adit::platform {

// The word stands there by itself. A command line that cannot be read switches nothing off.
bool guard_switched_off(const std::string& command_line = "/proc/cmdline");

inline constexpr const char* kGuardSwitchedOff =
    "the guard is switched off by adit.guard=off on the kernel's command line: until a boot without it no network is "
    "closed, what is for one leaves in the clear wherever a route leads, and secured tunnels stay down";

}  // namespace adit::platform
