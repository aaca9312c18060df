#include "guard/local_networks.h"

#include <map>
#include <set>
#include <unordered_map>

namespace adit::engine {
namespace {

// Names of the tunnels of ours by interface index.
std::unordered_map<int, std::string> tunnel_devices(platform::Platform& platform, const LinkView& links) {
  std::unordered_map<int, std::string> found;
  const auto interfaces = platform.interfaces();
  if (!interfaces) return found;
  for (const auto& device : *interfaces) {
    if (device.ours || links.tunnel(device.name)) found.emplace(device.index, device.name);
  }
  return found;
}

}  // namespace

std::vector<LocalNetwork> local_networks(platform::Platform& platform, const LinkView& links) {
  const auto addresses = platform.addresses_in_networks();
  if (!addresses) return {};
  std::set<LocalNetwork> networks;
  std::map<int, std::string> devices;  // by index; of tunnels: no name
  for (const auto& address : *addresses) {
    const auto [known, fresh] = devices.try_emplace(address.interface_index);
    if (fresh && links.name_at(address.interface_index).empty())
      if (const auto device = platform.interface(address.interface_index);
          device && !device->ours && !links.tunnel(device->name))
        known->second = device->name;
    if (!known->second.empty()) networks.insert({address.local.masked(), address.interface_index, known->second});
  }
  return {networks.begin(), networks.end()};
}

std::vector<platform::OwnAddress> tunnel_addresses(platform::Platform& platform, const LinkView& links) {
  const auto tunnels = tunnel_devices(platform, links);
  const auto addresses = platform.addresses();
  std::vector<platform::OwnAddress> own;
  if (!addresses) return own;
  for (const auto& address : *addresses) {
    const auto device = tunnels.find(address.interface_index);
    if (device != tunnels.end()) own.push_back({address.local.address(), device->second});
  }
  return own;
}

}  // namespace adit::engine
