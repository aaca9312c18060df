// The commands of dladm about tunnels: checks first, then the steps, then their names in the notes.
#include "links/links.h"

#include <algorithm>

#include "base/store.h"
#include "linux/platform/mark.h"

namespace adit::engine {

Links::Links(const Context& context, Dataplane& dataplane, Guard& guard, TunnelPolicy& policy)
    : context_(context),
      dataplane_(dataplane),
      guard_(guard),
      policy_(policy),
      stored_file_(context.in_root("/etc/dladm/datalink.conf"), Lasting::disk, "datalink.conf"),
      active_file_(context.in_run("links.cache"), Lasting::boot, "links.cache") {}

Result<Links::Tunnel*> Links::find(const std::string& name) {
  const auto found = tunnels_.find(name);
  if (found == tunnels_.end()) return fail(ENOENT, "object not found: there is no tunnel {}", name);
  return &found->second;
}

Result<const Links::Tunnel*> Links::find(const std::string& name) const {
  const auto found = tunnels_.find(name);
  if (found == tunnels_.end()) return fail(ENOENT, "object not found: there is no tunnel {}", name);
  return &found->second;
}

// Never one of an earlier tunnel of this life.
tunnel::LinkId Links::free_id() {
  return tunnel::LinkId{next_id_++};
}

Result<> Links::check_pair_free(const Endpoints& ends, const std::string& name) const {
  if (!ends.bound()) return {};
  const auto last = pairs_.find({*ends.local, *ends.remote});
  if (last == pairs_.end() || last->second == name) return {};
  const auto other = tunnels_.find(last->second);
  if (other == tunnels_.end() || other->second.ends != ends) return {};
  return fail(EADDRINUSE,
              "address already in use: {} runs between {} and {} already; a pair of outer addresses carries one tunnel",
              other->first, ends.local->str(), ends.remote->str());
}

// REQUIRES: check_pair_free.
void Links::set_ends(Tunnel& tunnel, const Endpoints& ends) {
  tunnel.ends = ends;
  if (ends.bound()) pairs_.insert_or_assign({*ends.local, *ends.remote}, tunnel.active.name);
}

void Links::forget_pair(const Tunnel& tunnel) {
  if (!tunnel.ends.bound()) return;
  const auto found = pairs_.find({*tunnel.ends.local, *tunnel.ends.remote});
  if (found != pairs_.end() && found->second == tunnel.active.name) pairs_.erase(found);
}

// Outer packets keep to the underlay: where the underlay knows no way and a tunnel does, nothing would ever arrive.
Result<> Links::check_no_loop(const Endpoints& ends, const std::string& name, Outcome& outcome) {
  if (!ends.remote || context_.platform.lookup_route(*ends.remote, platform::kOuterMark)) return {};
  const auto inner = context_.platform.lookup_route(*ends.remote, 0);
  if (!inner || inner->interface_index == 0) return {};
  TRY_ASSIGN(const auto interfaces, context_.platform.interfaces());
  const auto through = std::ranges::find(interfaces, inner->interface_index, &platform::InterfaceInfo::index);
  if (through == interfaces.end() || !through->ours) return {};
  if (through->name == name)
    return fail(
        ELOOP,
        "invalid argument: {} is reached only through {} itself: the tunnel would carry itself; give the underlay a "
        "route to it first",
        ends.remote->str(), name);
  outcome.notes.push_back(
      fmt::format("{} is reached only through the tunnel {}, and outer packets never enter a tunnel: nothing "
                  "will pass until the underlay has a route to it",
                  ends.remote->str(), through->name));
  return {};
}

Result<> Links::check_ends(const Endpoints& ends, const std::string& name, Outcome& outcome) {
  TRY(check_pair_free(ends, name));
  if (ends.local) TRY(check_local(*ends.local));
  return check_no_loop(ends, name, outcome);
}

Result<Outcome> Links::modify(const std::string& name, const std::optional<std::string>& local,
                              const std::optional<std::string>& remote, bool temporary) {
  TRY_ASSIGN(Tunnel* const tunnel, find(name));
  Outcome outcome;
  TunnelRecord next = tunnel->active;
  if (local) next.local = local;
  if (remote) next.remote = remote;
  TRY_ASSIGN(const Endpoints ends, resolve_endpoints(*context_.names, next.type, next.local, next.remote));
  TRY(check_ends(ends, name, outcome));
  next.local_seen = ends.local;
  next.remote_seen = ends.remote;

  Undo undo;
  undo.add([this, tunnel, old = *tunnel] {
    *tunnel = old;
    set_ends(*tunnel, old.ends);
    (void)save_active({old.active.name});
    if (auto undone = save_stored({old.active.name}); !undone)
      context_.events.add(Severity::warning, EventKind::link_not_saved, old.active.name, undone.error().text);
    (void)refresh(*tunnel);
  });
  tunnel->active = next;
  if (tunnel->stored && !temporary) {
    tunnel->stored->local = next.local;
    tunnel->stored->remote = next.remote;
    tunnel->stored->local_seen = next.local_seen;
    tunnel->stored->remote_seen = next.remote_seen;
  }
  TRY(save_changed(*tunnel, !temporary));
  crash_point("modify:stored");
  forget_pair(*tunnel);
  set_ends(*tunnel, ends);
  tunnel->local_here = ends.local.has_value();
  tunnel->learned_mtu = 0;
  tunnel->underlay_mtu = underlay_mtu(ends);
  TRY(refresh(*tunnel));
  undo.keep();
  context_.events.add(Severity::info, EventKind::link_changed, name,
                      fmt::format("the outer addresses of {} were changed", name));
  for (auto* user : users_) user->link_ready(name);  // addrconf identifiers follow the outer addresses
  return outcome;
}

Result<Outcome> Links::bring_up() {
  service_up_ = true;
  for (auto& [name, tunnel] : tunnels_) {
    if (adopted_) tunnel.lost_policy = false;
  }
  if (adopted_) read_broken_again();
  refresh_all();
  return Outcome{};
}

Result<Outcome> Links::take_down() {
  service_up_ = false;
  refresh_all();
  return Outcome{};
}

}  // namespace adit::engine
