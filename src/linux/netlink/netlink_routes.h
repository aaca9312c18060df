// Routes by rtnetlink.
#pragma once

#include <functional>
#include <vector>

#include "linux/netlink/netlink_socket.h"
#include "linux/platform/platform.h"

namespace adit::platform {

// Unicast, unreachable (prohibit too) and blackhole routes of all tables, with all hops of each.
Result<std::vector<Route>> list_routes(Netlink& netlink, net::Family family);

// `onlink`: the gateway need not be reachable itself, as behind a tunnel. Errors as Platform::add_route.
Result<> add_route(Netlink& netlink, const Route& route, bool onlink);
Result<> remove_route(Netlink& netlink, const Route& route);  // ESRCH

// What the kernel does with a packet of this host to `destination` under `mark`. EHOSTUNREACH: an unreachable route;
// ENETUNREACH.
Result<Route> lookup_route(Netlink& netlink, const net::Address& destination, uint32_t mark);

// Any RTM_NEWROUTE or RTM_DELROUTE; nullopt: too short, a cache entry, or of a type named nowhere above.
std::optional<Route> parse_route(const nlmsghdr& message);

// "10.0.1.0/24 via 10.0.1.1", for messages to the operator.
std::string describe_route(const Route& route);

}  // namespace adit::platform
