#include "linux/netlink/netlink_routes.h"

#include "linux/netlink/netlink_nexthops.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

namespace adit::platform {
namespace {

int family_number(net::Family family) {
  return family == net::Family::v4 ? AF_INET : AF_INET6;
}

// The gateway of the same family, or (RFC 5549) of the other.
std::optional<net::Address> parse_gateway(const nlattr* gateway, const nlattr* via) {
  if (gateway) return attribute_address(gateway);
  if (!via || nla_len(via) < static_cast<int>(sizeof(rtvia))) return std::nullopt;
  const auto* hop = static_cast<const rtvia*>(nla_data(via));
  const size_t bytes = static_cast<size_t>(nla_len(via)) - sizeof(rtvia);
  if (hop->rtvia_family == AF_INET && bytes >= 4) return net::Address::from_v4(hop->rtvia_addr);
  if (hop->rtvia_family == AF_INET6 && bytes >= 16) return net::Address::from_v6(hop->rtvia_addr);
  return std::nullopt;
}

void add_hop(Route& route, bool first, const Hop& hop) {
  if (!first) return route.more_hops.push_back(hop);
  route.interface_index = hop.interface_index;
  route.gateway = hop.gateway;
  route.linkdown = hop.linkdown;
}

// All hops of a multipath route: the first is the route's own, the others stand behind it.
void parse_hops(const nlattr* multipath, Route& route) {
  if (!multipath) return;
  const auto* at = static_cast<const uint8_t*>(nla_data(multipath));
  int left = nla_len(multipath);
  for (bool first = true; left >= static_cast<int>(sizeof(rtnexthop)); first = false) {
    const auto* hop = reinterpret_cast<const rtnexthop*>(at);
    if (hop->rtnh_len < sizeof(rtnexthop) || hop->rtnh_len > left) return;
    const auto* attributes = reinterpret_cast<const nlattr*>(RTNH_DATA(hop));
    const int length = hop->rtnh_len - static_cast<int>(sizeof(rtnexthop));
    add_hop(route, first,
            {parse_gateway(nla_find(attributes, length, RTA_GATEWAY), nla_find(attributes, length, RTA_VIA)),
             hop->rtnh_ifindex, (hop->rtnh_flags & RTNH_F_LINKDOWN) != 0});
    const int step = static_cast<int>(RTNH_ALIGN(hop->rtnh_len));
    at += step;
    left -= step;
  }
}

std::optional<Route> parse_any_route(const nlmsghdr& message) {
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return std::nullopt;
  const auto* header = static_cast<const rtmsg*>(nlmsg_data(&message));
  if (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) return std::nullopt;
  const net::Family family = header->rtm_family == AF_INET ? net::Family::v4 : net::Family::v6;
  if (header->rtm_dst_len > net::address_bits(family)) return std::nullopt;
  const auto find = [&](int type) { return find_attribute(message, sizeof(rtmsg), type); };
  Route route;
  const auto destination = attribute_address(find(RTA_DST));
  route.destination = net::Prefix(destination ? *destination : net::Address::any(family), header->rtm_dst_len);
  route.unreachable = header->rtm_type == RTN_UNREACHABLE || header->rtm_type == RTN_PROHIBIT;
  route.blackhole = header->rtm_type == RTN_BLACKHOLE;
  if (!route.unreachable && !route.blackhole) {  // IPv6 says lo for these
    route.interface_index = static_cast<int>(attribute_u32(find(RTA_OIF), 0));
    route.gateway = parse_gateway(find(RTA_GATEWAY), find(RTA_VIA));
    route.linkdown = header->rtm_flags & RTNH_F_LINKDOWN;
    parse_hops(find(RTA_MULTIPATH), route);
  }
  route.metric = attribute_u32(find(RTA_PRIORITY), 0);
  route.table = attribute_u32(find(RTA_TABLE), header->rtm_table);
  route.protocol = header->rtm_protocol;
  route.preferred_source = attribute_address(find(RTA_PREFSRC));
  return route;
}

NetlinkMessage route_message(uint16_t type, uint16_t flags, const Route& route) {
  NetlinkMessage message(type, flags);
  auto* header = message.header<rtmsg>();
  header->rtm_family = static_cast<uint8_t>(family_number(route.destination.family()));
  header->rtm_dst_len = route.destination.length();
  header->rtm_table = route.table < 256 ? static_cast<uint8_t>(route.table) : uint8_t{RT_TABLE_UNSPEC};
  header->rtm_protocol = route.protocol;
  header->rtm_type = route.unreachable ? RTN_UNREACHABLE : route.blackhole ? RTN_BLACKHOLE : RTN_UNICAST;
  message.put_address(RTA_DST, route.destination.masked().address());
  message.put_u32(RTA_TABLE, route.table);
  if (route.metric != 0) message.put_u32(RTA_PRIORITY, route.metric);
  if (route.interface_index != 0) message.put_u32(RTA_OIF, static_cast<uint32_t>(route.interface_index));
  if (route.gateway) message.put_address(RTA_GATEWAY, *route.gateway);
  if (route.preferred_source) message.put_address(RTA_PREFSRC, *route.preferred_source);
  return message;
}

bool same_way(const Route& a, const Route& b) {
  return a.destination.masked() == b.destination.masked() && a.table == b.table && a.gateway == b.gateway &&
         a.unreachable == b.unreachable && a.blackhole == b.blackhole &&
         (a.interface_index == b.interface_index || a.interface_index == 0);
}

// IPv6 answers EEXIST to any route of the same destination and metric, IPv4 to just the same route only.
Result<> explain_existing(Netlink& netlink, const Route& route) {
  if (route.destination.address().is_v4()) return fail(EEXIST, "{}: this route is there", describe_route(route));
  TRY_ASSIGN(const auto there, list_routes(netlink, route.destination.family()));
  if (std::ranges::any_of(there, [&](const Route& one) { return same_way(route, one); }))
    return fail(EEXIST, "{}: this route is there", describe_route(route));
  return fail(EBUSY, "{}: another route to it has the same metric; give this one a lower metric",
              describe_route(route));
}

std::optional<Route> ask(Netlink& netlink, const net::Address& destination, uint32_t mark, uint32_t flags,
                         Result<>& asked) {
  NetlinkMessage message(RTM_GETROUTE, 0);
  auto* header = message.header<rtmsg>();
  header->rtm_family = static_cast<uint8_t>(family_number(destination.family()));
  header->rtm_dst_len = net::address_bits(destination.family());
  // The kernel names the table by itself in IPv6, and refuses to be asked to.
  header->rtm_flags = destination.is_v4() ? flags | RTM_F_LOOKUP_TABLE : flags;
  message.put_address(RTA_DST, destination);
  if (mark != 0) message.put_u32(RTA_MARK, mark);
  std::optional<Route> found;
  asked = netlink.query(message, [&](const nlmsghdr& answer) {
    if (answer.nlmsg_type == RTM_NEWROUTE) found = parse_any_route(answer);
  });
  return found;
}

}  // namespace

std::string describe_route(const Route& route) {
  std::string text = route.destination.str();
  if (route.unreachable) text = "unreachable " + text;
  if (route.blackhole) text = "blackhole " + text;
  if (route.gateway) text += " via " + route.gateway->str();
  return text;
}

std::optional<Route> parse_route(const nlmsghdr& message) {
  auto route = parse_any_route(message);
  if (!route) return std::nullopt;
  const auto* header = static_cast<const rtmsg*>(nlmsg_data(&message));
  if (header->rtm_flags & RTM_F_CLONED) return std::nullopt;
  if (!route->unreachable && !route->blackhole && header->rtm_type != RTN_UNICAST) return std::nullopt;
  return route;
}

Result<std::vector<Route>> list_routes(Netlink& netlink, net::Family family) {
  NetlinkMessage message(RTM_GETROUTE, NLM_F_DUMP);
  message.header<rtmsg>()->rtm_family = static_cast<uint8_t>(family_number(family));
  std::vector<Route> routes;
  std::vector<uint32_t> objects;  // nexthop objects that they name
  TRY(netlink.query(
      message,
      [&](const nlmsghdr& answer) {
        if (answer.nlmsg_type != RTM_NEWROUTE) return;
        const auto route = parse_route(answer);
        if (!route) return;
        routes.push_back(*route);
        objects.push_back(attribute_u32(find_attribute(answer, sizeof(rtmsg), RTA_NH_ID), 0));
      },
      [&] {
        routes.clear();
        objects.clear();
      }));
  TRY(resolve_nexthops(netlink, routes, objects));  // where net.ipv4.nexthop_compat_mode is 0
  return routes;
}

Result<> add_route(Netlink& netlink, const Route& route, bool onlink) {
  const bool v4 = route.destination.address().is_v4();
  Route made = route;
  if (made.protocol == 0) made.protocol = kRouteProtocol;
  const uint16_t exclusive = v4 ? 0 : NLM_F_EXCL;  // without it IPv6 would join both to one multipath route
  NetlinkMessage message = route_message(RTM_NEWROUTE, static_cast<uint16_t>(NLM_F_CREATE | exclusive), made);
  auto* header = static_cast<rtmsg*>(nlmsg_data(message.raw()));
  const bool direct = !route.gateway && route.interface_index != 0;
  header->rtm_scope = v4 && direct ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  if (onlink && route.gateway) header->rtm_flags |= RTNH_F_ONLINK;
  const auto done = netlink.request(message);
  if (done) return {};
  if (done.error().code == EEXIST) return explain_existing(netlink, made);
  return fail(done.error().code, "cannot add route {}: {}", describe_route(route), done.error().text);
}

Result<> remove_route(Netlink& netlink, const Route& route) {
  NetlinkMessage message = route_message(RTM_DELROUTE, 0, route);
  static_cast<rtmsg*>(nlmsg_data(message.raw()))->rtm_scope = RT_SCOPE_NOWHERE;  // any
  const auto done = netlink.request(message);
  if (done) return {};
  if (done.error().code == ESRCH) return fail(ESRCH, "{}: not in table", describe_route(route));
  return fail(done.error().code, "cannot remove route {}: {}", describe_route(route), done.error().text);
}

Result<Route> lookup_route(Netlink& netlink, const net::Address& destination, uint32_t mark) {
  Result<> asked;
  auto matched = ask(netlink, destination, mark, RTM_F_FIB_MATCH, asked);
  if (!asked) return fail(asked.error().code, "no way to {}: {}", destination.str(), asked.error().text);
  if (!matched) return fail(ENETUNREACH, "no route to {}", destination.str());
  if (matched->unreachable || matched->blackhole)
    return fail(matched->unreachable ? EHOSTUNREACH : EINVAL, "no way to {}: route {}", destination.str(),
                describe_route(*matched));
  Result<> again;
  if (const auto chosen = ask(netlink, destination, mark, 0, again)) {
    matched->preferred_source = chosen->preferred_source;
    matched->interface_index = chosen->interface_index;
    matched->gateway = chosen->gateway;
  }
  return *matched;
}

}  // namespace adit::platform
