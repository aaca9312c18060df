// The guard against the world: what others took away is put back, what others routed is closed, what was stopped is
// told.
#include <algorithm>
#include <unordered_map>

#include "engine/guard.h"
#include "linux/mark.h"

namespace adit::engine {

void Guard::reassert(bool routes_changed, bool nftables_changed) {
  if (routes_changed) {
    std::set<net::Prefix> standing;
    for (const auto family : {net::Family::v4, net::Family::v6}) {
      const auto routes = context_.platform.routes(family);
      if (!routes) continue;
      for (const auto& route : *routes) {
        if (route.unreachable && route.metric == platform::kGuardMetric && route.table == 254)
          standing.insert(route.destination);
      }
    }
    put_back_routes(standing);
    guard_seen_routes();
  }
  if (nftables_changed && table_stands_) {
    const auto stands = context_.platform.firewall_stands();
    if (stands && *stands) return;
    const auto applied = apply(book_);
    context_.events.add(Severity::alert, applied ? "guard.restored" : "guard.failed", "",
                        applied ? "somebody changed or removed the nftables table inet adit; it is back"
                                : fmt::format("the nftables table inet adit is gone and cannot be put back: {}; the "
                                              "unreachable routes still hold",
                                              applied.error().text));
  }
}

void Guard::put_back_routes(const std::set<net::Prefix>& standing) {
  for (const auto& network : book_.unreachable()) {
    if (standing.contains(network)) continue;
    const auto added = context_.platform.add_route(guard_route(network));
    if (!added && added.error().code == EEXIST) continue;
    context_.events.add(
        Severity::alert, added ? "guard.restored" : "guard.failed", network.str(),
        added ? fmt::format("somebody removed the unreachable route of {}; it is back", network.str())
              : fmt::format("the unreachable route of {} is gone and cannot be put back: {}; the nftables "
                            "table still holds",
                            network.str(), added.error().text));
  }
}

// Somebody else (ip route, a routing daemon) sends a network into a secured tunnel: from now on it is guarded too.
void Guard::guard_seen_routes() {
  const auto interfaces = context_.platform.interfaces();
  if (!interfaces) return;
  std::unordered_map<int, TunnelView> secured;
  for (const auto& device : *interfaces) {
    const auto view = device.ours ? links_.tunnel(device.name) : std::nullopt;
    if (view && view->secured) secured.emplace(device.index, *view);
  }
  if (secured.empty()) return;
  std::vector<GuardHold> holds;
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    const auto routes = context_.platform.routes(family);
    if (!routes) continue;
    for (const auto& route : *routes) {
      const auto tunnel = secured.find(route.interface_index);
      if (tunnel == secured.end() || route.table == 255) continue;
      if (route.destination.address().is_link_local() || route.destination.address().is_multicast()) continue;
      if (book_.holds(route.destination, tunnel->second.name)) continue;
      holds.push_back({route.destination, tunnel->second.name, GuardSource::seen, tunnel->second.temporary});
    }
  }
  if (holds.empty()) return;
  if (auto held = hold(holds); !held) context_.events.add(Severity::alert, "guard.failed", "", held.error().text);
}

void Guard::poll_leaks() {
  if (book_.empty()) return;
  const auto counts = context_.platform.leak_counts();
  if (!counts) return;
  for (const auto& count : *counts) {
    Leak& leak = leaks_[{count.network, count.outbound}];
    const uint64_t news = count.packets >= leak.last_reading ? count.packets - leak.last_reading : count.packets;
    leak.last_reading = count.packets;
    leak.total += news;
    if (news == 0) continue;
    context_.events.add(Severity::alert, "guard.leak-stopped", count.network.str(),
                        fmt::format("{} packet{} {} {} outside the tunnel and {} stopped", news, news == 1 ? "" : "s",
                                    count.outbound ? "tried to leave for" : "came from", count.network.str(),
                                    news == 1 ? "was" : "were"));
  }
}

std::vector<GuardInfo> Guard::list() const {
  std::vector<GuardInfo> all;
  for (const auto& [network, guarded] : book_.networks()) {
    GuardInfo info;
    info.network = network;
    for (const auto& [tunnel, holder] : guarded.holders) {
      if (links_.tunnel(tunnel)) info.tunnels.push_back(tunnel);
      for (const GuardSource source : holder.sources)
        info.reasons.push_back(fmt::format("{} {}", tunnel, name_of(source)));
    }
    const auto total = [&](bool outbound) {
      const auto leak = leaks_.find({network, outbound});
      return leak == leaks_.end() ? 0 : leak->second.total;
    };
    info.stopped_out = total(true);
    info.stopped_in = total(false);
    all.push_back(std::move(info));
  }
  return all;
}

}  // namespace adit::engine
