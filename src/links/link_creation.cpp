// create-iptun, of one tunnel or of thousands as one transaction: checks first, then guard, devices, disk, carriers
// (docs/model/tunnel.pml).
#include <set>

#include "base/store.h"
#include "control/names.h"
#include "links/links.h"

namespace adit::engine {
namespace {

TunnelRecord record_of(const IptunRequest& request, const Endpoints& ends, const LinkProperties& properties) {
  TunnelRecord record;
  record.name = request.name;
  record.type = request.type;
  record.local = request.local;
  record.remote = request.remote;
  record.local_seen = ends.local;
  record.remote_seen = ends.remote;
  record.secured = request.secured;
  record.temporary = request.temporary;
  record.properties = properties;
  return record;
}

// Of many, the one that is meant is named.
std::unexpected<Error> of(const IptunRequest& request, bool many, Error error) {
  if (many && error.text.find(request.name) == error.text.npos)
    error.text = fmt::format("{}: {}", request.name, error.text);
  return std::unexpected(std::move(error));
}

using Pair = std::pair<net::Address, net::Address>;

std::vector<std::string> names_of(const auto& births) {
  std::vector<std::string> names;
  names.reserve(births.size());
  for (const auto& birth : births) names.push_back(birth.request->name);
  return names;
}

}  // namespace

// What a tunnel asks of the host is asked once for all that ask the same.
Result<std::vector<Links::Birth>> Links::check_births(const std::vector<IptunRequest>& requests, Outcome& outcome) {
  const bool many = requests.size() > 1;
  std::vector<Birth> births;
  std::set<std::string> names;
  std::set<net::Address> locals;
  std::map<Pair, std::string> pairs;
  const auto check = [&](const IptunRequest& request, Birth& birth) -> Result<> {
    const std::string& name = request.name;
    TRY(tunnel::check_name(name));
    if (tunnels_.contains(name) || !names.insert(name).second)
      return fail(EEXIST, "object already exists: {} is a tunnel; choose another name, or delete it first", name);
    if (const BrokenLine* line = broken_line_of(name))
      return fail(EEXIST,
                  "object already exists: line {} of datalink.conf is about {} and cannot be read: {}; repair it and "
                  "start aditd again, or delete it with 'dladm delete-iptun {}'",
                  line->line, name, line->why, name);
    if (context_.platform.interface(name) && !left_over_.contains(name))
      return fail(
          EEXIST,
          "object already exists: there is an interface {0} that is not a tunnel of Adit; choose another name, or "
          "remove it ('ip link delete {0}')",
          name);
    TRY_ASSIGN(birth.ends, resolve_endpoints(*context_.names, request.type, request.local, request.remote));
    TRY(check_pair_free(birth.ends, name));
    if (birth.ends.bound()) {
      const auto [taken, fresh] = pairs.emplace(Pair(*birth.ends.local, *birth.ends.remote), name);
      if (!fresh)
        return fail(EADDRINUSE, "address already in use: {} and {} are both to run between {} and {}", taken->second,
                    name, birth.ends.local->str(), birth.ends.remote->str());
    }
    if (birth.ends.local && !locals.contains(*birth.ends.local)) {
      TRY(check_local(*birth.ends.local));
      locals.insert(*birth.ends.local);
    }
    TRY(check_no_loop(birth.ends, name, outcome));
    TRY_ASSIGN(birth.properties, properties_of(request));
    return {};
  };
  std::vector<TunnelRecord> asked;
  asked.reserve(requests.size());
  for (const IptunRequest& request : requests) asked.push_back(record_of(request, {}, {}));
  ask_names(asked);
  for (const IptunRequest& request : requests) {
    Birth& birth = births.emplace_back();
    birth.request = &request;
    if (auto fit = check(request, birth); !fit) return of(request, many, fit.error());
    if (auto note = waiting_note(request, birth.ends); !note.empty()) outcome.notes.push_back(std::move(note));
  }
  return births;
}

// One swap for all.
Result<> Links::take_policies(const std::vector<Birth>& births, Undo& undo, Outcome& outcome) {
  std::map<std::string, PropertyRules> rules;
  for (const Birth& birth : births) {
    if (!birth.properties.ipsec) continue;
    auto read = policy_.read_property(birth.request->name, *birth.properties.ipsec, birth.request->ipsec_source);
    if (!read) return of(*birth.request, births.size() > 1, read.error());
    for (const std::string& warning : read->warnings) outcome.notes.push_back(warning);
    rules.emplace(birth.request->name, std::move(*read));
  }
  if (rules.empty()) return {};
  TRY_ASSIGN(auto before, policy_.put_properties(rules));
  undo.add([this, before = std::move(before)] {
    if (auto undone = policy_.put_properties(before); !undone)
      context_.events.add(Severity::alert, EventKind::policy_failed, "", undone.error().text);
  });
  return {};
}

// On disk before a device is there: a daemon killed in the middle finds its half-made devices by this.
void Links::enter(std::vector<Birth>& births, Undo& undo) {
  for (Birth& birth : births) {
    Tunnel& tunnel = tunnels_[birth.request->name];
    birth.tunnel = &tunnel;
    tunnel.active = record_of(*birth.request, birth.ends, birth.properties);
    tunnel.active.id = free_id();
    tunnel.active.secured = tunnel.active.secured || context_.settings.require_security;
    tunnel.counters = dataplane_.make_counters();
    set_ends(tunnel, birth.ends);
    tunnel.local_here = birth.ends.local.has_value();
    names_[static_cast<uint32_t>(tunnel.active.id)] = tunnel.active.name;
    half_made_.insert_or_assign(tunnel.active.name, tunnel.active);
  }
  undo.add([this, &births] {
    for (const Birth& birth : births) {
      names_.erase(static_cast<uint32_t>(birth.tunnel->active.id));
      devices_.erase(birth.tunnel->index);
      forget_pair(*birth.tunnel);
      tunnels_.erase(birth.request->name);
    }
    half_made_.clear();
    (void)save_active(names_of(births));
    tell_guard_gone(births);
  });
}

void Links::tell_guard_gone(const std::vector<Birth>& births) {
  if (auto told = guard_.tunnels_changed(names_of(births)); !told)
    context_.events.add(Severity::warning, EventKind::guard_failed, "", told.error().text);
}

Result<> Links::guard_births(const std::vector<Birth>& births, Undo& undo) {
  std::vector<GuardHold> holds;
  for (const Birth& birth : births) {
    const TunnelRecord& record = birth.tunnel->active;
    if (!record.secured) continue;
    std::ranges::copy(policy_.holds_of(record.name, policy_.head_of(record.name).get(), record.temporary),
                      std::back_inserter(holds));
  }
  TRY_ASSIGN(const auto before, guard_.hold(holds));
  undo.add([this, before] { guard_.take_back(before); });
  return {};
}

Result<> Links::open_born(Birth& birth, Undo& undo) {
  Tunnel& tunnel = *birth.tunnel;
  const std::string name = tunnel.active.name;
  // What an unlucky predecessor left may carry addresses and routes: it starts anew.
  if (left_over_.contains(name)) TRY(context_.platform.delete_tun(name, platform::DeviceName::recorded));
  undo.add([this, &tunnel] {
    const TunnelRecord& record = tunnel.active;
    if (auto gone = context_.platform.delete_tun(record.name, platform::DeviceName::fresh); !gone)
      left_over(record, gone.error());
    else
      context_.steps.device_removed(record.name, tunnel.index);
    tunnel.device = false;
  });
  TRY_ASSIGN(birth.ports, context_.platform.open_tun(name, dataplane_.workers(), platform::DeviceName::fresh));
  TRY_ASSIGN(const auto made, context_.platform.interface(name));
  had_device(tunnel, made.index);
  context_.steps.device_added(name, made.index, tunnel.active.secured);
  crash_point("create:opened");
  tunnel.underlay_mtu = underlay_mtu(tunnel.ends);
  tunnel.device_mtu = mtu_of(tunnel, policy_.head_of(name).get()).mtu;
  TRY(context_.platform.set_mtu(name, tunnel.device_mtu));
  fit_super_packets(tunnel);
  TRY(context_.platform.set_link_up(name, true));
  crash_point("create:up");
  tunnel.device = true;
  dataplane_.put_link(link_for_packets(tunnel, false));
  return {};
}

// The snapshot before the queues: a worker never has a queue of a link that it does not know.
Result<> Links::make_devices(std::vector<Birth>& births, Undo& undo) {
  undo.add([this, &births] {
    for (const Birth& birth : births) {
      dataplane_.detach(birth.tunnel->active.id);
      dataplane_.take_link(birth.tunnel->active.id);
    }
    dataplane_.publish();
    tell_guard_gone(births);  // before it is told anything else: their indices may be given out again
  });
  for (Birth& birth : births) {
    if (auto opened = open_born(birth, undo); !opened) return of(*birth.request, births.size() > 1, opened.error());
  }
  dataplane_.publish();
  for (Birth& birth : births) TRY(dataplane_.attach(birth.tunnel->active.id, std::move(birth.ports)));
  return {};
}

Result<> Links::store_births(const std::vector<Birth>& births, Undo& undo) {
  half_made_.clear();
  for (const Birth& birth : births) left_over_.erase(birth.request->name);
  undo.add([this, &births, resting = resting_] {
    for (const Birth& birth : births) birth.tunnel->stored.reset();
    resting_ = resting;
    if (auto undone = save_stored(names_of(births)); !undone)
      context_.events.add(Severity::warning, EventKind::link_not_saved, births.front().request->name,
                          undone.error().text);
  });
  bool lasting = false;
  for (const Birth& birth : births) {
    if (birth.request->temporary) continue;
    birth.tunnel->stored = birth.tunnel->active;
    resting_.erase(birth.request->name);  // one that was to come back at the next start: this one comes instead
    lasting = true;
  }
  if (!lasting) return save_active(names_of(births));
  TRY(save_stored(names_of(births)));
  crash_point("create:stored");
  return births.size() > 1 ? save_active(names_of(births)) : Result<>{};
}

Result<Outcome> Links::create_all(const std::vector<IptunRequest>& requests) {
  Outcome outcome;
  if (requests.empty()) return outcome;
  TRY_ASSIGN(std::vector<Birth> births, check_births(requests, outcome));
  Undo undo;
  TRY(take_policies(births, undo, outcome));
  enter(births, undo);
  TRY(save_active(names_of(births)));
  crash_point("create:recorded");
  TRY(guard_births(births, undo));
  crash_point("create:guarded");
  TRY(make_devices(births, undo));
  crash_point("create:device");
  TRY(store_births(births, undo));
  std::vector<Tunnel*> born;
  born.reserve(births.size());
  for (const Birth& birth : births) born.push_back(birth.tunnel);
  TRY(refresh(born));
  crash_point("create:carrier");
  undo.keep();
  for (const IptunRequest& request : requests) {
    policy_.tunnel_made(request.name);
    context_.events.add(Severity::info, EventKind::link_created, request.name,
                        fmt::format("{} was made", request.name));
    for (auto* user : users_) user->link_ready(request.name);
  }
  return outcome;
}

}  // namespace adit::engine
