// show-addr and show-if: the kernel's addresses under the names that objects gave them (links-and-addresses.md §2.1).
#include <algorithm>
#include <set>

#include "host/addresses.h"

namespace adit::engine {
namespace {

using platform::AddressInfo;
using platform::InterfaceInfo;

std::string shown(const net::Prefix& local, const std::optional<net::Address>& peer) {
  return peer ? local.address().str() + "->" + peer->str() : local.str();
}

std::string letters(std::initializer_list<std::pair<bool, char>> flags) {
  std::string result;
  for (const auto& [set, letter] : flags) result += set ? letter : '-';
  return result;
}

bool is_at(const AddressRecord& record, const InterfaceInfo& interface, const AddressInfo& address) {
  return record.placed && record.interface == interface.name && address.interface_index == interface.index &&
         record.placed->local.address() == address.local.address() && record.placed->peer == address.peer;
}

std::string state_of(const AddressInfo& address, bool passes) {
  if (address.duplicate) return "duplicate";
  if (address.tentative) return "tentative";
  return passes ? "ok" : "inaccessible";
}

}  // namespace

// Whether what is beneath can carry packets. A tunnel's own word counts, the carrier follows it.
bool Addresses::passes(const InterfaceInfo* interface) const {
  if (interface == nullptr) return false;
  if (const auto tunnel = links_.tunnel(interface->name)) return tunnel->up && interface->up;
  return interface->up && (interface->carrier || interface->loopback);
}

AddressObject Addresses::described(const AddressRecord& record, const InterfaceInfo* interface,
                                   const AddressInfo* kernel) const {
  AddressObject object{.object = record.name, .type = record.addrconf ? "addrconf" : "static"};
  const auto plumbed = interfaces_.find(record.interface);
  const bool disabled =
      !record.active || interface == nullptr || (plumbed != interfaces_.end() && !plumbed->second.active);
  if (disabled)
    object.state = "disabled";
  else if (!record.up)
    object.state = "down";
  else
    object.state = kernel == nullptr ? "inaccessible" : state_of(*kernel, passes(interface));
  const bool up = !disabled && record.up;
  object.current = disabled ? "-----"
                            : letters({{up, 'U'},
                                       {false, 'u'},
                                       {false, 'p'},
                                       {kernel && kernel->temporary, 't'},
                                       {kernel && kernel->deprecated, 'd'}});
  object.persistent = record.persistent ? letters({{record.persistent_up, 'U'}, {false, 'p'}, {false, 'd'}}) : "---";
  if (record.placed) {
    object.address = shown(record.placed->local, record.placed->peer);
  } else if (const auto wanted = target(record); wanted && !disabled) {
    object.address = shown(wanted->local, wanted->peer);
  } else if (!record.addrconf) {
    object.address = record.local + (record.remote.empty() ? "" : "->" + record.remote);
    if (record.remote.empty() && record.prefix) object.address += fmt::format("/{}", *record.prefix);
  }
  return object;
}

Result<std::vector<AddressObject>> Addresses::list(const std::string& filter) const {
  TRY_ASSIGN(const auto interfaces, context_.platform.interfaces());
  TRY_ASSIGN(const auto addresses, context_.platform.addresses());
  const bool by_interface = filter.ends_with('/');
  const std::string wanted_interface = by_interface ? filter.substr(0, filter.size() - 1) : "";
  const auto wanted = [&](const std::string& object, const std::string& interface) {
    return filter.empty() || (by_interface ? interface == wanted_interface : object == filter);
  };
  std::vector<AddressObject> result;
  std::set<std::string> done;
  for (const InterfaceInfo& interface : interfaces) {
    for (const AddressInfo& address : addresses) {
      if (address.interface_index != interface.index) continue;
      const auto record =
          std::ranges::find_if(records_, [&](const auto& entry) { return is_at(entry.second, interface, address); });
      const std::string name = record == records_.end() ? interface.name + "/?" : record->first;
      if (record != records_.end()) done.insert(name);
      if (!wanted(name, interface.name)) continue;
      if (record != records_.end()) {
        result.push_back(described(record->second, &interface, &address));
        continue;
      }
      const bool by_itself =
          !address.local.address().is_v4() && (address.local.address().is_link_local() || address.temporary);
      result.push_back(
          {.object = name,
           .type = by_itself ? "addrconf" : "static",
           .state = state_of(address, passes(&interface)),
           .current = letters(
               {{interface.up, 'U'}, {false, 'u'}, {false, 'p'}, {address.temporary, 't'}, {address.deprecated, 'd'}}),
           .persistent = "---",
           .address = shown(address.local, address.peer)});
    }
    for (const auto& [name, record] : records_)
      if (record.interface == interface.name && done.insert(name).second && wanted(name, interface.name))
        result.push_back(described(record, &interface, nullptr));
  }
  for (const auto& [name, record] : records_)
    if (!done.contains(name) && wanted(name, record.interface)) result.push_back(described(record, nullptr, nullptr));
  if (!result.empty() || filter.empty()) return result;
  if (!by_interface) return fail(ENOENT, "Could not get address: Address object not found; there is no {}", filter);
  if (!interfaces_.contains(wanted_interface) &&
      std::ranges::find(interfaces, wanted_interface, &InterfaceInfo::name) == interfaces.end())
    return fail(ENOENT, "Could not get address: Interface does not exist; there is no {}", wanted_interface);
  return result;
}

IfInfo Addresses::described(const std::string& name, const InterfaceInfo* info,
                            const std::vector<AddressInfo>& kernel) const {
  const auto plumbed = interfaces_.find(name);
  const bool ours = plumbed != interfaces_.end();
  const bool tunnel = links_.tunnel(name).has_value();
  IfInfo row{.name = name};
  row.persistent =
      letters({{false, 's'}, {ours && plumbed->second.persistent, '4'}, {ours && plumbed->second.persistent, '6'}});
  if (info == nullptr || (ours && !plumbed->second.active)) {
    row.state = "disabled";
    row.current = std::string(12, '-');
    return row;
  }
  const auto has = [&](net::Family family) {
    return ours || std::ranges::any_of(kernel, [&](const AddressInfo& address) {
             return address.interface_index == info->index && address.local.family() == family;
           });
  };
  const bool any_address =
      std::ranges::any_of(kernel, [&](const AddressInfo& address) { return address.interface_index == info->index; });
  row.state = any_address && passes(info) ? "ok" : "down";
  const bool p2p = tunnel || info->point_to_point;
  row.current = letters({{!p2p && info->broadcast, 'b'},
                         {tunnel || info->multicast, 'm'},
                         {p2p, 'p'},
                         {info->loopback, 'v'},
                         {false, 'I'},
                         {false, 's'},
                         {false, 'i'},
                         {false, 'V'},
                         {false, 'a'},
                         {false, 'Z'},
                         {has(net::Family::v4), '4'},
                         {has(net::Family::v6), '6'}});
  return row;
}

Result<std::vector<IfInfo>> Addresses::list_interfaces(const std::string& filter) const {
  TRY_ASSIGN(const auto interfaces, context_.platform.interfaces());
  TRY_ASSIGN(const auto addresses, context_.platform.addresses());
  std::vector<IfInfo> result;
  for (const InterfaceInfo& interface : interfaces) {
    const bool used =
        interfaces_.contains(interface.name) || std::ranges::any_of(addresses, [&](const AddressInfo& address) {
          return address.interface_index == interface.index;
        });
    if (used && (filter.empty() || filter == interface.name))
      result.push_back(described(interface.name, &interface, addresses));
  }
  for (const auto& [name, interface] : interfaces_)
    if ((filter.empty() || filter == name) &&
        std::ranges::find(interfaces, name, &InterfaceInfo::name) == interfaces.end())
      result.push_back(described(name, nullptr, addresses));
  if (result.empty() && !filter.empty())
    return fail(ENOENT, "Could not get interface(s): Interface does not exist; no address was ever put on {}", filter);
  return result;
}

}  // namespace adit::engine
