// Outer addresses and policy of tunnels that are written as names: what does not resolve closes its tunnel only, and a
// name that comes to stand for something else moves its tunnel.
#include <algorithm>

#include "control/names.h"
#include "links/links.h"

namespace adit::engine {
namespace {

bool is_name(const std::optional<std::string>& typed) {
  return typed && !net::Address::parse(*typed);
}

bool has_waiting_property(const spd::Head* head) {
  return head != nullptr && std::ranges::any_of(head->rules(), [](const spd::Rule& rule) {
           return rule.waits() && rule.name_space == kPropertyNamespace;
         });
}

}  // namespace

// All of them together, so that a dead resolver costs one wait.
void Links::ask_names(const std::vector<TunnelRecord>& records) {
  (void)context_.names->with_names([&](const config::Resolver& resolver) {
    for (const TunnelRecord& record : records) {
      if (is_name(record.local)) (void)resolver.host(*record.local);
      if (is_name(record.remote)) (void)resolver.host(*record.remote);
    }
    return true;
  });
}

// A name that does not resolve stands for what it stood for last.
Endpoints Links::known_ends(const TunnelRecord& record) {
  const auto known = [&](const std::optional<std::string>& typed, const std::optional<net::Address>& seen,
                         const char* side) -> std::optional<net::Address> {
    if (!typed) return std::nullopt;
    const auto found = resolve_endpoint(*context_.names, record.type, *typed, side);
    if (found && *found) return *found;
    if (found && !*found && seen && check_endpoint(record.type, *seen, side, *typed)) return seen;
    if (!found) context_.events.add(Severity::warning, EventKind::link_unbound, record.name, found.error().text);
    return std::nullopt;
  };
  return {known(record.local, record.local_seen, "local"), known(record.remote, record.remote_seen, "remote")};
}

void Links::bind(Tunnel& tunnel, Endpoints ends) {
  if (const auto free = check_pair_free(ends, tunnel.active.name); !free) {
    context_.events.add(Severity::warning, EventKind::link_unbound, tunnel.active.name, free.error().text);
    ends.remote.reset();
  }
  forget_pair(tunnel);
  set_ends(tunnel, ends);
  tunnel.local_here = ends.local && check_local(*ends.local).has_value();
}

std::string Links::unresolved(const Tunnel& tunnel) const {
  if (is_name(tunnel.active.local) && !tunnel.ends.local) return *tunnel.active.local;
  if (is_name(tunnel.active.remote) && !tunnel.ends.remote) return *tunnel.active.remote;
  return {};
}

std::string Links::waiting_note(const IptunRequest& request, const Endpoints& ends) const {
  const bool local = is_name(request.local) && !ends.local, remote = is_name(request.remote) && !ends.remote;
  if (!local && !remote) return {};
  return fmt::format("the resolver has not answered yet what '{}' is: {} is closed until it does",
                     local ? *request.local : *request.remote, request.name);
}

void Links::names_changed() {
  std::vector<Tunnel*> moved;
  for (auto& [name, tunnel] : tunnels_) {
    if (has_waiting_property(policy_.head_of(name).get())) {
      Undo undo;
      Outcome outcome;
      const auto taken = take_property(name, tunnel.active.properties.ipsec, "dladm " + name, undo, outcome);
      undo.keep();
      if (!taken) context_.events.add(Severity::alert, EventKind::link_policy, name, taken.error().text);
    }
    if (!is_name(tunnel.active.local) && !is_name(tunnel.active.remote)) continue;
    TunnelRecord record = tunnel.active;
    record.local_seen = tunnel.ends.local;
    record.remote_seen = tunnel.ends.remote;
    const Endpoints ends = known_ends(record);
    if (ends == tunnel.ends) continue;
    bind(tunnel, ends);
    tunnel.learned_mtu = 0;
    tunnel.underlay_mtu = underlay_mtu(tunnel.ends);
    for (TunnelRecord* each : {&tunnel.active, tunnel.stored ? &*tunnel.stored : nullptr}) {
      if (each == nullptr) continue;
      each->local_seen = tunnel.ends.local;
      each->remote_seen = tunnel.ends.remote;
    }
    moved.push_back(&tunnel);
  }
  if (moved.empty()) return;
  (void)refresh(moved);
  std::vector<std::string> names;
  names.reserve(moved.size());
  for (const Tunnel* tunnel : moved) names.push_back(tunnel->active.name);
  for (const auto& saved : {save_stored(names), save_active(names)}) {
    if (!saved) context_.events.add(Severity::warning, EventKind::link_not_saved, "", saved.error().text);
  }
  for (const Tunnel* tunnel : moved) {
    context_.events.add(
        Severity::info, EventKind::link_changed, tunnel->active.name,
        fmt::format("the outer addresses of {} are what their names stand for now", tunnel->active.name));
    for (auto* user : users_) user->link_ready(tunnel->active.name);
  }
}

}  // namespace adit::engine
