// The guard against the world: what others took away is put back, what others routed into a secured tunnel is closed
// while it stands, what was stopped is told.
#include <algorithm>
#include <array>

#include "base/store.h"
#include "guard/guard.h"
#include "guard/local_networks.h"
#include "linux/platform/mark.h"

namespace adit::engine {

using guard::Entry;
using platform::Route;

namespace {

constexpr size_t kMostSeen = 1024;  // others' routes that close something at one time
constexpr uint8_t kWide = 1;        // 0/0 and its halves
constexpr Seconds kWithdrawn{2};    // a route is withdrawn when it is away so long while its device stood
constexpr Seconds kTouchKept{300};
constexpr const char* kTableFile = "/etc/adit/guard.nft";

bool routed(const Entry& entry, const std::string& tunnel) {
  return std::ranges::any_of(std::array{GuardSource::address, GuardSource::route, GuardSource::seen},
                             [&](GuardSource source) { return entry.held_by(tunnel, source); });
}

Route copy_of(const Route& route) {
  Route ours = route;
  ours.table = platform::kGuardTable;
  ours.metric = platform::kCopyMetric;
  ours.protocol = platform::kRouteProtocol;
  ours.linkdown = false;
  return ours;
}

// A table that would change nothing need not stand, and then `nft` is not needed either.
bool says_nothing(const platform::Firewall& whole) {
  return whole.host_rules.empty() && whole.model_v4 == platform::HostModel::weak &&
         whole.model_v6 == platform::HostModel::weak;
}

bool is_strong(const platform::Firewall& firewall) {
  return firewall.model_v4 == platform::HostModel::strong || firewall.model_v6 == platform::HostModel::strong;
}

}  // namespace

void Guard::reassert(bool routes_changed, bool nftables_changed) {
  tend();
  if (!whole_ && !starting_) (void)send({});
  if (routes_changed) look_at_others_routes();
  if (!nftables_changed || !table_stands_) return;
  const auto stands = context_.platform.firewall_stands();
  if (stands && *stands) return;
  const auto applied = apply_host_table();
  context_.events.add(Severity::alert, applied ? EventKind::guard_restored : EventKind::guard_failed, "",
                      applied ? "somebody changed or removed the nftables table inet adit; it is back"
                              : fmt::format("the nftables table inet adit, with the host's own rules, is gone and "
                                            "cannot be put back: {}",
                                            applied.error().text));
}

// ---- others' routes into secured tunnels

// Never what would lock the operator out: a routing daemon's word is no command to close everything.
std::string Guard::why_not_closed(const net::Prefix& network) const {
  if (network.length() <= kWide) return "it holds every address";
  if (seen_.size() >= kMostSeen) return fmt::format("{} such routes are closed already", kMostSeen);
  for (auto peer = peers_.lower_bound(network.address()); peer != peers_.end() && network.contains(peer->first); ++peer)
    return fmt::format("it holds {}, the outer address of a tunnel's peer", peer->first.str());
  return {};
}

void Guard::see(const Route& route, const TunnelView& tunnel) {
  const net::Prefix network = route.destination.masked();
  const auto known = seen_.find({network, route.interface_index});
  if (known != seen_.end()) {
    known->second.missing_since.reset();
    known->second.route = route;
    copy(route, tunnel.name);
    return;
  }
  const Entry* entry = book_.find(network);
  const bool held = entry != nullptr && entry->held_by(tunnel.name);
  if (!held) {
    if (const std::string why = why_not_closed(network); !why.empty()) {
      if (told_.insert(network).second)
        context_.events.add(
            Severity::alert, EventKind::guard_not_closed, network.str(),
            fmt::format("somebody routes {0} into {1}, and that does not close it, because {2}: what the "
                        "route does not carry leaves in the clear; 'adit guard close {0} {1}' closes it",
                        network.str(), tunnel.name, why));
      return;
    }
    if (auto closed = hold({{network, tunnel.name, GuardSource::seen, tunnel.temporary}}); !closed)
      return context_.events.add(Severity::alert, EventKind::guard_failed, network.str(), closed.error().text);
  }
  seen_[{network, route.interface_index}] = {.route = route, .tunnel = tunnel.name};
  copy(route, tunnel.name);
}

// The guard's table is asked before any other: what others route stands there too, behind Adit's own.
void Guard::copy(const Route& route, const std::string& tunnel) {
  // Refused: it is there; or its device is down, and then nothing is to be carried.
  if (context_.platform.add_route(copy_of(route))) context_.steps.route_added(route.destination, tunnel);
}

void Guard::uncopy(const Seen& seen) {
  (void)context_.platform.remove_route(copy_of(seen.route));
  context_.steps.route_removed(seen.route.destination.masked(), seen.tunnel);
}

void Guard::look_at_others_routes() {
  const auto interfaces = context_.platform.interfaces();
  if (!interfaces) return;
  std::map<int, TunnelView> secured;
  std::set<int> up;
  for (const auto& device : *interfaces) {
    if (device.up) up.insert(device.index);
    const auto view = links_.tunnel(device.name);
    if (view && view->secured && view->device == device.index) secured.emplace(device.index, *view);
  }
  std::set<std::pair<net::Prefix, int>> there;
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    const auto routes = context_.platform.routes(family);
    if (!routes) return;
    std::vector<Route> hops;  // of a route that spreads packets over several ways, each
    for (const Route& route : *routes)
      if (route.table != 255 && route.table != platform::kGuardTable)
        std::ranges::copy(single_hops(route), std::back_inserter(hops));
    for (const Route& route : hops) {
      const auto tunnel = secured.find(route.interface_index);
      if (tunnel == secured.end()) continue;
      const auto& address = route.destination.address();
      if (address.is_link_local() && !address.is_v4()) continue;
      if (route.destination.family() == net::Family::v6 && address.is_multicast()) continue;
      there.emplace(route.destination.masked(), route.interface_index);
      if (route.protocol == platform::kKernelProtocol && route.destination.is_host()) continue;  // an address's own
      see(route, tunnel->second);
    }
  }
  for (auto& [key, seen] : seen_) {
    seen.stands = there.contains(key);
    if (seen.stands || seen.missing_since) continue;
    // Routes that went with their device were not withdrawn.
    if (up.contains(key.second)) seen.missing_since = context_.clock.now();
  }
  for (const auto& [network, device] : carried_) {
    Route route{.destination = network,
                .interface_index = device,
                .metric = platform::kCopyMetric,
                .table = platform::kGuardTable,
                .protocol = platform::kRouteProtocol};
    (void)context_.platform.add_route(route);
  }
}

