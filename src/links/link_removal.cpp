// delete-iptun: carrier, what stands on the tunnel, disk, device, guard (docs/model/tunnel.pml).
#include <ranges>

#include "base/store.h"
#include "base/text.h"
#include "links/links.h"

namespace adit::engine {
namespace {

// What delete-iptun says about the networks that its tunnel guarded.
std::string opened_note(const std::vector<net::Prefix>& networks, const std::string& name) {
  return fmt::format(
      "{} {} guarded for {} and {} not any more: reachable in the clear wherever a route leads there "
      "(delete-iptun -k would have kept {} closed)",
      joined(networks, ", ", &net::Prefix::str), networks.size() == 1 ? "was" : "were", name,
      networks.size() == 1 ? "is" : "are", networks.size() == 1 ? "it" : "them");
}

std::string kept_note(const std::vector<net::Prefix>& networks, const std::string& why) {
  return fmt::format("{} {} closed: {}", joined(networks, ", ", &net::Prefix::str),
                     networks.size() == 1 ? "stays" : "stay", why);
}

// "the address v4_bob0/v4 ('ipadm delete-addr v4_bob0/v4'), the route ..."
std::string listed(const std::vector<LinkUser::Obstacle>& obstacles) {
  std::string text;
  for (const auto& [what, remedy] : obstacles)
    text += fmt::format("{}{} ('{}')", text.empty() ? "" : ", ", what, remedy);
  return text;
}

}  // namespace

std::vector<LinkUser::Obstacle> Links::obstacles(const std::string& name) const {
  std::vector<LinkUser::Obstacle> all;
  for (const auto* user : users_) {
    for (auto& obstacle : user->standing_on(name)) all.push_back(std::move(obstacle));
  }
  return all;
}

Result<> Links::may_delete(const std::string& name) const {
  for (const auto* user : users_) {
    if (user->may_delete(name)) continue;
    return fail(EBUSY,
                "link busy; {} has {}; remove them first, or all of them with the tunnel: 'dladm delete-iptun -r {}'",
                name, listed(obstacles(name)), name);
  }
  return {};
}

void Links::unmake(Tunnel& tunnel) {
  const tunnel::LinkId id = tunnel.active.id;
  names_.erase(static_cast<uint32_t>(id));
  devices_.erase(tunnel.index);
  forget_pair(tunnel);
  dataplane_.take_link(id);
  dataplane_.publish();
}

Result<> Links::close_carrier(Tunnel& tunnel, Undo& undo) {
  undo.add([this, &tunnel] { (void)refresh(tunnel); });
  if (!tunnel.carrier) return {};
  TRY(context_.platform.set_carrier(tunnel.active.name, false));
  context_.steps.carrier(tunnel.active.name, false);
  tunnel.carrier = false;
  return {};
}

// On disk before the first address or route goes: whatever happens now, the next start goes on from here.
Result<> Links::mark_deleting(Tunnel& tunnel, bool keep_closed, Undo& undo) {
  undo.add([this, &tunnel] {
    if (auto undone = take_mark_away(tunnel); !undone)
      context_.events.add(Severity::alert, EventKind::link_not_saved, tunnel.active.name, undone.error().text);
  });
  const auto mark = [&](TunnelRecord& record) {
    record.deleting = true;
    record.keep_closed = keep_closed;
  };
  mark(tunnel.active);
  if (tunnel.stored) mark(*tunnel.stored);
  TRY(save_changed(tunnel, true));
  crash_point("delete:marked");
  return {};
}

// The tunnel stays. Until that is on disk the next start would go on with the deletion and open what was promised
// since: so long the tunnel is closed, no command promises anything for it (may_promise), and tick() tries again.
Result<> Links::take_mark_away(Tunnel& tunnel) {
  const TunnelRecord active = tunnel.active;
  const auto stored = tunnel.stored;
  tunnel.active.deleting = tunnel.active.keep_closed = false;
  if (tunnel.stored) tunnel.stored->deleting = tunnel.stored->keep_closed = false;
  auto saved = save_changed(tunnel, true);
  if (saved) return {};
  tunnel.active = active;
  tunnel.stored = stored;
  return saved;
}

// Routes lean on addresses, so they go first.
Result<> Links::take_off_all(Tunnel& tunnel, bool keep_closed, Undo& undo) {
  if (obstacles(tunnel.active.name).empty()) return {};
  TRY(mark_deleting(tunnel, keep_closed, undo));
  for (auto* user : users_ | std::views::reverse) TRY(user->take_off(tunnel.active.name, undo));
  crash_point("delete:bare");
  return {};
}

Result<> Links::unstore(Tunnel& tunnel, Undo& undo) {
  if (!tunnel.stored) return {};
  undo.add([this, &tunnel, stored = *tunnel.stored] {
    tunnel.stored = stored;
    if (auto undone = save_stored({stored.name}); !undone)
      context_.events.add(Severity::alert, EventKind::link_not_saved, stored.name, undone.error().text);
  });
  tunnel.stored.reset();
  TRY(save_stored({tunnel.active.name}));
  crash_point("delete:unstored");
  return {};
}

// A tunnel of which only a line is known that cannot be read. What it had closed only the operator opens: nobody knows
// whether it was this one's.
Result<Outcome> Links::remove_broken(const std::string& name) {
  Undo undo;
  undo.add([this, broken = broken_lines_, aside = aside_] {
    broken_lines_ = broken;
    aside_ = aside;
    if (auto undone = stored_file_.write(stored_conf()); !undone)
      context_.events.add(Severity::alert, EventKind::link_not_saved, "", undone.error().text);
  });
  std::erase_if(broken_lines_, [&](const BrokenLine& line) { return line.name == name; });
  std::erase_if(aside_, [&](const TunnelRecord& record) { return record.name == name; });
  TRY(stored_file_.write(stored_conf()));
  if (context_.platform.interface(name)) {
    auto gone = context_.platform.delete_tun(name, platform::DeviceName::recorded);
    if (!gone && gone.error().code != EEXIST) return std::unexpected(gone.error());
  }
  undo.keep();
  (void)save_active({name});
  context_.events.add(Severity::info, EventKind::link_deleted, name,
                      fmt::format("the unreadable line of {} was deleted", name));
  Outcome outcome;
  if (const auto guarded = guard_.networks_of(name); !guarded.empty())
    outcome.notes.push_back(kept_note(guarded, "`adit guard open NETWORK` opens one"));
  return outcome;
}

Result<Outcome> Links::remove(const std::string& name, bool temporary, bool keep_closed, bool recursive) {
  if (!tunnels_.contains(name) && broken_line_of(name) != nullptr) return remove_broken(name);
  TRY_ASSIGN(Tunnel* const tunnel, find(name));
  const bool secured = tunnel->active.secured, comes_back = temporary && tunnel->stored;
  if (comes_back && recursive)
    return fail(EINVAL,
                "invalid argument: -t keeps {} for the next start, -r takes its addresses and routes away for good; "
                "give one of them",
                name);
  if (!recursive) TRY(may_delete(name));
  Outcome outcome;
  const auto guarded = guard_.networks_of(name);

  Undo undo;
  TRY(close_carrier(*tunnel, undo));
  crash_point("delete:carrier");
  if (secured && keep_closed) {
    TRY_ASSIGN(const auto before, guard_.keep(name));
    undo.add([this, before] { guard_.take_back(before); });
    crash_point("delete:kept");
  }
  if (recursive) TRY(take_off_all(*tunnel, keep_closed, undo));
  if (!comes_back) TRY(unstore(*tunnel, undo));
  // Something else that stands under the name is left alone.
  if (auto gone = context_.platform.delete_tun(name, platform::DeviceName::recorded);
      !gone && (tunnel->device || gone.error().code != EEXIST))
    return std::unexpected(gone.error());
  undo.keep();
  if (tunnel->device) taken_away_.insert(tunnel->index);
  context_.steps.device_removed(name, tunnel->index);
  crash_point("delete:device");

  if (comes_back) resting_.insert_or_assign(name, *tunnel->stored);
  dataplane_.detach(tunnel->active.id);
  if (context_.told != nullptr) context_.told->gone(name);
  unmake(*tunnel);
  tunnels_.erase(name);
  (void)save_active({name});
  if (auto told = guard_.tunnels_changed({name}); !told)
    context_.events.add(Severity::warning, EventKind::guard_failed, name, told.error().text);
  context_.events.add(Severity::info, EventKind::link_deleted, name, fmt::format("{} was deleted", name));
  for (auto* user : users_) user->link_gone(name);
  if (!comes_back) policy_.tunnel_gone(name);
  if (guarded.empty() || !secured) return outcome;  // what an earlier tunnel of that name closed is not this one's
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

// What a killed daemon had begun. Where that fails the tunnel stays, with what is still on it.
void Links::finish_removals() {
  std::vector<std::pair<std::string, bool>> begun;
  for (const auto& [name, tunnel] : tunnels_) {
    if (tunnel.active.deleting) begun.emplace_back(name, tunnel.active.keep_closed);
  }
  for (const auto& [name, keep_closed] : begun) {
    const auto done = remove(name, false, keep_closed, true);
    if (!done) (void)take_mark_away(tunnels_.at(name));
    context_.events.add(done ? Severity::info : Severity::alert, EventKind::link_undone, name,
                        done ? fmt::format("{} was half deleted when aditd died: the rest is gone now", name)
                             : fmt::format("{0} was half deleted when aditd died and cannot be deleted now: {1}; it "
                                           "stays, with what is still on it; 'dladm delete-iptun -r {0}' deletes it",
                                           name, done.error().text));
  }
}

}  // namespace adit::engine
