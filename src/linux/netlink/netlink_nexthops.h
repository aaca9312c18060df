// Nexthop objects (`ip nexthop`) by rtnetlink: what a route that names one by its id goes by.
#pragma once

#include <cstdint>
#include <vector>

#include "linux/netlink/netlink_socket.h"
#include "linux/platform/platform.h"

namespace adit::platform {

// Gives the hops to routes that have none and name an object in `ids`, which stands beside `routes`, an id a route, 0:
// none. Of a group all members', each once. An object that is not there any more gives none.
Result<> resolve_nexthops(Netlink& netlink, std::vector<Route>& routes, const std::vector<uint32_t>& ids);

}  // namespace adit::platform