void Guard::link_touched(int index) {
  touched_[index] = context_.clock.now();
  for (auto& [key, seen] : seen_)
    if (key.second == index) seen.missing_since.reset();
}

void Guard::link_taken_away(int index) {
  for (auto& [key, seen] : seen_)
    if (key.second == index) seen.stands = false;
}

bool Guard::wants(const Route& route) const {
  if (route.table != platform::kGuardTable || route.metric != platform::kCopyMetric) return false;
  const auto carried = carried_.find(route.destination);
  return (carried != carried_.end() && carried->second == route.interface_index) ||
         seen_.contains({route.destination, route.interface_index});
}

void Guard::let_withdrawn_go() {
  const MonoTime now = context_.clock.now();
  std::vector<std::pair<net::Prefix, int>> gone;
  for (const auto& [key, seen] : seen_) {
    if (!seen.missing_since || now - *seen.missing_since < kWithdrawn) continue;
    const auto touched = touched_.find(key.second);
    if (touched != touched_.end() && touched->second + kWithdrawn >= *seen.missing_since) continue;
    gone.push_back(key);
  }
  for (const auto& key : gone) {
    Seen& seen = seen_.at(key);
    uncopy(seen);
    const auto opened = drop(
        {{key.first, seen.tunnel, GuardSource::seen}},
        {Opening::withdrawal, fmt::format("the route into {} that closed it was withdrawn", seen.tunnel), "others"});
    if (opened)
      seen_.erase(key);
    else if (!std::exchange(seen.told, true))  // the book could not be written: tried again each second
      context_.events.add(Severity::warning, EventKind::guard_failed, key.first.str(), opened.error().text);
  }
  // A device that stood for so long explains no route that is missing now.
  std::erase_if(touched_, [&](const auto& item) { return now - item.second > kTouchKept; });
}

