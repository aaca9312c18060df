// Tunnels across the daemon's lives: what an earlier one left is taken over with the carrier off, what it had begun is
// undone, and what others do to the devices is put back.
#include <algorithm>

#include "base/store.h"
#include "links/links.h"

namespace adit::engine {
namespace {

constexpr Seconds kFirstPatience{1}, kMostPatience{30};
constexpr Seconds kPathMtuLife{600};  // RFC 1191 §6.3: after that a larger one is tried again

}  // namespace

void Links::adopt(TunnelRecord active, std::optional<TunnelRecord> stored) {
  const std::string name = active.name;
  Tunnel& tunnel = tunnels_[name];
  tunnel.active = std::move(active);
  tunnel.stored = std::move(stored);
  tunnel.told = Stand::unknown;
  tunnel.active.secured = tunnel.active.secured || context_.settings.require_security;
  tunnel.counters = dataplane_.make_counters();
  names_[static_cast<uint32_t>(tunnel.active.id)] = name;
  next_id_ = std::max(next_id_, static_cast<uint32_t>(tunnel.active.id) + 1);
  bind(tunnel, known_ends(tunnel.active));
  policy_.tunnel_made(name);
  if (const auto broken = broken_at_start_.find(name); broken != broken_at_start_.end())
    tunnel.broken_policy = broken->second;
  const auto head = policy_.head_of(name);
  tunnel.lost_policy = tunnel.active.had_policy && !tunnel.active.secured && !(head && head->active());
  put_device_back(tunnel);
}

void Links::undo_half_made(const TunnelRecord& record) {
  if (!context_.platform.interface(record.name)) return;
  const auto gone = context_.platform.delete_tun(record.name, platform::DeviceName::recorded);
  if (!gone) return left_over(record, gone.error());
  context_.events.add(Severity::info, EventKind::link_undone, record.name,
                      fmt::format("{} was half made or half deleted when aditd died: it is gone", record.name));
}

// EEXIST: something else stands under the name.
void Links::left_over(const TunnelRecord& record, const Error& error) {
  if (error.code != EEXIST) left_over_.insert_or_assign(record.name, record);
  context_.events.add(Severity::warning, EventKind::link_undone, record.name,
                      fmt::format("{} is half made and cannot be removed: {}", record.name, error.text));
}

// Opens the device (a new one, or the one that stands, with its addresses and routes), carrier off. What fails leaves
// the tunnel without a device, closed, and told; the others are none the worse.
void Links::put_device_back(Tunnel& tunnel) {
  if (auto opened = open_device(tunnel); !opened) return device_failed(tunnel, opened.error());
  if (!std::exchange(tunnel.broken_device, {}).empty())
    context_.events.add(Severity::info, EventKind::link_restored, tunnel.active.name,
                        fmt::format("the device of {} could be made at last", tunnel.active.name));
  tunnel.patience = {};
  tunnel.name_taken = false;
  dress_device(tunnel);
}

Result<> Links::open_device(Tunnel& tunnel) {
  Undo undo;
  TRY(guard_rules(tunnel, undo));
  undo.keep();  // closed stays closed
  TRY_ASSIGN(auto ports,
             context_.platform.open_tun(tunnel.active.name, dataplane_.workers(), platform::DeviceName::recorded));
  TRY_ASSIGN(const auto made, context_.platform.interface(tunnel.active.name));
  had_device(tunnel, made.index);
  context_.steps.device_added(tunnel.active.name, made.index, tunnel.active.secured);
  begin_losses(tunnel);
  tunnel.carrier = false;
  tunnel.underlay_mtu = underlay_mtu(tunnel.ends);
  tunnel.device_mtu = mtu_of(tunnel, policy_.head_of(tunnel.active.name).get()).mtu;
  dataplane_.put_link(link_for_packets(tunnel, false));
  dataplane_.publish();
  TRY(dataplane_.attach(tunnel.active.id, std::move(ports)));
  tunnel.device = true;
  return {};
}

void Links::dress_device(const Tunnel& tunnel) {
  const std::string& name = tunnel.active.name;
  if (auto sized = context_.platform.set_mtu(name, tunnel.device_mtu); !sized)
    context_.events.add(Severity::warning, EventKind::link_failed, name, sized.error().text);
  fit_super_packets(tunnel);
  if (auto up = context_.platform.set_link_up(name, true); !up)
    context_.events.add(Severity::warning, EventKind::link_failed, name, up.error().text);
}

// Told once for each reason, not at each try.
void Links::device_failed(Tunnel& tunnel, const Error& error) {
  tunnel.device = false;
  tunnel.name_taken = error.code == EEXIST;
  tunnel.patience = std::clamp(2 * tunnel.patience, kFirstPatience, kMostPatience);
  tunnel.try_again = context_.clock.now() + tunnel.patience;
  if (tunnel.broken_device == error.text) return;
  tunnel.broken_device = error.text;
  context_.events.add(Severity::alert, EventKind::link_failed, tunnel.active.name, state_of(tunnel).why_closed);
}

void Links::had_device(Tunnel& tunnel, int index) {
  devices_.erase(tunnel.index);
  devices_.insert_or_assign(index, tunnel.active.id);
  tunnel.index = index;
}

void Links::lose_device(Tunnel& tunnel) {
  dataplane_.detach(tunnel.active.id);
  context_.steps.device_removed(tunnel.active.name, tunnel.index);
  tunnel.device = false;
  tunnel.carrier = false;
}

bool Links::device_is_due(const Tunnel& tunnel, MonoTime now) const {
  return !tunnel.device && now >= tunnel.try_again;
}

void Links::adopted() {
  adopted_ = true;
  refresh_all();
}

void Links::stop() {
  adopted_ = false;
  stored_at_ = {};
  write_stored();
  for (auto& [name, tunnel] : tunnels_) {
    if (tunnel.carrier && context_.platform.set_carrier(name, false)) context_.steps.carrier(name, false);
    tunnel.carrier = false;
  }
}

void Links::look_for_local_addresses() {
  const auto addresses = context_.platform.addresses();
  const auto interfaces = context_.platform.interfaces();
  if (!addresses || !interfaces) return;
  std::unordered_map<int, bool> usable;
  for (const auto& device : *interfaces) usable[device.index] = device.up && !device.ours;
  std::map<net::Address, bool> here;
  for (const auto& address : *addresses) {
    if (usable[address.interface_index] && !address.duplicate) here[address.local.address()] = true;
  }
  std::vector<Tunnel*> changed;
  for (auto& [name, tunnel] : tunnels_) {
    const bool now = tunnel.ends.local && here.contains(*tunnel.ends.local);
    if (now == tunnel.local_here) continue;
    tunnel.local_here = now;
    tunnel.underlay_mtu = underlay_mtu(tunnel.ends);
    changed.push_back(&tunnel);
  }
  if (!changed.empty()) (void)refresh(changed);
}

// What the kernel has under the tunnel's name: nothing, ours, or somebody else's. True: something was done about it.
bool Links::look_at_device(Tunnel& tunnel, const platform::InterfaceInfo* device) {
  const std::string& name = tunnel.active.name;
  if (!tunnel.device) {
    if (!tunnel.name_taken || device != nullptr) return false;
    tunnel.try_again = {};  // the name is free again: the next tick
    return false;
  }
  // Known by its index: another device of that name is not ours, and ours stays ours in whatever group.
  const bool gone = device == nullptr || device->index != tunnel.index;
  if (!gone && device->up && device->mtu == tunnel.device_mtu && device->carrier == tunnel.carrier) return false;
  const bool down = !gone && !device->up;
  if (gone || down)
    context_.events.add(Severity::alert, EventKind::link_restored, name,
                        fmt::format("somebody {} {}; it is put back", gone ? "removed" : "took down", name));
  if (gone) {
    lose_device(tunnel);
    put_device_back(tunnel);
  } else {
    tunnel.carrier = device->carrier;  // refresh sets it right
    if (down || device->mtu != tunnel.device_mtu) dress_device(tunnel);
  }
  if ((gone && tunnel.device) || down) {
    for (auto* user : users_) user->link_ready(name);
  }
  return true;
}

bool Links::is_as_wanted(const platform::Change& change) const {
  if (change.gone) return took_away(change.interface_index);
  if (change.fell || !change.link) return false;
  const auto found = tunnels_.find(change.link->name);
  if (found == tunnels_.end()) return false;
  const Tunnel& tunnel = found->second;
  return tunnel.device && tunnel.index == change.interface_index && change.link->up &&
         change.link->mtu == tunnel.device_mtu && change.link->carrier == tunnel.carrier;
}

void Links::reassert(bool links_changed, bool addresses_changed) {
  if (links_changed) {
    const auto interfaces = context_.platform.interfaces();
    if (!interfaces) return;
    if (know_underlay(*interfaces)) underlay_changed();
    std::unordered_map<std::string, const platform::InterfaceInfo*> by_name;
    for (const auto& device : *interfaces) by_name.emplace(device.name, &device);
    std::vector<Tunnel*> touched;
    for (auto& [name, tunnel] : tunnels_) {
      const auto found = by_name.find(name);
      if (look_at_device(tunnel, found == by_name.end() ? nullptr : found->second)) touched.push_back(&tunnel);
    }
    if (!touched.empty()) (void)refresh(touched);
  }
  if (addresses_changed || links_changed) look_for_local_addresses();
}

void Links::tick() {
  const MonoTime now = context_.clock.now();
  std::vector<Tunnel*> touched;
  for (auto& [name, tunnel] : tunnels_) {
    bool again = tunnel.usable != tunnel.carrier;
    if (tunnel.active.deleting) again = take_mark_away(tunnel).has_value();
    if (device_is_due(tunnel, now)) {
      put_device_back(tunnel);
      again = tunnel.device;
      if (again) {
        for (auto* user : users_) user->link_ready(name);
      }
    }
    if (tunnel.learned_mtu != 0 && now - tunnel.learned_at > kPathMtuLife) {
      tunnel.learned_mtu = 0;
      again = true;
    }
    if (again) touched.push_back(&tunnel);
    watch(tunnel, now);
  }
  if (!touched.empty()) (void)refresh(touched);
  write_stored();
}

}  // namespace adit::engine
