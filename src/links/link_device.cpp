// A tunnel's device: guarded first, carrier off from its first instant, its queues given to the workers.
#include <algorithm>

#include "base/store.h"
#include "links/links.h"
#include "linux/platform/mark.h"

namespace adit::engine {
namespace {

constexpr uint32_t kMostUdpPayload = 65507, kMostSegments = 64;  // one UDP GSO send
constexpr uint32_t kTcp4Headers = 52;                            // IPv4 and TCP with timestamps

}  // namespace

Result<> Links::guard_rules(const Tunnel& tunnel, Undo& undo) {
  if (!tunnel.active.secured) return {};
  const std::string& name = tunnel.active.name;
  TRY_ASSIGN(const auto before,
             guard_.hold(policy_.holds_of(name, policy_.head_of(name).get(), tunnel.active.temporary)));
  undo.add([this, before] { guard_.take_back(before); });
  return {};
}

uint32_t Links::underlay_mtu(const Endpoints& ends) {
  constexpr uint32_t kUsual = 1500;
  if (!ends.remote) return kUsual;
  const auto route = context_.platform.lookup_route(*ends.remote, platform::kOuterMark);
  if (!route || route->interface_index == 0) return kUsual;
  const auto found = underlay().find(route->interface_index);
  return found == underlay_.end() ? kUsual : found->second.mtu;
}

bool Links::know_underlay(const std::vector<platform::InterfaceInfo>& interfaces) {
  const UnderlayInterfaces before = std::exchange(underlay_, {});
  for (const auto& device : interfaces) {
    if (!device.ours) underlay_.emplace(device.index, device);
  }
  return std::ranges::any_of(underlay_, [&](const auto& known) {
    const auto old = before.find(known.first);
    return old == before.end() || old->second.mtu != known.second.mtu;
  });
}

void Links::underlay_changed() {
  std::vector<Tunnel*> changed;
  for (auto& [name, tunnel] : tunnels_) {
    if (!tunnel.device) continue;
    const uint32_t mtu = underlay_mtu(tunnel.ends);
    if (std::exchange(tunnel.underlay_mtu, mtu) != mtu) changed.push_back(&tunnel);
  }
  if (!changed.empty()) (void)refresh(changed);
}

// The kernel's list grows with the tunnels, and each new one would read it: reassert() keeps this copy fresh instead.
const UnderlayInterfaces& Links::underlay() {
  if (underlay_.empty()) {
    if (const auto interfaces = context_.platform.interfaces(); interfaces) (void)know_underlay(*interfaces);
  }
  return underlay_;
}

// A refusal by the copy may be because an interface has just come: then the kernel is asked.
Result<> Links::check_local(const net::Address& local) {
  if (check_local_here(context_.platform, underlay(), local)) return {};
  underlay_.clear();
  return check_local_here(context_.platform, underlay(), local);
}

// The kernel may hand us super-packets so large that, cut and sealed, they are still one send to the underlay.
void Links::fit_super_packets(const Tunnel& tunnel) {
  const uint32_t mtu = tunnel.device_mtu;
  const uint32_t segments = std::clamp(kMostUdpPayload / (mtu + tunnel::kEspOverhead), 1u, kMostSegments);
  const uint32_t bytes = kTcp4Headers + segments * (mtu - kTcp4Headers);
  (void)context_.platform.set_gso_max(tunnel.active.name, bytes, segments);  // without it more sends, nothing else
}

// What a device that outlived its daemon had lost before is not this daemon's.
void Links::begin_losses(Tunnel& tunnel) {
  const auto device = context_.platform.interface(tunnel.active.name);
  tunnel.lost_before = device ? device->counters.lost : 0;
}

}  // namespace adit::engine
