// What state a tunnel is in, and how a change of it reaches the packets: first what closes, then the snapshot, then
// what opens.
#include <algorithm>

#include "links/links.h"

namespace adit::engine {

tunnel::LinkFacts Links::facts_of(const Tunnel& tunnel) const {
  const auto head = policy_.head_of(tunnel.active.name);
  tunnel::LinkFacts facts;
  facts.exists = tunnel.device;
  facts.adopted = adopted_;
  facts.service = service_up_;
  facts.bound = tunnel.ends.bound() && tunnel.local_here;
  facts.secured = tunnel.active.secured;
  facts.policy = head != nullptr && head->active();
  facts.half_deleted = tunnel.active.deleting;
  facts.guard_off = guard_.switched_off();
  facts.broken_policy = tunnel.broken_policy;
  facts.broken_device = tunnel.broken_device;
  if (tunnel.lost_policy)
    facts.lost_policy = tunnel.lost_because.empty() ? "the rules it had were in no file and went with an earlier aditd"
                                                    : tunnel.lost_because;
  facts.unresolved_name = unresolved(tunnel);
  return facts;
}

tunnel::LinkState Links::state_of(const Tunnel& tunnel) const {
  return tunnel::link_state(tunnel.active.name, facts_of(tunnel));
}

MtuSum Links::mtu_of(const Tunnel& tunnel, const spd::Head* head) const {
  const LinkProperties& properties = tunnel.active.properties;
  const tunnel::Outer outer = outer_of(tunnel);
  MtuSum sum;
  sum.learned = tunnel.learned_mtu != 0 && tunnel.learned_mtu < tunnel.underlay_mtu;
  sum.path = std::min(sum.learned ? tunnel.learned_mtu : tunnel.underlay_mtu, 65535u);
  sum.outer = tunnel::outer_header_bytes(outer);
  sum.reserved = worst_overhead(head);
  if (tunnel.active.secured) sum.reserved = std::max(sum.reserved, tunnel::kEspOverhead);  // from birth (decision 5)
  sum.pinned = properties.mtu.has_value();
  sum.mtu = properties.mtu.value_or(tunnel::link_mtu(outer, sum.path, sum.reserved));
  return sum;
}

tunnel::Outer Links::outer_of(const Tunnel& tunnel) {
  const TunnelRecord& record = tunnel.active;
  const auto nowhere = net::Address::any(record.type == tunnel::Type::ipv4 ? net::Family::v4 : net::Family::v6);
  return {record.type, tunnel.ends.local.value_or(nowhere), tunnel.ends.remote.value_or(nowhere),
          record.properties.hoplimit.value_or(tunnel::kDefaultHopLimit),
          record.properties.encaplimit.value_or(tunnel::kDefaultEncapLimit)};
}

std::shared_ptr<const datapath::Link> Links::link_for_packets(const Tunnel& tunnel, bool usable) const {
  auto link = std::make_shared<datapath::Link>();
  const TunnelRecord& record = tunnel.active;
  link->id = record.id;
  link->name = record.name;
  link->outer = outer_of(tunnel);
  link->bound = tunnel.ends.bound();
  link->secured = tunnel::needs_policy(facts_of(tunnel));
  link->up = usable;
  link->mtu = tunnel.device_mtu;
  link->path_mtu = tunnel.learned_mtu != 0 ? tunnel.learned_mtu : tunnel.underlay_mtu;
  link->clamp_mss = record.properties.mssclamp.value_or(true);
  link->head = policy_.head_of(record.name);
  link->counters = tunnel.counters;
  return link;
}

// All three steps of all tunnels together, so that a thousand of them cost one snapshot. The first failure is returned;
// every step that closes is done all the same.
Result<> Links::refresh(const std::vector<Tunnel*>& tunnels) {
  Result<> result;
  const auto note = [&](Result<> step, const std::string& name) {
    if (step) return true;
    context_.events.add(Severity::warning, EventKind::link_failed, name, step.error().text);
    if (result) result = std::move(step);
    return false;
  };
  std::vector<std::pair<Tunnel*, tunnel::LinkState>> next;
  if (adopted_) remember_policies(tunnels);
  next.reserve(tunnels.size());
  for (Tunnel* tunnel : tunnels) next.emplace_back(tunnel, state_of(*tunnel));

  for (auto& [tunnel, state] : next) {
    if (!tunnel->carrier || state.carrier) continue;
    // Refused: the snapshot shuts it, and tick() tries again.
    if (!note(context_.platform.set_carrier(tunnel->active.name, false), tunnel->active.name)) continue;
    context_.steps.carrier(tunnel->active.name, false);
    tunnel->carrier = false;
  }
  for (auto& [tunnel, state] : next) {
    const uint32_t mtu = mtu_of(*tunnel, policy_.head_of(tunnel->active.name).get()).mtu;
    if (tunnel->device && mtu != tunnel->device_mtu) {
      if (note(context_.platform.set_mtu(tunnel->active.name, mtu), tunnel->active.name)) {
        tunnel->device_mtu = mtu;
        fit_super_packets(*tunnel);
      }
    }
    tunnel->published = link_for_packets(*tunnel, state.usable);
    dataplane_.put_link(tunnel->published);
  }
  if (!next.empty()) dataplane_.publish();
  if (context_.steps.on())
    for (const auto& [tunnel, state] : next) {
      if (tunnel->carrier && !state.carrier) continue;  // the snapshot does not let it pass, whatever its rules are
      const auto& head = tunnel->published->head;
      context_.steps.policy(tunnel->active.name, head != nullptr && head->active());
    }

  // Whatever the guard is to let pass it is told before; what it could not be told stays closed.
  std::vector<std::string> names;
  names.reserve(next.size());
  for (const auto& [tunnel, state] : next) names.push_back(tunnel->active.name);
  if (auto told = guard_.tunnels_changed(names); !told) {
    note(told, names.size() == 1 ? names.front() : "");
    for (auto& [tunnel, state] : next) state.carrier = state.carrier && tunnel->carrier;
  }

  for (auto& [tunnel, state] : next) {
    const std::string& name = tunnel->active.name;
    if (state.carrier && !tunnel->carrier) {
      tunnel->carrier = note(context_.platform.set_carrier(name, true), name);
      if (tunnel->carrier) context_.steps.carrier(name, true);
    }
    tunnel->usable = state.usable;
    tunnel->closed = state.closed;
    tunnel->why_closed = state.why_closed;
    tell(*tunnel);
  }
  return result;
}

// Rules that came by PF_POLICY are in no file. A daemon that starts after a crash must know that an unsecured tunnel
// had some: without them it would pass in the clear what they protected (I4).
void Links::remember_policies(const std::vector<Tunnel*>& tunnels) {
  std::vector<std::string> changed;
  for (Tunnel* tunnel : tunnels) {
    const auto head = policy_.head_of(tunnel->active.name);
    const bool has = head != nullptr && head->active();
    if (has) tunnel->lost_policy = false;
    if (tunnel->lost_policy || tunnel->active.had_policy == has) continue;
    tunnel->active.had_policy = has;
    changed.push_back(tunnel->active.name);
  }
  if (changed.empty()) return;
  if (auto saved = save_active(changed); !saved)
    context_.events.add(Severity::warning, EventKind::link_not_saved, "", saved.error().text);
}

// had_policy stays as it is on disk: the next daemon keeps it closed too.
void Links::keep_closed(const std::string& name, const std::string& because) {
  const auto found = tunnels_.find(name);
  if (found == tunnels_.end() || found->second.active.secured) return;
  found->second.lost_policy = true;
  found->second.lost_because = because;
}

void Links::refresh_all() {
  std::vector<Tunnel*> all;
  all.reserve(tunnels_.size());
  for (auto& [name, tunnel] : tunnels_) all.push_back(&tunnel);
  (void)refresh(all);
}

void Links::policy_changed(const std::set<std::string>& heads) {
  std::vector<Tunnel*> touched;
  for (const std::string& head : heads) {
    const auto found = tunnels_.find(head);
    if (found != tunnels_.end()) touched.push_back(&found->second);
  }
  if (touched.empty()) return;
  (void)refresh(touched);
  dataplane_.drain_older_snapshots();
}

void Links::handle(const datapath::PathMtuChanged& event) {
  const auto name = names_.find(static_cast<uint32_t>(event.link));
  if (name == names_.end()) return;
  Tunnel& tunnel = tunnels_.at(name->second);
  tunnel.learned_mtu = event.path_mtu;
  tunnel.learned_at = context_.clock.now();
  (void)refresh(tunnel);
}

TunnelView Links::view_of(const Tunnel& tunnel) const {
  const auto head = policy_.head_of(tunnel.active.name);
  return {tunnel.active.name,
          tunnel.active.id,
          tunnel.active.type,
          tunnel.ends.local,
          tunnel.ends.remote,
          tunnel.active.secured,
          tunnel.active.temporary,
          head && head->active(),
          tunnel.usable,
          tunnel.device_mtu,
          tunnel.device ? tunnel.index : 0,
          tunnel.active.deleting};
}

std::optional<TunnelView> Links::tunnel(const std::string& name) const {
  const auto found = tunnels_.find(name);
  if (found == tunnels_.end()) return std::nullopt;
  return view_of(found->second);
}

std::string Links::name_at(int device) const {
  const auto id = devices_.find(device);
  if (id == devices_.end()) return {};
  const std::string name = name_of(id->second);
  const auto found = tunnels_.find(name);
  return found != tunnels_.end() && found->second.device && found->second.index == device ? name : std::string();
}

std::vector<TunnelView> Links::tunnels() const {
  std::vector<TunnelView> views;
  views.reserve(tunnels_.size());
  for (const auto& [name, tunnel] : tunnels_) views.push_back(view_of(tunnel));
  return views;
}

bool Links::up_with(const std::string& name, bool policy) const {
  const auto found = tunnels_.find(name);
  if (found == tunnels_.end()) return false;
  tunnel::LinkFacts facts = facts_of(found->second);
  facts.policy = policy;
  return !tunnel::closed_by(facts);
}

std::string Links::why_closed(const std::string& name) const {
  const auto found = tunnels_.find(name);
  return found == tunnels_.end() ? std::string() : found->second.why_closed;
}

std::optional<MtuSum> Links::mtu_sum(const std::string& name) const {
  const auto found = tunnels_.find(name);
  if (found == tunnels_.end()) return std::nullopt;
  return mtu_of(found->second, policy_.head_of(name).get());
}

std::string Links::name_of(tunnel::LinkId id) const {
  const auto found = names_.find(static_cast<uint32_t>(id));
  return found == names_.end() ? std::string() : found->second;
}

std::optional<tunnel::LinkId> Links::id_of(const std::string& name) const {
  const auto found = tunnels_.find(name);
  if (found == tunnels_.end()) return std::nullopt;
  return found->second.active.id;
}

}  // namespace adit::engine
