#include "linux/netlink/netlink_nexthops.h"

#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace adit::platform {
namespace {

struct Nexthop {
  Hop hop;
  std::vector<uint32_t> members;  // of a group
};

std::vector<uint32_t> members_of(const nlattr* group) {
  std::vector<uint32_t> ids;
  if (group == nullptr) return ids;
  const auto* at = static_cast<const uint8_t*>(nla_data(group));
  for (int left = nla_len(group); left >= static_cast<int>(sizeof(nexthop_grp)); left -= sizeof(nexthop_grp)) {
    nexthop_grp member{};
    std::memcpy(&member, at, sizeof member);
    ids.push_back(member.id);
    at += sizeof member;
  }
  return ids;
}

Result<std::map<uint32_t, Nexthop>> list_nexthops(Netlink& netlink) {
  NetlinkMessage question(RTM_GETNEXTHOP, NLM_F_DUMP);
  question.header<nhmsg>()->nh_family = AF_UNSPEC;
  std::map<uint32_t, Nexthop> found;
  TRY(netlink.query(
      question,
      [&](const nlmsghdr& answer) {
        if (answer.nlmsg_type != RTM_NEWNEXTHOP) return;
        const auto find = [&](int type) { return find_attribute(answer, sizeof(nhmsg), type); };
        Nexthop& one = found[attribute_u32(find(NHA_ID), 0)];
        one.hop.interface_index = static_cast<int>(attribute_u32(find(NHA_OIF), 0));
        if (const nlattr* gateway = find(NHA_GATEWAY)) one.hop.gateway = attribute_address(gateway);
        one.members = members_of(find(NHA_GROUP));
      },
      [&] { found.clear(); }));
  return found;
}

}  // namespace

Result<> resolve_nexthops(Netlink& netlink, std::vector<Route>& routes, const std::vector<uint32_t>& ids) {
  const auto bare = [](const Route& route) {
    return route.interface_index == 0 && !route.unreachable && !route.blackhole;
  };
  bool any = false;
  for (size_t i = 0; i < routes.size(); ++i) any |= ids[i] != 0 && bare(routes[i]);
  if (!any) return {};
  TRY_ASSIGN(const auto known, list_nexthops(netlink));
  for (size_t i = 0; i < routes.size(); ++i) {
    const auto object = known.find(ids[i]);
    if (!bare(routes[i]) || object == known.end()) continue;
    std::vector<Hop> hops;
    if (object->second.members.empty()) hops.push_back(object->second.hop);
    for (const uint32_t member : object->second.members)
      if (const auto one = known.find(member); one != known.end()) hops.push_back(one->second.hop);
    std::erase_if(hops, [](const Hop& hop) { return hop.interface_index == 0; });
    if (hops.empty()) continue;
    routes[i].interface_index = hops.front().interface_index;
    routes[i].gateway = hops.front().gateway;
    routes[i].more_hops.assign(hops.begin() + 1, hops.end());
  }
  return {};
}

}  // namespace adit::platform
