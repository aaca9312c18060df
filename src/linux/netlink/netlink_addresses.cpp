#include "linux/netlink/netlink_addresses.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace adit::platform {
namespace {

NetlinkMessage address_message(uint16_t type, uint16_t flags, int interface_index, const net::Prefix& local,
                               const std::optional<net::Address>& peer) {
  NetlinkMessage message(type, flags);
  auto* header = message.header<ifaddrmsg>();
  header->ifa_family = local.address().is_v4() ? AF_INET : AF_INET6;
  header->ifa_prefixlen = peer ? net::address_bits(peer->family()) : local.length();
  header->ifa_index = static_cast<uint32_t>(interface_index);
  header->ifa_scope = local.address().is_link_local() && !local.address().is_v4() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  message.put_address(IFA_LOCAL, local.address());
  message.put_address(IFA_ADDRESS, peer ? *peer : local.address());
  return message;
}

}  // namespace

// IFA_LOCAL is ours; IFA_ADDRESS is the peer's, or ours again. IPv6 without peer has IFA_ADDRESS only.
std::optional<AddressInfo> parse_address(const nlmsghdr& message) {
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) return std::nullopt;
  const auto* header = static_cast<const ifaddrmsg*>(nlmsg_data(&message));
  const auto find = [&](int type) { return find_attribute(message, sizeof(ifaddrmsg), type); };
  const auto address = attribute_address(find(IFA_ADDRESS));
  const auto local = attribute_address(find(IFA_LOCAL));
  if (!address || header->ifa_prefixlen > net::address_bits(address->family())) return std::nullopt;
  AddressInfo info;
  info.interface_index = static_cast<int>(header->ifa_index);
  info.local = net::Prefix(local ? *local : *address, header->ifa_prefixlen);
  if (local && *local != *address) info.peer = *address;
  const uint32_t flags = attribute_u32(find(IFA_FLAGS), header->ifa_flags);
  info.tentative = flags & IFA_F_TENTATIVE;
  info.duplicate = flags & IFA_F_DADFAILED;
  info.deprecated = flags & IFA_F_DEPRECATED;
  info.temporary =
      address->family() == net::Family::v6 && (flags & IFA_F_TEMPORARY);  // the same bit is "secondary" in IPv4
  return info;
}

Result<std::vector<AddressInfo>> list_addresses(Netlink& netlink) {
  NetlinkMessage message(RTM_GETADDR, NLM_F_DUMP);
  message.header<ifaddrmsg>()->ifa_family = AF_UNSPEC;
  std::vector<AddressInfo> addresses;
  TRY(netlink.query(
      message,
      [&](const nlmsghdr& answer) {
        if (answer.nlmsg_type != RTM_NEWADDR) return;
        if (const auto address = parse_address(answer)) addresses.push_back(*address);
      },
      [&] { addresses.clear(); }));
  return addresses;
}

Result<> add_address(Netlink& netlink, int interface_index, const net::Prefix& local,
                     const std::optional<net::Address>& peer) {
  NetlinkMessage message = address_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, interface_index, local, peer);
  if (!local.address().is_v4()) message.put_u32(IFA_FLAGS, IFA_F_NODAD);
  const auto done = netlink.request(message);
  if (done || done.error().code == EEXIST) return {};
  return fail(done.error().code, "cannot set address {}: {}", local.str(), done.error().text);
}

Result<> remove_address(Netlink& netlink, int interface_index, const net::Prefix& local,
                        const std::optional<net::Address>& peer) {
  NetlinkMessage message = address_message(RTM_DELADDR, 0, interface_index, local, peer);
  const auto done = netlink.request(message);
  if (done || done.error().code == EADDRNOTAVAIL || done.error().code == ENODEV) return {};
  return fail(done.error().code, "cannot remove address {}: {}", local.str(), done.error().text);
}

}  // namespace adit::platform
