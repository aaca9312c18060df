// A folder below one that root alone may enter (`aditd -R /root/site`), for a daemon that is no longer root.
#pragma once

#include <string>
#include <vector>

#include "linux/process/privileges.h"

namespace adit::platform {

// Makes them reachable for the user, where they are not: in a mount namespace of this process's own, in which an empty
// folder stands in for the closed one and leads to these. Their paths stay, and nobody else sees it. Where that does
// not succeed (CAP_SYS_ADMIN) the program stays root, and `own` says why. Call before threads are started.
void make_reachable(const Role& role, OwnUser& own, const std::vector<std::string>& folders);

}  // namespace adit::platform