// As it was looked at last. What went together with its device does not stand, and may have been withdrawn or not: the
// network stays closed, and the operator may open it.
bool Guard::others_route_stands(const net::Prefix& network) const {
  return std::ranges::any_of(seen_,
                             [&](const auto& item) { return item.first.first == network && item.second.stands; });
}

void Guard::forget_others_routes(const net::Prefix& network) {
  std::erase_if(seen_, [&](const auto& item) {
    if (item.first.first != network) return false;
    uncopy(item.second);
    return true;
  });
}

void Guard::tick() {
  let_withdrawn_go();
  tend();
  if (!whole_) (void)send({});
}

// ---- networks that only a rule names, inside one that is routed into the same tunnel: they go the way of the wider
// one. The guard's table has a more specific entry for them, which would close them otherwise.
void Guard::carry(const net::Prefix& network, Carry what) {
  const Entry* entry = book_.find(network);
  int device = 0;
  if (entry != nullptr)
    for (const auto& [key, holder] : entry->holders) {
      if (routed(*entry, key.tunnel)) continue;
      for (const auto* wider = book_.enclosing(network); wider != nullptr; wider = book_.enclosing(wider->first))
        if (const auto ends = ends_.find(key.tunnel);
            ends != ends_.end() && ends->second.secured && routed(wider->second, key.tunnel))
          device = ends->second.device;
    }
  const auto known = carried_.find(network);
  const int before = known == carried_.end() ? 0 : known->second;
  if (before == device || (what == Carry::comes && (before != 0 || device == 0))) return;
  Route route{.destination = network,
              .metric = platform::kCopyMetric,
              .table = platform::kGuardTable,
              .protocol = platform::kRouteProtocol};
  if (device != 0) {
    route.interface_index = device;
    (void)context_.platform.add_route(route);
    carried_[network] = device;
  }
  if (before != 0) {
    route.interface_index = before;
    (void)context_.platform.remove_route(route);
    if (device == 0) carried_.erase(network);
  }
}

void Guard::carry_rule_networks(const std::vector<net::Prefix>& changed, Carry what) {
  for (const auto& network : changed) {
    carry(network, what);
    const auto& all = book_.networks();
    for (auto inner = all.upper_bound(network); inner != all.end() && network.contains(inner->first); ++inner)
      carry(inner->first, what);
  }
}

// ---- the host's own table

platform::Firewall Guard::firewall() const {
  platform::Firewall firewall;
  for (const auto* part : parts_) part->contribute(firewall);
  if (is_strong(firewall) && firewall.own_addresses.empty())
    firewall.own_addresses = tunnel_addresses(context_.platform, links_);
  return firewall;
}

Result<> Guard::apply_host_table() {
  const auto whole = firewall();
  names_own_addresses_ = is_strong(whole);
  if (!says_nothing(whole)) {
    TRY(context_.platform.apply_firewall(whole));
    table_stands_ = true;
  } else if (table_stands_) {
    TRY(context_.platform.remove_firewall());
    table_stands_ = false;
  }
  return starting_ ? Result<>{} : save_host_table();
}

// For the next boot.
Result<> Guard::save_host_table() {
  const auto whole = firewall();
  const std::string text = says_nothing(whole) ? std::string() : context_.platform.render_firewall(whole);
  if (!saved_table_) {
    const auto there = read_file(context_.in_root(kTableFile));
    saved_table_ = there && *there ? **there : std::string();
  }
  if (text == *saved_table_) return {};
  TRY(replace_file(context_.in_root(kTableFile), text, 0644, Lasting::disk, "guard.nft"));
  saved_table_ = text;
  return {};
}

Result<> Guard::own_addresses_changed() {
  return names_own_addresses_ ? reapply() : Result<>{};
}

Result<> Guard::reapply() {
  return starting_ ? Result<>{} : apply_host_table();
}

}  // namespace adit::engine
