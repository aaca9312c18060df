#include "linux/netlink/netlink_links.h"

#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace adit::platform {
namespace {

constexpr uint8_t kAddressesByNobody = 1;  // IN6_ADDR_GEN_MODE_NONE

std::string text_of(const nlattr* attribute) {
  if (!attribute) return {};
  const auto* text = static_cast<const char*>(nla_data(attribute));
  return {text, strnlen(text, static_cast<size_t>(nla_len(attribute)))};
}

const nlattr* inner(const nlattr* nest, int type) {
  return nest ? nla_find(static_cast<const nlattr*>(nla_data(nest)), nla_len(nest), type) : nullptr;
}

void parse_tun(const nlattr* link_info, LinkDetail& link) {
  if (text_of(inner(link_info, IFLA_INFO_KIND)) != "tun") return;
  const nlattr* data = inner(link_info, IFLA_INFO_DATA);
  const nlattr* type = inner(data, IFLA_TUN_TYPE);
  link.info.is_tun = type && nla_len(type) >= 1 && nla_get_u8(type) == IFF_TUN;
  link.queues_in_use = attribute_u32(inner(data, IFLA_TUN_NUM_QUEUES), 0);
  const nlattr* persist = inner(data, IFLA_TUN_PERSIST);
  link.persistent = persist && nla_len(persist) >= 1 && nla_get_u8(persist) != 0;
  link.for_users = inner(data, IFLA_TUN_OWNER) || inner(data, IFLA_TUN_GROUP);
  // A device that once was single-queue says nothing of its queues, and is none of ours anyway.
}

void put_address_mode(NetlinkMessage& message) {
  nlattr* families = message.begin_nest(IFLA_AF_SPEC | NLA_F_NESTED);
  nlattr* v6 = message.begin_nest(AF_INET6 | NLA_F_NESTED);
  message.put_u8(IFLA_INET6_ADDR_GEN_MODE, kAddressesByNobody);
  message.end_nest(v6);
  message.end_nest(families);
}

InterfaceCounters parse_counters(const nlattr* attribute) {
  rtnl_link_stats64 stats{};
  if (attribute == nullptr) return {};
  std::memcpy(&stats, nla_data(attribute), std::min(sizeof stats, static_cast<size_t>(nla_len(attribute))));
  return {stats.rx_packets, stats.rx_bytes,  stats.rx_errors, stats.tx_packets,
          stats.tx_bytes,   stats.tx_errors, stats.tx_dropped};
}

Result<> said_of(const std::string& name, Result<> result) {
  if (result) return result;
  return fail(result.error().code, "{}: {}", name, result.error().text);
}

}  // namespace

std::optional<LinkDetail> parse_link(const nlmsghdr& message) {
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg))) return std::nullopt;
  const auto* header = static_cast<const ifinfomsg*>(nlmsg_data(&message));
  const auto find = [&](int type) { return find_attribute(message, sizeof(ifinfomsg), type); };
  LinkDetail link;
  InterfaceInfo& info = link.info;
  info.index = header->ifi_index;
  info.name = text_of(find(IFLA_IFNAME));
  info.up = header->ifi_flags & IFF_UP;
  info.loopback = header->ifi_flags & IFF_LOOPBACK;
  info.point_to_point = header->ifi_flags & IFF_POINTOPOINT;
  info.multicast = header->ifi_flags & IFF_MULTICAST;
  info.broadcast = header->ifi_flags & IFF_BROADCAST;
  info.mtu = attribute_u32(find(IFLA_MTU), 0);
  const nlattr* carrier = find(IFLA_CARRIER);
  info.carrier = carrier && nla_len(carrier) >= 1 && nla_get_u8(carrier) != 0;
  info.counters = parse_counters(find(IFLA_STATS64));
  parse_tun(find(IFLA_LINKINFO), link);
  info.ours = info.is_tun && attribute_u32(find(IFLA_GROUP), 0) == kLinkGroup;
  return link;
}

