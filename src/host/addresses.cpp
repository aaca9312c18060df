#include "host/addresses.h"

#include <algorithm>
#include <set>

#include "base/store.h"
#include "control/host_name.h"
#include "linux/platform/mark.h"
#include "net/interface_id.h"

namespace adit::engine {
namespace {

using net::Address;
using net::Family;
using net::Prefix;

constexpr const char* kTemporaryFile = "ipadm.active";
constexpr size_t kMaxObjectName = 31;
constexpr uint32_t kPeerMetricV6 = 256;  // the kernel's for connected routes

Result<std::string> interface_of(const std::string& object) {
  const auto bad = [&](const char* why) { return fail(EINVAL, "invalid address object name: {}; {}", object, why); };
  const size_t slash = object.find('/');
  if (slash == object.npos || slash == 0) return bad("write interface/name, as in v4_bob0/v4");
  const std::string_view name = std::string_view(object).substr(slash + 1);
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  if (name.empty() || !letter(name.front()) || !std::ranges::all_of(name, allowed))
    return bad("what follows the / starts with a letter and has letters and digits only");
  if (object.size() > kMaxObjectName) return bad("at most 31 characters");
  return object.substr(0, slash);
}

uint8_t default_prefix(const Address& address) {
  if (!address.is_v4()) return address.is_link_local() ? 10 : 64;
  const uint8_t first = address.bytes()[0];
  return first < 128 ? 8 : first < 192 ? 16 : 24;
}

Address link_local_of(const Address& outer) {
  return net::link_local(net::interface_id(outer));
}

Address link_local_of_id(const Prefix& id) {
  net::InterfaceId bytes;
  std::ranges::copy(id.address().bytes().last(8), bytes.begin());
  return net::link_local(bytes);
}

Result<> check_host_address(const Address& address, const char* context) {
  if (!address.is_unspecified() && !address.is_multicast() && !address.is_limited_broadcast()) return {};
  return fail(EINVAL, "{}: Invalid address; {} is not the address of a host", context, address.str());
}

Error within(std::string_view context, Error error) {
  error.text = fmt::format("{}: {}", context, error.text);
  return error;
}

}  // namespace

Addresses::Addresses(const Context& context, const LinkView& links, GuardDoor& guard)
    : context_(context),
      links_(links),
      guard_(guard),
      stored_{{context.in_root(kIpadmConfPath), Lasting::disk, "ipadm.conf"}, true, {}},
      temporary_{{context.in_run(kTemporaryFile), Lasting::boot, "ipadm.active"}, false, {}} {}

// ---- what may be

Result<AddressRecord> Addresses::checked(const AddressRequest& request) const {
  AddressRecord record;
  record.name = request.object;
  TRY_ASSIGN(record.interface, interface_of(request.object));
  record.persistent = !request.temporary;
  record.up = record.persistent_up = !request.down;
  if (records_.contains(record.name))
    return fail(EEXIST, "Could not create address: Address object already exists; 'ipadm delete-addr {}' removes it",
                record.name);
  if (!exists(record.interface))
    return fail(ENOENT,
                "Could not create address: Interface does not exist; {} is not a link of this host, make it first",
                record.interface);
  const auto plumbed = interfaces_.find(record.interface);
  if (plumbed != interfaces_.end() && !plumbed->second.active)
    return fail(EINVAL,
                "Could not create address: Operation not supported on disabled object; 'ipadm enable-if -t {}' first",
                record.interface);
  if (plumbed != interfaces_.end() && !plumbed->second.persistent && record.persistent)
    return fail(EINVAL,
                "Could not create address: Persistent operation on temporary object; {} was made with -t: use -t",
                record.interface);
  if (request.type == "static") {
    TRY(checked_static(request, point_to_point(record.interface), record));
  } else if (request.type == "addrconf") {
    TRY(checked_addrconf(request, record));
  } else {
    return fail(EINVAL, "Invalid address type {}; static and addrconf are there", request.type);
  }
  TRY_ASSIGN(const auto wanted, target(record));
  for (const auto& [name, other] : on(record.interface))
    if (other.placed == wanted)
      return fail(EADDRINUSE, "Could not create address: Address already in use; {} has it", name);
  return record;
}

Result<> Addresses::checked_static(const AddressRequest& request, bool p2p, AddressRecord& record) const {
  if (request.interface_id) return fail(EINVAL, "Invalid arguments for type static; -i goes with addrconf");
  if (!request.local) return fail(EINVAL, "Missing local address");
  const size_t slash = request.local->find('/');
  record.local = request.local->substr(0, slash);
  auto local = resolve_host(*context_.names, record.local);
  if (!local) return std::unexpected(within("Error in setting local address", local.error()));
  TRY(check_host_address(*local, "Error in setting local address"));
  record.family = local->family();
  if (slash != std::string::npos) {
    const auto prefix = Prefix::parse(local->str() + request.local->substr(slash));
    if (!prefix) return std::unexpected(within("Error in setting local address", prefix.error()));
    record.prefix = prefix->length();
  }
  if (!p2p && request.remote)
    return fail(
        EINVAL,
        "Could not create address: Invalid argument provided; {} is not point-to-point, remote= goes with tunnels",
        record.interface);
  if (!p2p) return {};
  if (!request.remote)
    return fail(EINVAL,
                "Could not create address: Invalid argument provided; {} is point-to-point, remote= is required",
                record.interface);
  record.remote = *request.remote;
  if (record.remote.find('/') != std::string::npos)
    return fail(EINVAL,
                "Error in setting remote address: Invalid address; the remote of a tunnel has no prefix length");
  auto remote = resolve_host(*context_.names, record.remote, record.family);
  if (!remote) return std::unexpected(within("Error in setting remote address", remote.error()));
  TRY(check_host_address(*remote, "Error in setting remote address"));
  if (*remote == *local)
    return fail(EINVAL, "Error in setting remote address: Invalid address; {} is the local address too", remote->str());
  const auto tunnel = links_.tunnel(record.interface);
  if (tunnel && tunnel->remote == *remote)
    return fail(ELOOP,
                "Error in setting remote address: Invalid address; {} is the outer address of {}'s peer, the tunnel "
                "would carry itself: give the peer an address inside the tunnel",
                remote->str(), record.interface);
  return {};
}

Result<> Addresses::checked_addrconf(const AddressRequest& request, AddressRecord& record) const {
  if (request.local || request.remote)
    return fail(EINVAL, "Invalid arguments for type addrconf; its addresses come from the tunnel's outer ones");
  record.addrconf = true;
  record.family = Family::v6;
  if (!links_.tunnel(record.interface))
    return fail(ENOTSUP, "Could not create address: Operation not supported; addrconf is for tunnels, {} is none",
                record.interface);
  if (!request.interface_id) return {};
  const auto id = Prefix::parse(*request.interface_id);
  if (!id || id->family() != Family::v6 || id->length() > 64 || id->address().is_unspecified() ||
      !std::ranges::all_of(id->address().bytes().first(8), [](uint8_t byte) { return byte == 0; }))
    return fail(EINVAL, "Error in setting interface ID: Invalid address; '{}' is not like ::1:2/64, at most 64 bits",
                *request.interface_id);
  record.interface_id = id->str();
  return {};
}

// Where in the kernel the record belongs. EINVAL: an addrconf object on a tunnel whose outer addresses are not both
// known.
Result<AddressRecord::Placed> Addresses::target(const AddressRecord& record) const {
  if (record.addrconf) {
    const auto tunnel = links_.tunnel(record.interface);
    if (!tunnel || !tunnel->local || !tunnel->remote)
      return fail(EINVAL,
                  "Could not create address: Invalid argument provided; addrconf needs both outer addresses of {}: "
                  "'dladm modify-iptun -a' gives them",
                  record.interface);
    const auto own = Prefix::parse(record.interface_id);
    const bool chosen = own && !own->address().is_unspecified();
    const Address local = chosen ? link_local_of_id(*own) : link_local_of(*tunnel->local);
    return AddressRecord::Placed{Prefix::host(local), link_local_of(*tunnel->remote)};
  }
  TRY_ASSIGN(const Address local, resolve_host(*context_.names, record.local, record.family));
  if (record.remote.empty()) return AddressRecord::Placed{{local, record.prefix.value_or(default_prefix(local))}, {}};
  TRY_ASSIGN(const Address remote, resolve_host(*context_.names, record.remote, record.family));
  return AddressRecord::Placed{Prefix::host(local), remote};
}

// ---- kernel and guard

// The kernel's own way to the peer is in table main, behind the guard's; this one is before it.
std::optional<platform::Route> Addresses::peer_route(const std::string& interface,
                                                     const AddressRecord::Placed& placed) const {
  if (!placed.peer || (placed.peer->is_link_local() && !placed.peer->is_v4())) return std::nullopt;
  const auto tunnel = links_.tunnel(interface);
  if (!tunnel || tunnel->device == 0) return std::nullopt;
  platform::Route route;
  route.destination = Prefix::host(*placed.peer);
  route.interface_index = tunnel->device;
  route.metric = placed.peer->is_v4() ? 0 : kPeerMetricV6;
  route.table = platform::kGuardTable;
  route.protocol = platform::kRouteProtocol;
  route.preferred_source = placed.local.address();
  return route;
}

// A tunnel's device is known by its index: another one that bears its name is somebody else's, and gets nothing.
Result<> Addresses::stands_on_its_own(const std::string& interface) const {
  const auto tunnel = links_.tunnel(interface);
  if (!tunnel) return {};
  TRY_ASSIGN(const auto device, context_.platform.interface(interface));
  if (device.index == tunnel->device) return {};
  return fail(ENODEV, "{}: there is an interface of that name that Adit did not make", interface);
}

Result<> Addresses::put_in(const AddressRecord& record, const AddressRecord::Placed& wanted) {
  TRY(stands_on_its_own(record.interface));
  TRY(context_.platform.add_address(record.interface, wanted.local, wanted.peer));
  const auto route = peer_route(record.interface, wanted);
  if (!route) return {};
  const auto added = context_.platform.add_route(*route);
  if (added || added.error().code == EEXIST) context_.steps.route_added(route->destination, record.interface);
  // A device that is down gets it when it rises; an IPv6 address may be tentative for a moment.
  if (added || added.error().code == EEXIST || added.error().code == ENETDOWN) return {};
  return added;
}

Result<> Addresses::guard_and_place(AddressRecord& record, By by) {
  const auto plumbed = interfaces_.find(record.interface);
  const bool disabled = !record.active || (plumbed != interfaces_.end() && !plumbed->second.active);
  if (disabled || !record.up || !exists(record.interface)) return {};
  TRY_ASSIGN(const AddressRecord::Placed wanted, target(record));
  const bool tunnel = links_.tunnel(record.interface).has_value();
  if (by == By::command) TRY(may_promise(links_, record.interface));
  bool closed_now = false;
  if (tunnel && wanted.peer) {
    TRY_ASSIGN(closed_now, guard_.protect(Prefix::host(*wanted.peer), record.interface, GuardSource::address));
  }
  if (!tunnel) TRY(context_.platform.set_link_up(record.interface, true));
  auto added = put_in(record, wanted);
  if (!added) {
    if (by == By::command) {
      (void)take_address(record.interface, wanted);
      if (closed_now) (void)guard_.release(Prefix::host(*wanted.peer), record.interface, GuardSource::address);
    }
    return std::unexpected(within("Could not create address", added.error()));
  }
  record.placed = wanted;
  return {};
}

Result<> Addresses::take_address(const std::string& interface, const AddressRecord::Placed& placed) {
  auto removed = stands_on_its_own(interface);
  if (removed) removed = context_.platform.remove_address(interface, placed.local, placed.peer);
  if (!removed && removed.error().code != ENODEV && removed.error().code != EADDRNOTAVAIL) return removed;
  return {};
}

Result<> Addresses::take_out(AddressRecord& record) {
  if (!record.placed) return {};
  const auto route = peer_route(record.interface, *record.placed);
  if (route) (void)context_.platform.remove_route(*route);
  TRY(take_address(record.interface, *record.placed));
  if (route) context_.steps.route_removed(route->destination, record.interface);
  record.placed.reset();
  return {};
}

Result<> Addresses::release(const std::string& interface, const std::optional<AddressRecord::Placed>& was,
                            Outcome& outcome) {
  if (!was || !was->peer || !links_.tunnel(interface)) return {};
  for (const auto& [name, other] : on(interface))  // another object's peer is the same: its guard stays
    if (other.placed && other.placed->peer == was->peer) return {};
  TRY_ASSIGN(const bool open, guard_.release(Prefix::host(*was->peer), interface, GuardSource::address));
  if (open)
    outcome.notes.push_back(
        fmt::format("{} is no longer kept to {}: it is reachable in the clear if a route leads there", was->peer->str(),
                    interface));
  return {};
}

Result<> Addresses::unplace(AddressRecord& record, Outcome& outcome) {
  const auto was = record.placed;
  TRY(take_out(record));
  return release(record.interface, was, outcome);
}

void Addresses::place_again(AddressRecord& record) {
  if (record.placed) {  // an addrconf object whose tunnel got other outer addresses moves; nothing opens
    const auto wanted = target(record);
    if (wanted && *wanted != *record.placed)
      if (auto gone = take_out(record); !gone)
        context_.events.add(Severity::warning, EventKind::address_failed, record.name, gone.error().text);
  }
  if (auto placed = guard_and_place(record, By::put_back); !placed)
    context_.events.add(Severity::warning, EventKind::address_failed, record.name, placed.error().text);
}

void Addresses::place_all() {
  for (auto& [name, record] : records_) place_again(record);
}

bool Addresses::wants(const std::string& link, const platform::AddressInfo& address) const {
  return std::ranges::any_of(on(link), [&](const auto& object) {
    const auto& placed = object.second.placed;
    return placed && placed->local.address() == address.local.address() && placed->peer == address.peer;
  });
}

bool Addresses::wants(const std::string& link, const platform::Route& route) const {
  return std::ranges::any_of(on(link), [&](const auto& object) {
    const auto way = object.second.placed ? peer_route(link, *object.second.placed) : std::nullopt;
    return way && way->destination == route.destination && way->table == route.table && way->metric == route.metric;
  });
}

// One look at the kernel, whatever the number of objects: this runs after every change that others made.
void Addresses::reassert() {
  const auto interfaces = context_.platform.interfaces();
  const auto addresses = context_.platform.addresses();
  if (!interfaces || !addresses) return;
  const bool again = std::exchange(owes_, false);
  std::map<int, std::string> names;
  for (const auto& interface : *interfaces) names[interface.index] = interface.name;
  std::set<std::pair<std::string, net::Address>> there;
  for (const auto& address : *addresses) there.emplace(names[address.interface_index], address.local.address());
  std::set<std::pair<Prefix, int>> ways;  // in the guard's table
  for (const Family family : {Family::v4, Family::v6})
    if (const auto routes = context_.platform.routes(family))
      for (const auto& route : *routes)
        if (route.table == platform::kGuardTable) ways.emplace(route.destination, route.interface_index);
  for (auto& [name, record] : records_) {
    if (!record.placed) continue;
    if (there.contains({record.interface, record.placed->local.address()})) {
      if (const auto route = peer_route(record.interface, *record.placed);
          route && !ways.contains({route->destination, route->interface_index}))
        owes_ |= !context_.platform.add_route(*route).has_value();
      continue;
    }
    if (!exists(record.interface)) continue;
    if (auto placed = guard_and_place(record, By::put_back); placed) {
      context_.events.add(Severity::warning, EventKind::address_restored, name,
                          fmt::format("somebody removed {}; it is back", name));
    } else {
      owes_ = true;
      if (!again) context_.events.add(Severity::warning, EventKind::address_failed, name, placed.error().text);
    }
  }
}

// ---- the commands

Result<Outcome> Addresses::create_address(const AddressRequest& request) {
  TRY_ASSIGN(AddressRecord record, checked(request));
  const auto plumbed = interfaces_.find(record.interface);
  const auto interface_before = plumbed == interfaces_.end() ? std::nullopt : std::optional(plumbed->second);
  interfaces_[record.interface].persistent |= record.persistent;
  AddressRecord& kept = records_.emplace(record.name, record).first->second;
  // The file first: what is in the kernel and in no file would be nobody's after a crash.
  Result<> done = save({record.interface});
  const bool saved = done.has_value();
  if (!saved) done = std::unexpected(within("Could not create address", done.error()));
  crash_point("address:stored");
  if (saved) done = guard_and_place(kept, By::command);
  if (!done) {
    records_.erase(request.object);
    if (interface_before)
      interfaces_[record.interface] = *interface_before;
    else
      interfaces_.erase(record.interface);
    if (auto back = saved ? save({record.interface}) : Result<>{}; !back)
      context_.events.add(Severity::alert, EventKind::address_failed, request.object, back.error().text);
    return std::unexpected(done.error());
  }
  context_.events.add(Severity::info, EventKind::address_created, request.object,
                      fmt::format("{} was created", request.object));
  return Outcome{};
}

Result<AddressRecord*> Addresses::find(const std::string& object, const char* what) {
  TRY(interface_of(object));
  const auto found = records_.find(object);
  if (found == records_.end()) return fail(ENOENT, "{}: Address object not found; 'ipadm show-addr' lists them", what);
  return &found->second;
}

Result<Outcome> Addresses::delete_address(const std::string& object) {
  TRY_ASSIGN(AddressRecord * record, find(object, "could not delete address"));
  const AddressRecord before = *record;
  AddressRecord going = before;
  if (auto gone = take_out(going); !gone) return std::unexpected(within("could not delete address", gone.error()));
  crash_point("address:taken");
  records_.erase(object);
  if (auto saved = save({before.interface}); !saved) {
    AddressRecord& back = records_.emplace(object, going).first->second;
    if (auto placed = guard_and_place(back, By::put_back); !placed)
      context_.events.add(Severity::alert, EventKind::address_failed, object, placed.error().text);
    return std::unexpected(within("could not delete address", saved.error()));
  }
  Outcome outcome;
  if (auto opened = release(before.interface, before.placed, outcome); !opened)
    outcome.notes.push_back(opened.error().text);
  context_.events.add(Severity::info, EventKind::address_deleted, object, fmt::format("{} was deleted", object));
  return outcome;
}

Result<Outcome> Addresses::set_address_up(const std::string& object, bool up, bool temporary) {
  const char* what = up ? "Could not mark the address up" : "Could not mark the address down";
  TRY_ASSIGN(AddressRecord * record, find(object, what));
  if (!record->active) return fail(EINVAL, "{}: Operation not supported on disabled object", what);
  const AddressRecord before = *record;
  record->up = up;
  if (!temporary) record->persistent_up = up;
  Outcome outcome;
  auto done = up ? guard_and_place(*record, By::command) : unplace(*record, outcome);
  if (done && !temporary && record->persistent) done = save({record->interface});
  if (!done) {
    record->up = before.up;
    record->persistent_up = before.persistent_up;
    if (before.placed)
      (void)guard_and_place(*record, By::put_back);
    else
      (void)unplace(*record, outcome);
    return std::unexpected(within(what, done.error()));
  }
  context_.events.add(Severity::info, EventKind::address_changed, object,
                      fmt::format("{} was marked {}", object, up ? "up" : "down"));
  return outcome;
}

Result<Outcome> Addresses::enable_address(const std::string& object, bool enable) {
  const char* what = enable ? "could not enable address" : "could not disable address";
  TRY_ASSIGN(AddressRecord * record, find(object, what));
  if (enable == record->active)
    return fail(EINVAL, "{}: {} is {} already", what, object, enable ? "enabled" : "disabled");
  if (!enable && !record->persistent)
    return fail(EINVAL, "{}: Operation not supported; {} is temporary, nothing would be left of it", what, object);
  Outcome outcome;
  record->active = enable;
  const auto done = enable ? guard_and_place(*record, By::command) : unplace(*record, outcome);
  if (!done) {
    record->active = !enable;
    return std::unexpected(within(what, done.error()));
  }
  context_.events.add(Severity::info, EventKind::address_changed, object,
                      fmt::format("{} was {}", object, enable ? "enabled" : "disabled"));
  return outcome;
}

Result<Outcome> Addresses::refresh_address(const std::string& object) {
  TRY_ASSIGN(AddressRecord * record, find(object, "could not refresh address"));
  if (!record->active) return fail(EINVAL, "could not refresh address: Operation not supported on disabled object");
  Outcome outcome;
  const auto wanted = target(*record);
  if (!wanted) return std::unexpected(within("could not refresh address", wanted.error()));
  if (record->placed && *record->placed != *wanted) TRY(unplace(*record, outcome));
  TRY(guard_and_place(*record, By::command));
  return outcome;
}

Result<Outcome> Addresses::create_interface(const std::string& interface, bool temporary) {
  const auto could_not = [&](int code, std::string why) {
    return fail(code, "Could not create {} : {}", interface, why);
  };
  if (interfaces_.contains(interface)) return could_not(EEXIST, "Interface already exists");
  if (!exists(interface)) return could_not(ENOENT, "Interface does not exist; make the link first");
  interfaces_[interface] = {.persistent = !temporary};
  if (auto saved = save({interface}); !saved) {
    interfaces_.erase(interface);
    return could_not(saved.error().code, saved.error().text);
  }
  context_.events.add(Severity::info, EventKind::interface_created, interface,
                      fmt::format("{} was created", interface));
  return Outcome{};
}

Result<Outcome> Addresses::delete_interface(const std::string& interface) {
  const auto could_not = [&](const Error& error) {
    return fail(error.code, "Could not delete {} : {}", interface, error.text);
  };
  const auto plumbed = interfaces_.find(interface);
  if (plumbed == interfaces_.end())
    return could_not({ENOENT, "Interface does not exist; ipadm made none of that name"});
  const Objects records_before(on(interface).begin(), on(interface).end());
  Undo undo;
  if (auto gone = take_off(interface, undo); !gone) return could_not(gone.error());
  undo.keep();
  Outcome outcome;
  for (const auto& [name, record] : records_before) {
    if (auto opened = release(interface, record.placed, outcome); !opened) outcome.notes.push_back(opened.error().text);
  }
  context_.events.add(Severity::info, EventKind::interface_deleted, interface,
                      fmt::format("{} was deleted", interface));
  return outcome;
}

Result<Outcome> Addresses::enable_interface(const std::string& interface, bool enable) {
  const char* what = enable ? "could not enable interface" : "could not disable interface";
  const auto plumbed = interfaces_.find(interface);
  if (plumbed == interfaces_.end())
    return fail(ENOENT, "{}: Interface does not exist; ipadm made none called {}", what, interface);
  if (plumbed->second.active == enable)
    return fail(EINVAL, "{}: {} is {} already", what, interface, enable ? "enabled" : "disabled");
  if (!plumbed->second.persistent)
    return fail(EINVAL, "{}: Operation not supported; {} is temporary, nothing would be left of it", what, interface);
  plumbed->second.active = enable;
  Outcome outcome;
  for (auto& [name, record] : on(interface)) {
    if (auto done = enable ? guard_and_place(record, By::command) : unplace(record, outcome); !done)
      outcome.notes.push_back(fmt::format("{}: {}", name, done.error().text));
  }
  context_.events.add(Severity::info, EventKind::interface_changed, interface,
                      fmt::format("{} was {}", interface, enable ? "enabled" : "disabled"));
  return outcome;
}

// ---- told by Links

void Addresses::link_ready(const std::string& link) {
  for (auto& [name, record] : on(link)) place_again(record);
}

void Addresses::link_gone(const std::string& link) {
  if (interfaces_.erase(link) == 0) return;
  if (auto saved = save({link}); !saved)
    context_.events.add(Severity::warning, EventKind::address_failed, link, saved.error().text);
}

void Addresses::link_renamed(const std::string& from, const std::string& to) {
  if (auto node = interfaces_.extract(from)) {
    node.key() = to;
    interfaces_.insert(std::move(node));
  }
  std::vector<std::string> names;
  for (const auto& [name, record] : on(from)) names.push_back(name);
  for (const std::string& name : names) {
    auto node = records_.extract(name);
    node.key() = node.mapped().name = to + name.substr(from.size());
    node.mapped().interface = to;
    records_.insert(std::move(node));
  }
  if (auto saved = save({from, to}); !saved)
    context_.events.add(Severity::warning, EventKind::address_failed, to, saved.error().text);
}

bool Addresses::exists(const std::string& interface) const {
  return links_.tunnel(interface) || interface_info(interface);
}

bool Addresses::point_to_point(const std::string& interface) const {
  if (links_.tunnel(interface)) return true;
  const auto info = interface_info(interface);
  return info && info->point_to_point;
}

std::optional<platform::InterfaceInfo> Addresses::interface_info(const std::string& name) const {
  auto found = context_.platform.interface(name);
  return found ? std::optional(std::move(*found)) : std::nullopt;
}

}  // namespace adit::engine
