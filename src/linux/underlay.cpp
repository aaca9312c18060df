#include "linux/underlay.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

#include "linux/netlink_routes.h"

namespace adit::platform {
namespace {

const rtmsg& route_header(const nlmsghdr& message) {
  return *static_cast<const rtmsg*>(nlmsg_data(&message));
}

uint32_t table_of(const nlmsghdr& message) {
  return attribute_u32(find_attribute(message, sizeof(rtmsg), RTA_TABLE), route_header(message).rtm_table);
}

// Any next hop over one of these interfaces.
bool uses(const nlmsghdr& message, const std::set<int>& interfaces) {
  const auto index = static_cast<int>(attribute_u32(find_attribute(message, sizeof(rtmsg), RTA_OIF), 0));
  if (interfaces.contains(index)) return true;
  const nlattr* multipath = find_attribute(message, sizeof(rtmsg), RTA_MULTIPATH);
  if (!multipath) return false;
  int left = nla_len(multipath);
  for (const auto* hop = static_cast<const rtnexthop*>(nla_data(multipath)); RTNH_OK(hop, left);) {
    if (interfaces.contains(hop->rtnh_ifindex)) return true;
    left -= static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
    hop = reinterpret_cast<const rtnexthop*>(reinterpret_cast<const uint8_t*>(hop) + RTNH_ALIGN(hop->rtnh_len));
  }
  return false;
}

// What identifies the path; statistics and expiry stay behind, and the next hop object stands for its own parts.
bool copied(int type, bool next_hop_object) {
  if (type == RTA_TABLE || type == RTA_CACHEINFO) return false;
  if (!next_hop_object) return true;
  return type != RTA_OIF && type != RTA_GATEWAY && type != RTA_MULTIPATH && type != RTA_VIA;
}

}  // namespace

Result<> Underlay::establish(uint32_t mark) {
  mark_ = mark;
  for (const int family : {AF_INET, AF_INET6}) {
    auto made = mirror(family);
    if (made) made = make_rule(family, kUnderlayRulePriority, FR_ACT_TO_TBL);
    if (made) made = make_rule(family, kUnderlayRulePriority + 1, FR_ACT_UNREACHABLE);
    const bool no_v6 =
        family == AF_INET6 && !made && (made.error().code == EAFNOSUPPORT || made.error().code == EOPNOTSUPP);
    if (!made && !no_v6)
      return fail(made.error().code, "cannot keep outer packets to the underlay (table {}): {}", kUnderlayTable,
                  made.error().text);
  }
  return {};
}

Result<> Underlay::make_rule(int family, uint32_t priority, uint8_t action) {
  NetlinkMessage message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
  auto* header = message.header<fib_rule_hdr>();
  header->family = static_cast<uint8_t>(family);
  header->action = action;
  if (action == FR_ACT_TO_TBL) {
    header->table = kUnderlayTable;
    message.put_u32(FRA_TABLE, kUnderlayTable);
  }
  message.put_u32(FRA_PRIORITY, priority);
  message.put_u32(FRA_FWMARK, mark_);
  message.put_u32(FRA_FWMASK, 0xffffffff);
  message.put_u8(FRA_PROTOCOL, kRouteProtocol);
  const auto made = netlink_.request(message);
  if (made || made.error().code == EEXIST) return {};
  return made;
}

bool Underlay::belongs(const nlmsghdr& message) const {
  const auto route = parse_route(message);
  if (!route || route->table != RT_TABLE_MAIN) return false;
  if (route->unreachable && route->protocol == kRouteProtocol) return false;
  return !uses(message, tunnels_);
}

Result<> Underlay::send_copy(const nlmsghdr& route, uint16_t type, uint16_t flags) {
  NetlinkMessage message(type, flags);
  auto* header = message.header<rtmsg>();
  *header = route_header(route);
  header->rtm_table = kUnderlayTable;
  header->rtm_protocol = kRouteProtocol;
  header->rtm_flags &= RTNH_F_ONLINK;
  const bool next_hop_object = find_attribute(route, sizeof(rtmsg), RTA_NH_ID) != nullptr;
  nlattr* attribute;
  int left;
  nla_for_each_attr(attribute, nlmsg_attrdata(&route, sizeof(rtmsg)), nlmsg_attrlen(&route, sizeof(rtmsg)), left) {
    if (copied(nla_type(attribute), next_hop_object))
      message.put(attribute->nla_type, nla_data(attribute), static_cast<size_t>(nla_len(attribute)));
  }
  message.put_u32(RTA_TABLE, kUnderlayTable);
  return netlink_.request(message);
}

// First the routes that main has, then those away that it no longer has: outer packets find a way all the while.
Result<> Underlay::mirror(int family) {
  std::vector<std::vector<uint8_t>> wanted, present;
  const auto keep = [](std::vector<std::vector<uint8_t>>& list, const nlmsghdr& message) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&message);
    list.emplace_back(bytes, bytes + message.nlmsg_len);
  };
  NetlinkMessage dump(RTM_GETROUTE, NLM_F_DUMP);
  dump.header<rtmsg>()->rtm_family = static_cast<uint8_t>(family);
  TRY(netlink_.query(
      dump,
      [&](const nlmsghdr& answer) {
        if (answer.nlmsg_type != RTM_NEWROUTE) return;
        if (belongs(answer))
          keep(wanted, answer);
        else if (table_of(answer) == kUnderlayTable)
          keep(present, answer);
      },
      [&] { wanted.clear(), present.clear(); }));
  const auto key = [](const std::vector<uint8_t>& message) {
    const auto route = parse_route(*reinterpret_cast<const nlmsghdr*>(message.data()));
    return route ? fmt::format("{} {} {}", describe_route(*route), route->metric, route->interface_index)
                 : std::string();
  };
  std::set<std::string> still, kept;
  for (const auto& message : wanted) still.insert(key(message));
  for (const auto& message : present) {
    if (still.contains(key(message)))
      kept.insert(key(message));
    else
      (void)send_copy(*reinterpret_cast<const nlmsghdr*>(message.data()), RTM_DELROUTE,
                      0);  // gone meanwhile: as it should be
  }
  // Connected routes first: gateways are looked up on them.
  for (const bool connected : {true, false})
    for (const auto& message : wanted) {
      const auto& route = *reinterpret_cast<const nlmsghdr*>(message.data());
      if (kept.contains(key(message)) || parse_route(route)->gateway.has_value() == connected) continue;
      const auto made = send_copy(route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND);
      if (!made && made.error().code != EEXIST && made.error().code != ENODEV && made.error().code != ENETDOWN)
        return made;
    }
  return {};
}

void Underlay::catch_up() {
  if (mark_ != 0) (void)establish(mark_);  // what fails shows when packets are sent
}

bool Underlay::follow(const nlmsghdr& notice) {
  if (nlmsg_datalen(&notice) < static_cast<int>(sizeof(rtmsg))) return false;
  if (table_of(notice) == kUnderlayTable) return false;
  if (mark_ == 0 || !belongs(notice)) return parse_route(notice).has_value();
  const bool added = notice.nlmsg_type == RTM_NEWROUTE;
  const bool replaced = notice.nlmsg_flags & NLM_F_REPLACE;
  const auto done = added && !replaced ? send_copy(notice, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND)
                    : added            ? send_copy(notice, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE)
                                       : send_copy(notice, RTM_DELROUTE, 0);
  const bool expected = done || done.error().code == EEXIST || done.error().code == ESRCH;
  if (!expected)
    (void)mirror(route_header(notice).rtm_family);  // out of step: look at the whole; what fails shows on sending
  return true;
}

}  // namespace adit::platform