Result<std::vector<LinkDetail>> list_links(Netlink& netlink) {
  NetlinkMessage message(RTM_GETLINK, NLM_F_DUMP);
  message.header<ifinfomsg>()->ifi_family = AF_UNSPEC;
  std::vector<LinkDetail> links;
  TRY(netlink.query(
      message,
      [&](const nlmsghdr& answer) {
        if (answer.nlmsg_type != RTM_NEWLINK) return;
        if (auto link = parse_link(answer)) links.push_back(std::move(*link));
      },
      [&] { links.clear(); }));
  return links;
}

namespace {

Result<LinkDetail> ask_for_link(Netlink& netlink, NetlinkMessage& message, const std::string& which) {
  std::optional<LinkDetail> found;
  const auto asked = netlink.query(message, [&](const nlmsghdr& answer) { found = parse_link(answer); });
  if (!asked && asked.error().code != ENODEV) return fail(asked.error().code, "{}: {}", which, asked.error().text);
  if (!asked || !found) return fail(ENODEV, "{}: no such interface", which);
  return *found;
}

}  // namespace

Result<LinkDetail> get_link(Netlink& netlink, const std::string& name) {
  if (name.size() >= IFNAMSIZ) return fail(ENODEV, "{}: no such interface", name);  // the kernel's word is ERANGE
  NetlinkMessage message(RTM_GETLINK, 0);
  message.header<ifinfomsg>()->ifi_family = AF_UNSPEC;
  message.put_string(IFLA_IFNAME, name);
  return ask_for_link(netlink, message, name);
}

Result<LinkDetail> get_link(Netlink& netlink, int index) {
  NetlinkMessage message(RTM_GETLINK, 0);
  auto* header = message.header<ifinfomsg>();
  header->ifi_family = AF_UNSPEC;
  header->ifi_index = index;
  return ask_for_link(netlink, message, fmt::format("interface {}", index));
}

Result<> change_link(Netlink& netlink, const std::string& name, const LinkChange& change) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* header = message.header<ifinfomsg>();
  header->ifi_family = AF_UNSPEC;
  if (change.up) {
    header->ifi_change = IFF_UP;
    header->ifi_flags = *change.up ? IFF_UP : 0;
  }
  if (change.name) {  // IFLA_IFNAME is the new name then; the old is found by number
    TRY_ASSIGN(const LinkDetail link, get_link(netlink, name));
    header->ifi_index = link.info.index;
  }
  message.put_string(IFLA_IFNAME, change.name ? *change.name : name);
  if (change.mtu) message.put_u32(IFLA_MTU, *change.mtu);
  if (change.group) message.put_u32(IFLA_GROUP, *change.group);
  if (change.queue_packets) message.put_u32(IFLA_TXQLEN, *change.queue_packets);
  if (change.gso_bytes) message.put_u32(IFLA_GSO_MAX_SIZE, *change.gso_bytes);
  if (change.gso_segments) message.put_u32(IFLA_GSO_MAX_SEGS, *change.gso_segments);
  if (change.carrier) message.put_u8(IFLA_CARRIER, *change.carrier ? 1 : 0);
  if (change.no_automatic_addresses) put_address_mode(message);
  return said_of(name, netlink.request(message));
}

Result<> delete_link(Netlink& netlink, const std::string& name) {
  NetlinkMessage message(RTM_DELLINK, 0);
  message.header<ifinfomsg>()->ifi_family = AF_UNSPEC;
  message.put_string(IFLA_IFNAME, name);
  return said_of(name, netlink.request(message));
}

Result<> use_no_queue(Netlink& netlink, int index) {
  NetlinkMessage message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE);
  auto* header = message.header<tcmsg>();
  header->tcm_family = AF_UNSPEC;
  header->tcm_ifindex = index;
  header->tcm_parent = TC_H_ROOT;
  message.put_string(TCA_KIND, "noqueue");
  return netlink.request(message);
}

}  // namespace adit::platform
