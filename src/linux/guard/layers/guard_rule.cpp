#include "linux/guard/layers/guard_rule.h"

#include <linux/fib_rules.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "linux/netlink/netlink_routes.h"
#include "linux/platform/mark.h"

namespace adit::platform {
namespace {

using net::Family;
using Kind = GuardRoute::Kind;

constexpr int kRounds = 3;
constexpr uint32_t kLocalTable = 255, kMainTable = 254;
constexpr int kLoopback = 1;  // the interface index of lo, in every namespace
constexpr std::string_view kLoopbackName = "lo";
constexpr uint32_t kNoSuppression = 0xffffffff;

uint8_t number(Family family) {
  return family == Family::v4 ? AF_INET : AF_INET6;
}
const char* option(Family family) {
  return family == Family::v4 ? "" : "-6 ";
}
size_t side(Family family) {
  return family == Family::v4 ? 0 : 1;
}

// Behind the routes of tunnels, in this order.
uint32_t metric(const GuardRoute& route) {
  if (route.kind == Kind::elsewhere) return kGuardMetric - 2;
  const bool last = route.kind == Kind::blackhole || route.destination.family() == Family::v4;
  return last ? kGuardMetric : kGuardMetric - 1;
}

const char* verb(Kind kind) {
  return kind == Kind::elsewhere ? "throw" : kind == Kind::unreachable ? "unreachable" : "blackhole";
}

std::string shown(const GuardRoute& route) {
  return fmt::format("{} {}", verb(route.kind), route.destination.str());
}

NetlinkMessage message_of(uint16_t type, uint16_t flags, const GuardRoute& route) {
  NetlinkMessage message(type, flags);
  auto* header = message.header<rtmsg>();
  header->rtm_family = number(route.destination.family());
  header->rtm_dst_len = route.destination.length();
  header->rtm_table = kGuardTable;
  header->rtm_protocol = RTPROT_KERNEL;  // which systemd-networkd leaves alone
  header->rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE;
  header->rtm_type = route.kind == Kind::elsewhere     ? RTN_THROW
                     : route.kind == Kind::unreachable ? RTN_UNREACHABLE
                                                       : RTN_UNICAST;
  message.put_address(RTA_DST, route.destination.address());
  message.put_u32(RTA_PRIORITY, metric(route));
  if (route.kind == Kind::blackhole) message.put_u32(RTA_NH_ID, kGuardNexthop);
  return message;
}

std::vector<uint8_t> body_of(const nlmsghdr& message) {
  const auto* bytes = static_cast<const uint8_t*>(nlmsg_data(&message));
  return {bytes, bytes + nlmsg_datalen(&message)};
}

struct RouteHead {
  Family family;
  net::Prefix destination;
  uint32_t table, metric, nexthop;
  uint8_t protocol, type;
  bool device;  // it leads over one
};

std::optional<RouteHead> head_of(const nlmsghdr& message) {
  if (nlmsg_datalen(&message) < static_cast<int>(sizeof(rtmsg))) return std::nullopt;
  const auto* header = static_cast<const rtmsg*>(nlmsg_data(&message));
  if ((header->rtm_family != AF_INET && header->rtm_family != AF_INET6) || header->rtm_flags & RTM_F_CLONED)
    return std::nullopt;
  const Family family = header->rtm_family == AF_INET ? Family::v4 : Family::v6;
  if (header->rtm_dst_len > net::address_bits(family)) return std::nullopt;
  const auto find = [&](int type) { return find_attribute(message, sizeof(rtmsg), type); };
  const auto destination = attribute_address(find(RTA_DST));
  if (destination && destination->family() != family) return std::nullopt;
  const bool unicast = header->rtm_type == RTN_UNICAST;
  return RouteHead{family,
                   {destination ? *destination : net::Address::any(family), header->rtm_dst_len},
                   attribute_u32(find(RTA_TABLE), header->rtm_table),
                   attribute_u32(find(RTA_PRIORITY), 0),
                   attribute_u32(find(RTA_NH_ID), 0),
                   header->rtm_protocol,
                   header->rtm_type,
                   unicast && (find(RTA_OIF) || find(RTA_MULTIPATH) || find(RTA_NH_ID))};
}

std::optional<GuardRoute> guard_route(const RouteHead& head) {
  if (head.protocol != RTPROT_KERNEL) return std::nullopt;
  GuardRoute route{head.destination, Kind::unreachable};
  const bool throws = head.type == RTN_THROW, unreachable = head.type == RTN_UNREACHABLE;
  if (head.nexthop == kGuardNexthop)
    route.kind = Kind::blackhole;
  else if (head.nexthop != 0 || (!throws && !unreachable))
    return std::nullopt;
  else if (throws)
    route.kind = Kind::elsewhere;
  return head.metric == metric(route) ? std::optional(route) : std::nullopt;
}

bool is_tunnels(const RouteHead& head) {
  return head.protocol == kRouteProtocol && head.device;
}

bool leads_to(const nlmsghdr& message, uint32_t table) {
  const auto* header = static_cast<const fib_rule_hdr*>(nlmsg_data(&message));
  return attribute_u32(find_attribute(message, sizeof(fib_rule_hdr), FRA_TABLE), header->table) == table;
}

// A rule for all addresses that leads to `table`, and has no condition but those of `allowed`.
bool general(const nlmsghdr& message, uint32_t table, std::initializer_list<int> allowed) {
  const auto* header = static_cast<const fib_rule_hdr*>(nlmsg_data(&message));
  if (header->action != FR_ACT_TO_TBL || header->src_len != 0 || header->dst_len != 0 || header->tos != 0 ||
      header->flags & FIB_RULE_INVERT)
    return false;
  const int size = static_cast<int>(sizeof(fib_rule_hdr));
  int left = nlmsg_attrlen(&message, size);
  for (auto* one = nlmsg_attrdata(&message, size); nla_ok(one, left); one = nla_next(one, &left)) {
    const int type = nla_type(one);
    const bool harmless = type == FRA_TABLE || type == FRA_PROTOCOL || type == FRA_PRIORITY ||
                          (type == FRA_SUPPRESS_PREFIXLEN && attribute_u32(one, 0) == kNoSuppression);
    if (!harmless && std::ranges::find(allowed, type) == allowed.end()) return false;
  }
  return leads_to(message, table);
}

bool plain(const nlmsghdr& message, uint32_t table) {
  return general(message, table, {});
}

uint8_t icmp(Family family) {
  return family == Family::v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

// ICMP of this host, by what table main says but for its default route.
bool is_for_errors(const nlmsghdr& message, Family family) {
  if (!general(message, kMainTable, {FRA_IIFNAME, FRA_IP_PROTO, FRA_SUPPRESS_PREFIXLEN})) return false;
  const auto find = [&](int type) { return find_attribute(message, sizeof(fib_rule_hdr), type, 1); };
  const nlattr *device = find(FRA_IIFNAME), *protocol = find(FRA_IP_PROTO), *length = find(FRA_SUPPRESS_PREFIXLEN);
  if (!device || !protocol || attribute_u32(length, kNoSuppression) != 0) return false;
  const auto* name = static_cast<const char*>(nla_data(device));
  return std::string_view(name, strnlen(name, static_cast<size_t>(nla_len(device)))) == kLoopbackName &&
         *static_cast<const uint8_t*>(nla_data(protocol)) == icmp(family);
}

}  // namespace

Result<GuardRule> GuardRule::open() {
  TRY_ASSIGN(Netlink netlink, Netlink::open(NETLINK_ROUTE));
  GuardRule rule(std::move(netlink));
  rule.ipv6_ = rule.rules(Family::v6).has_value();
  return rule;
}

// --- making

Result<> GuardRule::replace(const GuardPlan& plan) {
  routes_ = GuardRoutes(plan);
  standing_ = false;
  Sentences found;
  TRY(go_over(true, found));
  standing_ = true;
  return {};
}

Result<> GuardRule::change(const GuardChange& change) {
  const bool was_empty = routes_.empty();
  const RouteStep step = routes_.change(change);
  if (was_empty || routes_.empty() || !standing_) {
    Sentences found;
    TRY(go_over(true, found));
    standing_ = true;
    return {};
  }
  bool disturbed = false;
  for (const auto& route : step.come) {
    const auto done = add(route);
    if (!done && done.error().code != EEXIST && done.error().code != EINVAL) return done;
    disturbed |= !done;
  }
  for (const auto& route : step.gone) {
    const auto done = remove(route);
    if (!done && done.error().code != ESRCH) return done;
  }
  Sentences found;
  return disturbed ? go_over(true, found) : Result<>{};
}

Result<> GuardRule::add(const GuardRoute& route) {
  if (route.destination.family() == Family::v6 && !ipv6_) return {};
  NetlinkMessage message = message_of(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
  const auto done = netlink_.request(message);
  if (done) return {};
  return fail(done.error().code, "cannot add {} to routing table {}: {}", shown(route), kGuardTable, done.error().text);
}

Result<> GuardRule::remove(const GuardRoute& route) {
  if (route.destination.family() == Family::v6 && !ipv6_) return {};
  NetlinkMessage message = message_of(RTM_DELROUTE, 0, route);
  const auto done = netlink_.request(message);
  if (done) return {};
  return fail(done.error().code, "cannot remove {} from routing table {}: {}", shown(route), kGuardTable,
              done.error().text);
}

// What the kernel has told, as an order of ours: without what it tells only.
Result<> GuardRule::send_again(uint16_t type, const std::vector<uint8_t>& body, size_t header,
                               const std::set<int>& kept) {
  const bool adding = type == RTM_NEWRULE;
  NetlinkMessage message(type, adding ? NLM_F_CREATE : 0, NetlinkMessage::kUsualRoom + body.size());
  std::memcpy(message.append_header(header), body.data(), header);
  int left = static_cast<int>(body.size() - NLMSG_ALIGN(header));
  for (auto* one = reinterpret_cast<const nlattr*>(body.data() + NLMSG_ALIGN(header)); nla_ok(one, left);
       one = nla_next(one, &left))
    if (kept.empty() || kept.contains(nla_type(one)))
      message.put(nla_type(one), nla_data(one), static_cast<size_t>(nla_len(one)));
  if (type == RTM_NEWRULE || type == RTM_DELRULE) {
    static_cast<fib_rule_hdr*>(nlmsg_data(message.raw()))->flags &= FIB_RULE_INVERT;
    message.put_u32(FRA_PRIORITY, 0);  // not told, because it is 0; not said, it would be another
  } else {
    static_cast<rtmsg*>(nlmsg_data(message.raw()))->rtm_flags = 0;
  }
  return netlink_.request(message);
}

Result<> GuardRule::change_rule(uint16_t type, Family family, Ours which) {
  NetlinkMessage message(type, type == RTM_NEWRULE ? NLM_F_CREATE : 0);
  const bool errors = which == Ours::errors;
  const uint32_t table = errors ? kMainTable : kGuardTable;
  auto* header = message.header<fib_rule_hdr>();
  header->family = number(family);
  header->table = static_cast<uint8_t>(table);
  header->action = FR_ACT_TO_TBL;
  message.put_u32(FRA_PRIORITY, 0);
  message.put_u32(FRA_TABLE, table);
  message.put_u8(FRA_PROTOCOL, RTPROT_KERNEL);
  if (errors) {
    message.put_string(FRA_IIFNAME, std::string(kLoopbackName));
    message.put_u8(FRA_IP_PROTO, icmp(family));
    message.put_u32(FRA_SUPPRESS_PREFIXLEN, 0);
  }
  const auto done = netlink_.request(message);
  if (done || (type == RTM_DELRULE && done.error().code == ENOENT)) return {};
  return fail(done.error().code, "cannot {} the guard's rule for IPv{}{} (ip {}rule): {}",
              type == RTM_NEWRULE ? "add" : "remove", family == Family::v4 ? 4 : 6, errors ? " errors" : "",
              option(family), done.error().text);
}

// --- looking

Result<std::vector<GuardRule::Rule>> GuardRule::rules(Family family) {
  NetlinkMessage message(RTM_GETRULE, NLM_F_DUMP);
  message.header<fib_rule_hdr>()->family = number(family);
  std::vector<Rule> all;
  TRY(netlink_.query(
      message,
      [&](const nlmsghdr& answer) {
        if (answer.nlmsg_type != RTM_NEWRULE || nlmsg_datalen(&answer) < static_cast<int>(sizeof(fib_rule_hdr))) return;
        const nlattr* protocol = find_attribute(answer, sizeof(fib_rule_hdr), FRA_PROTOCOL, 1);
        const bool kernels = protocol && *static_cast<const uint8_t*>(nla_data(protocol)) == RTPROT_KERNEL;
        all.push_back({body_of(answer), plain(answer, kGuardTable) && kernels, is_for_errors(answer, family) && kernels,
                       plain(answer, kLocalTable),
                       attribute_u32(find_attribute(answer, sizeof(fib_rule_hdr), FRA_PRIORITY), 0)});
      },
      [&] { all.clear(); }));
  std::erase_if(all, [](const Rule& rule) { return rule.priority != 0; });
  return all;
}

Result<> GuardRule::dump_table(Family family, uint32_t table, const std::function<void(const nlmsghdr&)>& each,
                               const std::function<void()>& restart) {
  NetlinkMessage message(RTM_GETROUTE, NLM_F_DUMP);
  auto* header = message.header<rtmsg>();
  header->rtm_family = number(family);
  header->rtm_table = static_cast<uint8_t>(table);
  const auto done = netlink_.query(message, each, restart);
  if (!done && done.error().code == ENOENT) return {};  // nobody has put anything there
  return done;
}

Result<std::vector<GuardRule::Entry>> GuardRule::entries(Family family) {
  std::vector<Entry> all;
  TRY(dump_table(
      family, kGuardTable,
      [&](const nlmsghdr& answer) {
        const auto head = answer.nlmsg_type == RTM_NEWROUTE ? head_of(answer) : std::nullopt;
        if (!head || head->table != kGuardTable) return;
        Entry& entry = all.emplace_back(Entry{body_of(answer), guard_route(*head), is_tunnels(*head), {}});
        if (entry.ours || entry.tunnels) return;
        const auto route = parse_route(answer);
        entry.text = route ? describe_route(*route) : head->destination.str();
      },
      [&] { all.clear(); }));
  return all;
}

Result<std::set<net::Prefix>> GuardRule::own_addresses(Family family) {
  std::set<net::Prefix> own;
  TRY(dump_table(
      family, kLocalTable,
      [&](const nlmsghdr& answer) {
        const auto head = answer.nlmsg_type == RTM_NEWROUTE ? head_of(answer) : std::nullopt;
        if (head && head->table == kLocalTable && head->type == RTN_LOCAL && routes_.covers(head->destination))
          own.insert(head->destination);
      },
      [&] { own.clear(); }));
  return own;
}

std::set<GuardRoute> GuardRule::wanted(Family family) {
  std::set<GuardRoute> all;
  for (const auto& [route, count] : routes_.all())
    if (route.destination.family() == family) all.insert(all.end(), route);
  for (const auto& address : own_[side(family)]) all.insert({address, Kind::elsewhere});
  return all;
}

// --- going over it

Result<std::vector<std::string>> GuardRule::put_back() {
  Sentences found;
  TRY(go_over(true, found));
  standing_ = true;
  return found;
}

Result<std::string> GuardRule::fault() {
  Sentences found;
  const auto told = told_;
  const auto done = go_over(false, found);
  told_ = told;
  TRY(done);
  return found.empty() ? std::string() : found.front();
}

Result<> GuardRule::go_over(bool act, Sentences& found) {
  for (const Family family : {Family::v4, Family::v6}) {
    if (family == Family::v6 && !ipv6_) continue;
    TRY(go_over_family(family, act, found));
  }
  return {};
}

Result<> GuardRule::go_over_family(Family family, bool act, Sentences& found) {
  if (routes_.empty()) {
    if (!act) return {};
    TRY_ASSIGN(const auto standing, rules(family));
    for (const auto& rule : standing)
      if (rule.guard || rule.errors) TRY(change_rule(RTM_DELRULE, family, rule.guard ? Ours::guard : Ours::errors));
    own_[side(family)].clear();
    TRY(go_over_routes(family, act, found));
    return family == Family::v6 ? go_over_nexthop(act, found) : Result<>{};
  }
  if (family == Family::v6) TRY(go_over_nexthop(act, found));
  // The rule's order says whether own addresses need routes; the routes stand before the rule leads to them.
  TRY_ASSIGN(const auto standing, rules(family));
  const bool local_first = std::ranges::any_of(standing, [](const Rule& rule) { return rule.local; });
  own_[side(family)].clear();
  if (!local_first) {
    TRY_ASSIGN(own_[side(family)], own_addresses(family));
  }
  TRY(go_over_routes(family, act, found));
  TRY(go_over_rules(family, act, found));
  return go_over_local(family, found);
}

Result<> GuardRule::go_over_nexthop(bool act, Sentences& found) {
  NetlinkMessage question(RTM_GETNEXTHOP, 0);
  question.header<nhmsg>();
  question.put_u32(NHA_ID, kGuardNexthop);
  bool there = false, ours = false;
  const auto asked = netlink_.query(question, [&](const nlmsghdr& answer) {
    if (answer.nlmsg_type != RTM_NEWNEXTHOP) return;
    there = true;
    ours = find_attribute(answer, sizeof(nhmsg), NHA_BLACKHOLE) != nullptr;
  });
  if (!asked && asked.error().code != ENOENT) return asked;
  const bool needed =
      std::ranges::any_of(routes_.all(), [](const auto& one) { return one.first.kind == Kind::blackhole; });
  if (!needed) {
    if (!there || !act) return {};
    NetlinkMessage message(RTM_DELNEXTHOP, 0);
    message.header<nhmsg>();
    message.put_u32(NHA_ID, kGuardNexthop);
    return netlink_.request(message);
  }
  if (ours) return {};
  found.push_back(fmt::format("the guard's blackhole for IPv6 look-ups bound to a device (nexthop {}) {}",
                              kGuardNexthop, there ? "was changed" : "was removed"));
  if (!act) return {};
  NetlinkMessage message(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE);
  auto* header = message.header<nhmsg>();
  header->nh_family = AF_INET6;
  header->nh_protocol = RTPROT_KERNEL;
  message.put_u32(NHA_ID, kGuardNexthop);
  message.put(NHA_BLACKHOLE, nullptr, 0);
  const auto done = netlink_.request(message);
  if (done) return {};
  return fail(done.error().code, "cannot make the guard's blackhole for IPv6 (nexthop {}): {}{}", kGuardNexthop,
              done.error().text, done.error().code == ENETDOWN ? "; is the interface lo up?" : "");
}

Result<> GuardRule::go_over_routes(Family family, bool act, Sentences& found) {
  for (int round = 0; round < kRounds; ++round) {
    TRY_ASSIGN(const auto there, entries(family));
    auto missing = wanted(family);
    std::vector<const Entry*> foreign;
    for (const Entry& entry : there) {
      const bool right = entry.ours && missing.erase(*entry.ours) > 0;
      if (!right && !entry.tunnels && (entry.ours || !routes_.empty())) foreign.push_back(&entry);
    }
    if (missing.empty() && foreign.empty()) return {};
    if (round == 0) {
      for (const auto& route : missing) {
        found.push_back(fmt::format("{} was removed from the guard's routing table {}", shown(route), kGuardTable));
        if (found.size() > 8) break;
      }
      for (const Entry* entry : foreign)
        if (!entry->ours)
          found.push_back(fmt::format("somebody put the route {} into the guard's routing table {}; it is taken out",
                                      entry->text, kGuardTable));
        else if (standing_)
          found.push_back(fmt::format("somebody put {} into the guard's routing table {}; it is taken out",
                                      shown(*entry->ours), kGuardTable));
    }
    if (!act) return {};
    // First what closes, as far as nothing foreign is in its place.
    std::erase_if(missing, [&](const GuardRoute& route) { return add(route).has_value(); });
    for (const Entry* entry : foreign) {
      const bool object = entry->ours && entry->ours->kind == Kind::blackhole;
      (void)send_again(RTM_DELROUTE, entry->body, sizeof(rtmsg),
                       object ? std::set<int>{RTA_DST, RTA_TABLE, RTA_PRIORITY, RTA_NH_ID}
                              : std::set<int>{RTA_DST, RTA_SRC, RTA_TABLE, RTA_PRIORITY, RTA_OIF, RTA_GATEWAY, RTA_VIA,
                                              RTA_MULTIPATH, RTA_PREFSRC});
    }
    for (const auto& route : missing) TRY(add(route));
  }
  return fail(EAGAIN, "others change routing table {} as fast as the guard puts it right", kGuardTable);
}

Result<> GuardRule::go_over_rules(Family family, bool act, Sentences& found) {
  TRY_ASSIGN(auto standing, rules(family));
  const char* ip = option(family);
  const auto ours = std::ranges::find_if(standing, &Rule::guard);
  if (ours == standing.end()) {
    found.push_back(fmt::format("the guard's rule was removed (ip {}rule: 0: from all lookup {})", ip, kGuardTable));
    if (act) TRY(change_rule(RTM_NEWRULE, family, Ours::guard));
  } else if (std::any_of(ours, standing.end(), std::mem_fn(&Rule::local)) &&
             std::none_of(standing.begin(), ours, std::mem_fn(&Rule::local))) {
    found.push_back(
        fmt::format("the guard's rule stood in front of table local (ip {}rule); it is behind it again", ip));
    if (act) {
      TRY(change_rule(RTM_NEWRULE, family, Ours::guard));
      TRY(change_rule(RTM_DELRULE, family, Ours::guard));  // the front one of the two
    }
  }
  // Own addresses are table local's, which must come first; where others moved it, errors go by their rules.
  const bool wanted = std::ranges::any_of(standing, &Rule::local);
  const bool there = std::ranges::any_of(standing, &Rule::errors);
  if (wanted && !there) {
    found.push_back(fmt::format(
        "the guard's rule for ICMP errors was removed (ip {}rule: 0: from all iif lo ipproto {} lookup main "
        "suppress_prefixlength 0)",
        ip, family == Family::v4 ? "icmp" : "ipv6-icmp"));
    if (act) TRY(change_rule(RTM_NEWRULE, family, Ours::errors));
  }
  if (!wanted && there && act) TRY(change_rule(RTM_DELRULE, family, Ours::errors));
  Sentences follows;  // what was added stands behind others until they are moved: that is no news
  return go_over_order(family, act, ours == standing.end() || !there ? follows : found);
}

// A rule of others in front of either goes behind both: first the copy, then the original, which is the front one of
// the two. The one for errors goes behind the guard's own in the same way, and then what stood between.
Result<> GuardRule::go_over_order(Family family, bool act, Sentences& found) {
  TRY_ASSIGN(const auto standing, rules(family));
  const char* ip = option(family);
  const auto guard = std::ranges::find_if(standing, &Rule::guard);
  if (guard == standing.end()) return {};
  auto errors = std::ranges::find_if(standing, &Rule::errors);
  if (errors == standing.end()) errors = guard;
  if (errors < guard) {
    found.push_back(fmt::format("the guard's rule for ICMP errors stood in front of its first (ip {}rule)", ip));
    if (act) {
      TRY(change_rule(RTM_NEWRULE, family, Ours::errors));
      TRY(change_rule(RTM_DELRULE, family, Ours::errors));
    }
  }
  for (auto rule = standing.begin(); rule != std::max(guard, errors); ++rule) {
    if (rule->local || rule->guard || rule->errors) continue;
    found.push_back(
        fmt::format("a rule of priority 0 stood in front of the guard's (ip {}rule); it is behind it now", ip));
    if (!act) continue;
    const auto copied = send_again(RTM_NEWRULE, rule->body, sizeof(fib_rule_hdr), {});
    if (!copied)
      return fail(copied.error().code, "cannot move a rule of priority 0 behind the guard's (ip {}rule): {}", ip,
                  copied.error().text);
    const auto gone = send_again(RTM_DELRULE, rule->body, sizeof(fib_rule_hdr), {});
    if (!gone)
      return fail(gone.error().code, "cannot remove a rule of priority 0 in front of the guard's (ip {}rule): {}", ip,
                  gone.error().text);
  }
  return {};
}

// Routes that others put into table local come before the guard's rule. They are theirs to take away; the two tables of
// nftables hold meanwhile.
Result<> GuardRule::go_over_local(Family family, Sentences& found) {
  std::set<std::string> there;
  TRY(dump_table(
      family, kLocalTable,
      [&](const nlmsghdr& answer) {
        const auto head = answer.nlmsg_type == RTM_NEWROUTE ? head_of(answer) : std::nullopt;
        if (!head || head->table != kLocalTable || head->type != RTN_UNICAST || !routes_.overlaps(head->destination))
          return;
        const auto route = parse_route(answer);
        there.insert(fmt::format(
            "somebody put the route {} into table local, where it comes before the guard's rule; the "
            "guard's nftables tables hold, take it away: ip {}route del {} table local",
            route ? describe_route(*route) : head->destination.str(), option(family), head->destination.str()));
      },
      [&] { there.clear(); }));
  for (const auto& sentence : there)
    if (told_.insert(sentence).second) found.push_back(sentence);
  const std::string mine = family == Family::v4 ? "ip route del" : "ip -6 route del";
  std::erase_if(told_, [&](const std::string& one) { return one.find(mine) != one.npos && !there.contains(one); });
  return {};
}

bool GuardRule::concerns(const nlmsghdr& notice) const {
  if (notice.nlmsg_pid == netlink_.port() && notice.nlmsg_pid != 0) return false;
  switch (notice.nlmsg_type) {
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return true;
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const auto head = head_of(notice);
      if (!head) return false;
      if (head->table == kLocalTable)
        return head->type == RTN_UNICAST || (head->type == RTN_LOCAL && !own_[side(head->family)].empty());
      return head->table == kGuardTable && !(is_tunnels(*head) && !(notice.nlmsg_flags & NLM_F_REPLACE));
    }
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return attribute_u32(find_attribute(notice, sizeof(nhmsg), NHA_ID), 0) == kGuardNexthop;
    case RTM_NEWLINK:  // lo down, or its IPv6: routes without a device go with it, sometimes untold
    case RTM_DELLINK:
      return nlmsg_datalen(&notice) >= static_cast<int>(sizeof(ifinfomsg)) &&
             static_cast<const ifinfomsg*>(nlmsg_data(&notice))->ifi_index == kLoopback;
    default:
      return false;
  }
}

}  // namespace adit::platform
