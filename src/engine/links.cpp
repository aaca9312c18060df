// The commands of dladm about tunnels: checks first, then the steps, then their names in the notes.
#include "engine/links.h"

#include <algorithm>

#include "engine/store.h"
#include "linux/mark.h"

namespace adit::engine {
namespace {

std::string joined(const std::vector<net::Prefix>& networks) {
  std::string text;
  for (const auto& network : networks) text += (text.empty() ? "" : ", ") + network.str();
  return text;
}

// What delete-iptun says about the networks that its tunnel guarded.
std::string opened_note(const std::vector<net::Prefix>& networks, const std::string& name) {
  return fmt::format(
      "{} {} guarded for {} and {} not any more: reachable in the clear wherever a route leads there "
      "(delete-iptun -k would have kept {} closed)",
      joined(networks), networks.size() == 1 ? "was" : "were", name, networks.size() == 1 ? "is" : "are",
      networks.size() == 1 ? "it" : "them");
}

std::string kept_note(const std::vector<net::Prefix>& networks, const std::string& why) {
  return fmt::format("{} {} closed: {}", joined(networks), networks.size() == 1 ? "stays" : "stay", why);
}

}  // namespace

Links::Links(const Context& context, Dataplane& dataplane, Guard& guard, TunnelPolicy& policy)
    : context_(context), dataplane_(dataplane), guard_(guard), policy_(policy) {}

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

tunnel::LinkId Links::free_id() const {
  uint32_t id = 1;
  for (const auto& [used, name] : names_) id = std::max(id, used + 1);
  return tunnel::LinkId{id};
}

Result<> Links::check_pair_free(const Endpoints& ends, const std::string& name) const {
  if (!ends.bound()) return {};
  for (const auto& [other, tunnel] : tunnels_) {
    if (other != name && tunnel.ends == ends)
      return fail(EADDRINUSE,
                  "address already in use: {} runs between {} and {} already; a pair of outer addresses carries one "
                  "tunnel",
                  other, ends.local->str(), ends.remote->str());
  }
  return {};
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

Result<> Links::may_delete(const std::string& name) const {
  for (const auto* user : users_) TRY(user->may_delete(name));
  return {};
}

Result<Outcome> Links::create(const IptunRequest& request) {
  TRY(tunnel::check_name(request.name));
  const std::string& name = request.name;
  if (tunnels_.contains(name))
    return fail(EEXIST, "object already exists: {} is a tunnel; choose another name, or delete it first", name);
  if (const auto there = context_.platform.interface(name); there && !there->ours)
    return fail(EEXIST, "object already exists: {} is an interface that Adit did not make; choose another name", name);
  Outcome outcome;
  TRY_ASSIGN(const Endpoints ends, resolve_endpoints(request.type, request.local, request.remote));
  TRY(check_ends(ends, name, outcome));

  Undo undo;
  Tunnel& tunnel = tunnels_[name];
  tunnel.active = {free_id(),         name,       request.type, request.local,
                   request.remote,    ends.local, ends.remote,  request.secured || context_.settings.require_security,
                   request.temporary, {}};
  tunnel.ends = ends;
  tunnel.local_here = ends.local.has_value();
  names_[static_cast<uint32_t>(tunnel.active.id)] = name;
  undo.add([&] {
    names_.erase(static_cast<uint32_t>(tunnel.active.id));
    tunnels_.erase(name);
    (void)save_active();
  });
  TRY(save_active(&tunnel.active));  // a daemon killed in the middle finds its half-made device by this
  crash_point("create:recorded");
  TRY(guard_rules(tunnel, undo));
  crash_point("create:guarded");
  TRY(make_device(tunnel, undo));
  crash_point("create:device");
  if (!request.temporary) {
    tunnel.stored = tunnel.active;
    undo.add([&] {
      tunnel.stored.reset();
      if (auto undone = save_stored(); !undone)
        context_.events.add(Severity::warning, "link.not-saved", name, undone.error().text);
    });
    TRY(save_stored());
    crash_point("create:stored");
  } else {
    TRY(save_active());
  }
  TRY(refresh(tunnel));
  crash_point("create:carrier");
  undo.keep();
  policy_.tunnel_made(name);
  context_.events.add(Severity::info, "link.created", name, fmt::format("{} was made", name));
  for (auto* user : users_) user->link_ready(name);
  return outcome;
}

Result<Outcome> Links::modify(const std::string& name, const std::optional<std::string>& local,
                              const std::optional<std::string>& remote, bool temporary) {
  TRY_ASSIGN(Tunnel* const tunnel, find(name));
  Outcome outcome;
  TunnelRecord next = tunnel->active;
  if (local) next.local = local;
  if (remote) next.remote = remote;
  TRY_ASSIGN(const Endpoints ends, resolve_endpoints(next.type, next.local, next.remote));
  TRY(check_ends(ends, name, outcome));
  next.local_seen = ends.local;
  next.remote_seen = ends.remote;

  Undo undo;
  undo.add([this, tunnel, old = *tunnel] {
    *tunnel = old;
    (void)save_active();
    if (auto undone = save_stored(); !undone)
      context_.events.add(Severity::warning, "link.not-saved", old.active.name, undone.error().text);
    (void)refresh(*tunnel);
  });
  tunnel->active = next;
  if (tunnel->stored && !temporary) {
    tunnel->stored->local = next.local;
    tunnel->stored->remote = next.remote;
    tunnel->stored->local_seen = next.local_seen;
    tunnel->stored->remote_seen = next.remote_seen;
  }
  TRY(save_active());
  TRY(save_stored());
  crash_point("modify:stored");
  tunnel->ends = ends;
  tunnel->local_here = ends.local.has_value();
  tunnel->learned_mtu = 0;
  tunnel->underlay_mtu = underlay_mtu(ends);
  TRY(refresh(*tunnel));
  undo.keep();
  context_.events.add(Severity::info, "link.changed", name,
                      fmt::format("the outer addresses of {} were changed", name));
  for (auto* user : users_) user->link_ready(name);  // addrconf identifiers follow the outer addresses
  return outcome;
}

void Links::unmake(Tunnel& tunnel) {
  const tunnel::LinkId id = tunnel.active.id;
  names_.erase(static_cast<uint32_t>(id));
  dataplane_.take_link(id);
  dataplane_.publish();
}

Result<Outcome> Links::remove(const std::string& name, bool temporary, bool keep_closed) {
  TRY_ASSIGN(Tunnel* const tunnel, find(name));
  TRY(may_delete(name));
  Outcome outcome;
  const bool secured = tunnel->active.secured;
  const bool comes_back = temporary && tunnel->stored;
  const auto guarded = guard_.networks_of(name);

  Undo undo;
  if (secured && keep_closed) {
    undo.add([this, book = guard_.book()] { guard_.put_back(book); });
    TRY(guard_.keep(name));
  }
  crash_point("delete:kept");
  undo.add([this, tunnel] { (void)refresh(*tunnel); });
  if (tunnel->carrier) TRY(context_.platform.set_carrier(name, false));
  tunnel->carrier = false;
  crash_point("delete:carrier");
  if (!comes_back && tunnel->stored) {
    undo.add([this, tunnel, stored = *tunnel->stored] {
      tunnel->stored = stored;
      if (auto undone = save_stored(); !undone)
        context_.events.add(Severity::alert, "link.not-saved", stored.name, undone.error().text);
    });
    tunnel->stored.reset();
    TRY(save_stored());
  }
  crash_point("delete:unstored");
  TRY(context_.platform.delete_tun(name));
  undo.keep();
  crash_point("delete:device");

  const std::optional<TunnelRecord> stored = tunnel->stored;
  dataplane_.detach(tunnel->active.id);
  unmake(*tunnel);
  tunnels_.erase(name);
  (void)save_active();
  context_.events.add(Severity::info, "link.deleted", name, fmt::format("{} was deleted", name));
  for (auto* user : users_) user->link_gone(name);
  if (!comes_back) policy_.tunnel_gone(name);
  if (guarded.empty()) return outcome;
  if (comes_back)
    outcome.notes.push_back(kept_note(guarded, fmt::format("{} comes back at the next start", name)));
  else if (keep_closed)
    outcome.notes.push_back(kept_note(guarded, "`adit guard open NETWORK` opens one"));
  else
    open_networks(name, guarded, outcome);
  return outcome;
}

// The promise ended with the command: what its tunnel guarded is let go, and the operator told.
void Links::open_networks(const std::string& name, const std::vector<net::Prefix>& guarded, Outcome& outcome) {
  const auto opened = guard_.forget(name);
  if (!opened)
    outcome.notes.push_back(kept_note(guarded, opened.error().text));
  else if (!opened->empty())
    outcome.notes.push_back(opened_note(*opened, name));
}

Result<Outcome> Links::rename(const std::string& name, const std::string& new_name) {
  TRY_ASSIGN(Tunnel* const tunnel, find(name));
  TRY(tunnel::check_name(new_name));
  if (tunnels_.contains(new_name) || context_.platform.interface(new_name))
    return fail(EEXIST, "object already exists: {}; choose another name", new_name);
  TRY(may_delete(name));

  Undo undo;
  undo.add([this, &name] { (void)refresh(tunnels_.at(name)); });
  if (tunnel->carrier) TRY(context_.platform.set_carrier(name, false));
  tunnel->carrier = false;
  undo.add([this, book = guard_.book()] { guard_.put_back(book); });
  TRY(guard_.hold_also(name, new_name));
  crash_point("rename:guarded");
  TunnelRecord coming = tunnel->active;
  coming.id = free_id();
  coming.name = new_name;
  undo.add([this] { (void)save_active(); });
  TRY(save_active(&coming));
  crash_point("rename:recorded");
  TRY(context_.platform.rename_link(name, new_name));
  undo.add([this, &name, &new_name] { (void)context_.platform.rename_link(new_name, name); });
  crash_point("rename:device");
  const auto move = [this](const std::string& from, const std::string& to) {
    auto node = tunnels_.extract(from);
    node.key() = to;
    node.mapped().active.name = to;
    if (node.mapped().stored) node.mapped().stored->name = to;
    names_[static_cast<uint32_t>(node.mapped().active.id)] = to;
    tunnels_.insert(std::move(node));
  };
  move(name, new_name);
  undo.add([this, &name, &new_name, move] {
    move(new_name, name);
    (void)save_stored();
    (void)save_active();
  });
  if (tunnels_.at(new_name).stored) TRY(save_stored());
  crash_point("rename:stored");
  TRY(save_active());
  undo.keep();
  policy_.tunnel_gone(name);
  policy_.tunnel_made(new_name);
  context_.events.add(Severity::info, "link.renamed", new_name, fmt::format("{} is called {} now", name, new_name));
  if (auto forgotten = guard_.forget(name); !forgotten)
    context_.events.add(Severity::warning, "guard.failed", name, forgotten.error().text);
  for (auto* user : users_) user->link_renamed(name, new_name);
  TRY(refresh(tunnels_.at(new_name)));
  Outcome outcome;
  if (tunnels_.at(new_name).active.secured && !policy_.head_of(new_name))
    outcome.notes.push_back(
        fmt::format("policy goes by the tunnel's name: {} has no rule and is down until one names it", new_name));
  return outcome;
}

Result<Outcome> Links::bring_up() {
  service_up_ = true;
  for (auto& [name, tunnel] : tunnels_) {
    if (adopted_) tunnel.lost_policy = false;
  }
  refresh_all();
  return Outcome{};
}

Result<Outcome> Links::take_down() {
  service_up_ = false;
  refresh_all();
  return Outcome{};
}

}  // namespace adit::engine
