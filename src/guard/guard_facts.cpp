// From the book and the facts of the host to the plan of the layers: which devices may carry a network, which outer
// packets pass, which of the host's own networks stay reachable. Every fact is derived here, and again whenever one of
// them may have changed.
#include <algorithm>

#include "guard/guard.h"
#include "guard/local_networks.h"
#include "linux/platform/mark.h"

namespace adit::engine {

using guard::Book;
using guard::Entry;

namespace {

constexpr uint8_t kWide = 1;  // 0/0 and its halves: everything, and nobody's network

}  // namespace

Guard::Ends Guard::ends_of(const std::string& name) const {
  Ends ends;
  const auto view = links_.tunnel(name);
  if (!view) return ends;
  ends.device = view->device;
  ends.secured = view->secured;
  ends.peer = view->remote;
  if (view->local && view->remote) ends.flow = platform::OuterFlow{*view->local, *view->remote};
  return ends;
}

// Secured tunnels that stand. Where the operator and a delegated namespace want the same network, the operator's
// tunnels carry it.
std::vector<int> Guard::devices_of(const Entry& entry) const {
  const bool operators = std::ranges::any_of(entry.holders, [](const auto& item) { return item.first.owner.empty(); });
  std::set<int> devices;
  for (const auto& [key, holder] : entry.holders) {
    if (operators && !key.owner.empty()) continue;
    const auto ends = ends_.find(key.tunnel);
    if (ends != ends_.end() && ends->second.secured && ends->second.device != 0) devices.insert(ends->second.device);
  }
  return {devices.begin(), devices.end()};
}

// A peer that lies in a network of another tunnel is behind that one on purpose: its outer packets take it. A tunnel's
// own networks, and those that hold everything, are not meant so.
bool Guard::thrown(const net::Address& peer) const {
  const net::Prefix host = net::Prefix::host(peer);
  const Entry* entry = book_.find(host);
  const auto* wider = entry == nullptr ? book_.enclosing(host) : nullptr;
  if (wider != nullptr && wider->first.length() > kWide) entry = &wider->second;
  if (entry == nullptr) return true;
  return std::ranges::any_of(ends_,
                             [&](const auto& item) { return item.second.peer == peer && entry->held_by(item.first); });
}

void Guard::change_ends(const std::string& name, const Ends& ends, platform::GuardChange& change) {
  Ends& known = ends_[name];
  const Ends before = std::exchange(known, ends);
  const auto count = [](auto& counts, const auto& item, int by) {
    int& number = counts[item];
    number += by;
    const int now = number;
    if (now == 0) counts.erase(item);
    return now;
  };
  if (before.flow != ends.flow) {
    if (ends.flow && count(flows_, *ends.flow, 1) == 1 && change.not_flows.erase(*ends.flow) == 0)
      change.flows.insert(*ends.flow);
    if (before.flow && count(flows_, *before.flow, -1) == 0 && change.flows.erase(*before.flow) == 0)
      change.not_flows.insert(*before.flow);
  }
  if (before.peer != ends.peer) {
    if (ends.peer) count(peers_, *ends.peer, 1);
    if (before.peer) count(peers_, *before.peer, -1);
    for (const auto& peer : {ends.peer, before.peer}) {
      if (!peer) continue;
      const bool wanted = peers_.contains(*peer) && thrown(*peer), there = plan_.peers.contains(*peer);
      if (wanted && !there) change.peers.insert(*peer);
      if (!wanted && there) change.not_peers.insert(*peer);
    }
  }
  if (before.device != ends.device || before.secured != ends.secured)
    for (const auto& network : book_.networks_of(name)) change.close[network] = devices_of(*book_.find(network));
  if (ends == Ends{}) ends_.erase(name);
}

Result<> Guard::tunnels_changed(const std::vector<std::string>& names) {
  platform::GuardChange change;
  std::map<std::string, Ends> before;
  for (const auto& name : names) {
    const Ends ends = ends_of(name);
    const auto known = ends_.find(name);
    if (known == ends_.end() ? ends == Ends{} : known->second == ends) continue;
    before.emplace(name, known == ends_.end() ? Ends{} : known->second);
    change_ends(name, ends, change);
  }
  if (change.nothing() && whole_) return {};
  if (auto sent = send(std::move(change)); !sent)
    return fail(sent.error().code, "the guard could not be told: {}", sent.error().text);
  for (const auto& name : names) {
    if (const auto was = before.find(name); was != before.end()) log_passes(name, was->second, ends_of(name));
    carry_rule_networks(book_.networks_of(name));
  }
  return {};
}

// ---- the host's own networks

std::set<int> Guard::underlay_interfaces() const {
  std::set<int> interfaces;
  for (const auto& [peer, count] : peers_) {
    const auto way = context_.platform.lookup_route(peer, platform::kOuterMark);
    if (way && way->interface_index != 0) interfaces.insert(way->interface_index);
  }
  return interfaces;
}

// When a network closes, those of the host's own networks inside it that are there stay reachable; not the underlay's,
// where whoever answers DHCP could name any network as its own (TunnelCrack), and not one that comes later.
void Guard::freeze_exceptions(const Book::Before& before) {
  std::optional<std::vector<LocalNetwork>> locals;
  std::optional<std::set<int>> underlay;
  for (const auto& [network, was] : before) {
    const Entry* entry = book_.find(network);
    if (entry == nullptr || was || network.is_host()) continue;  // no network lies in a single address
    if (!locals) locals = local_networks(context_.platform, links_);
    Entry frozen = *entry;
    for (const auto& local : *locals) {
      if (network.length() >= local.network.length() || !network.contains(local.network)) continue;
      if (!underlay) underlay = underlay_interfaces();
      if (!underlay->contains(local.interface)) frozen.except.push_back(local.network);
    }
    if (!frozen.except.empty()) book_.put(network, std::move(frozen));
  }
}

std::set<net::Prefix> Guard::inside_networks() const {
  std::set<net::Prefix> inside;
  if (book_.networks().empty()) return inside;
  for (const auto& local : local_networks(context_.platform, links_)) {
    const auto* wider = book_.enclosing(local.network);
    if (wider == nullptr) continue;
    const bool frozen = std::ranges::find(wider->second.except, local.network) != wider->second.except.end();
    if (frozen || book_.inside().contains(local.device)) inside.insert(local.network);
  }
  return inside;
}

std::vector<std::pair<net::Prefix, std::string>> Guard::cut_off() const {
  std::vector<std::pair<net::Prefix, std::string>> cut;
  for (const auto& local : local_networks(context_.platform, links_))
    if (book_.enclosing(local.network) != nullptr && !plan_.inside.contains(local.network))
      cut.emplace_back(local.network, local.device);
  return cut;
}

void Guard::difference_of_inside(platform::GuardChange& change) const {
  const auto wanted = inside_networks();
  std::ranges::set_difference(wanted, plan_.inside, std::inserter(change.inside, change.inside.end()));
  std::ranges::set_difference(plan_.inside, wanted, std::inserter(change.not_inside, change.not_inside.end()));
}

// What a change of the book means for the plan: the networks it touched, and what of the facts depends on them.
void Guard::add_facts(const Book::Before& before, platform::GuardChange& change) {
  for (const auto& [network, was] : before) {
    if (const Entry* entry = book_.find(network))
      change.close[network] = devices_of(*entry);
    else
      change.open.insert(network);
    for (auto peer = peers_.lower_bound(network.address()); peer != peers_.end() && network.contains(peer->first);
         ++peer) {
      const bool wanted = thrown(peer->first), there = plan_.peers.contains(peer->first);
      if (wanted && !there) change.peers.insert(peer->first);
      if (!wanted && there) change.not_peers.insert(peer->first);
    }
  }
  const bool hosts = std::ranges::all_of(before, [](const auto& item) { return item.first.is_host(); });
  if (!hosts) difference_of_inside(change);  // no network of this host's lies in a single address
}

void Guard::addresses_changed() {
  if (starting_) return;
  platform::GuardChange change;
  difference_of_inside(change);
  for (const auto& network : change.not_inside)
    if (book_.enclosing(network) != nullptr)
      context_.events.add(Severity::info, EventKind::guard_inside_gone, network.str(),
                          fmt::format("{} is not a network of this host any more", network.str()));
  if (auto sent = send(std::move(change)); !sent)
    context_.events.add(Severity::warning, EventKind::guard_failed, "", sent.error().text);
  for (const auto& [network, interface] : cut_off())
    if (told_.insert(network).second)
      context_.events.add(
          Severity::warning, EventKind::guard_cut_off, network.str(),
          fmt::format("{0}, on {1}, lies in a closed network and cannot be reached over {1}; 'adit guard inside {1}' "
                      "makes it reachable",
                      network.str(), interface));
}

}  // namespace adit::engine
