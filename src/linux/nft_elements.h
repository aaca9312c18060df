// Elements of the guard's sets put and taken by nfnetlink itself: a tenth of a millisecond, where the nft program takes
// ten. A thousand tunnels are made one after another, and each has its guard before its route.
#pragma once

#include "linux/guard_ranges.h"
#include "linux/netlink_socket.h"

namespace adit::platform {

// One transaction: all of it or none. `nfnetlink` is a NETLINK_NETFILTER socket. ENOENT: the table is not there.
Result<> change_guard_elements(Netlink& nfnetlink, const std::vector<GuardDifference>& differences);

}  // namespace adit::platform
