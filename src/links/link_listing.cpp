// show-iptun and show-link.
#include <algorithm>

#include "base/drop_reason.h"
#include "links/links.h"

namespace adit::engine {
namespace {

const char* type_name(tunnel::Type type) {
  return type == tunnel::Type::ipv4 ? "ipv4" : "ipv6";
}

std::string address_text(const std::optional<net::Address>& known, const std::optional<std::string>& typed) {
  return known ? known->str() : typed.value_or("");
}

using Drops = std::array<uint64_t, kDropReasons>;

std::vector<std::pair<std::string, uint64_t>> not_zero(const Drops& drops) {
  std::vector<std::pair<std::string, uint64_t>> named;
  for (size_t i = 1; i < kDropReasons; ++i) {
    if (drops[i] != 0) named.emplace_back(std::string(kDropReasonTexts[i].name), drops[i]);
  }
  return named;
}

// `lost`: what the device's queue could not take.
void add_up(const std::vector<std::shared_ptr<datapath::LinkCounters>>& workers, uint64_t lost, LinkInfo& info) {
  Drops in{}, out{};
  for (const auto& counters : workers) {
    info.ipackets += counters->ipackets.get();
    info.rbytes += counters->rbytes.get();
    info.ierrors += counters->ierrors.get();
    info.opackets += counters->opackets.get();
    info.obytes += counters->obytes.get();
    info.oerrors += counters->oerrors.get();
    for (size_t i = 1; i < kDropReasons; ++i) {
      in[i] += counters->drops_in[i].get();
      out[i] += counters->drops_out[i].get();
    }
  }
  info.oerrors += lost;
  out[static_cast<size_t>(DropReason::tun_backlog)] += lost;
  info.drops_in = not_zero(in);
  info.drops_out = not_zero(out);
}

}  // namespace

Result<std::vector<IptunInfo>> Links::show_iptun(const std::string& name, bool persistent) const {
  std::vector<IptunInfo> all;
  if (!name.empty()) TRY(find(name));
  for (const auto& [key, tunnel] : tunnels_) {
    if (!name.empty() && key != name) continue;
    if (persistent && !tunnel.stored) continue;
    const TunnelRecord& record = persistent ? *tunnel.stored : tunnel.active;
    IptunInfo info{key, type_name(record.type)};
    info.secured = tunnel.active.secured;
    info.temporary = record.temporary;
    const auto head = policy_.head_of(key);
    info.policy = head != nullptr && head->active();
    info.flags = persistent ? "--" : fmt::format("{}-{}", info.policy ? 's' : '-', info.secured ? 'S' : '-');
    info.local = persistent ? record.local.value_or("") : address_text(tunnel.ends.local, record.local);
    info.remote = persistent ? record.remote.value_or("") : address_text(tunnel.ends.remote, record.remote);
    all.push_back(std::move(info));
  }
  if (!name.empty() && all.empty()) return fail(ENOENT, "object not found: {} is temporary", name);
  return all;
}

LinkInfo Links::info_of(const Tunnel& tunnel, const platform::InterfaceInfo* device) const {
  LinkInfo info{tunnel.active.name, "iptun", tunnel.usable ? "up" : "down"};
  info.mtu = tunnel.device_mtu;
  info.secured = tunnel.active.secured;
  if (tunnel.closed) info.closed_by = tunnel::name_of(*tunnel.closed);
  info.why_down = down_sentence(tunnel);
  info.open = tunnel.published && datapath::passes_clear_text(*tunnel.published);
  if (info.open) info.why_open = words_for(tunnel, Stand::open);
  if (std::string trouble = send_trouble(tunnel); !trouble.empty()) {
    info.state = "failing";
    info.why_down = std::move(trouble);
  } else if (tunnel.usable) {
    info.why_down = peer_trouble(tunnel);
  }
  const uint64_t lost = device == nullptr ? 0 : device->counters.lost;
  add_up(tunnel.counters, lost - std::min(lost, tunnel.lost_before), info);
  return info;
}

Result<std::vector<LinkInfo>> Links::show_link(const std::string& name) const {
  std::vector<LinkInfo> all;
  TRY_ASSIGN(const auto interfaces, context_.platform.interfaces());
  std::unordered_map<std::string_view, const platform::InterfaceInfo*> by_name;
  for (const auto& device : interfaces) by_name.emplace(device.name, &device);
  for (const auto& device : interfaces) {
    if (device.loopback || device.ours || tunnels_.contains(device.name)) continue;
    if (!name.empty() && device.name != name) continue;
    LinkInfo info{device.name, "phys", device.up && device.carrier ? "up" : "down"};
    info.mtu = device.mtu;
    info.ipackets = device.counters.ipackets;
    info.rbytes = device.counters.rbytes;
    info.ierrors = device.counters.ierrors;
    info.opackets = device.counters.opackets;
    info.obytes = device.counters.obytes;
    info.oerrors = device.counters.oerrors;
    all.push_back(std::move(info));
  }
  for (const auto& [key, tunnel] : tunnels_) {
    if (!name.empty() && key != name) continue;
    const auto device = by_name.find(key);
    all.push_back(info_of(tunnel, device == by_name.end() ? nullptr : device->second));
  }
  if (!name.empty() && all.empty()) return fail(ENOENT, "object not found: there is no link {}", name);
  return all;
}

}  // namespace adit::engine
