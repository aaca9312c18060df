// IP addresses of interfaces by rtnetlink.
#pragma once

#include <optional>
#include <vector>

#include "linux/netlink/netlink_socket.h"
#include "linux/platform/platform.h"

namespace adit::platform {

Result<std::vector<AddressInfo>> list_addresses(Netlink& netlink);
// One RTM_NEWADDR or RTM_DELADDR, of an answer or of a notice. nullopt: it says no address.
std::optional<AddressInfo> parse_address(const nlmsghdr& message);
// Without duplicate address detection: a tunnel has none to ask, and a tentative address would not be usable at once.
// An address that is there: success. ENODEV; EADDRNOTAVAIL.
Result<> add_address(Netlink& netlink, int interface_index, const net::Prefix& local,
                     const std::optional<net::Address>& peer);
Result<> remove_address(Netlink& netlink, int interface_index, const net::Prefix& local,
                        const std::optional<net::Address>& peer);  // one that is not there: success

}  // namespace adit::platform
