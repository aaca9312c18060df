#include "host/routes.h"

#include <algorithm>

#include "linux/platform/mark.h"

namespace adit::engine {
namespace {

using net::Family;
using platform::Route;

constexpr uint32_t kMainTable = 254;
constexpr Seconds kUntilWritten{1};  // without a change: then the file takes up its journal

// The suffix that route(8) of illumos prints, where there is one.
std::string reason(const Error& error) {
  switch (error.code) {
    case EEXIST:
      return "entry exists";
    case ESRCH:
      return "not in table";
    case EBUSY:
      return "entry in use";
    case ENOBUFS:
      return "routing table overflow";
    case EPERM:
    case EACCES:
      return "insufficient privileges";
    default:
      return error.text;
  }
}

std::string said(std::string_view verb, const RouteCommand& command) {
  std::string text = fmt::format("{} {}", verb, command.net_or_host());
  if (!command.gateway_text.empty()) text += ": gateway " + command.gateway_text;
  return text;
}

RouteLine line(std::string_view verb, const RouteCommand& command, const Result<>& done) {
  return {said(verb, command) + (done ? "" : ": " + reason(done.error())), !done};
}

bool is_same_route(const Route& a, const Route& b) {
  return a.destination == b.destination && a.gateway == b.gateway && a.interface_index == b.interface_index &&
         a.table == b.table && a.unreachable == b.unreachable && a.blackhole == b.blackhole;
}

bool holds(const Result<std::vector<Route>>& routes, const Route& wanted) {
  return routes && std::ranges::any_of(*routes, [&](const Route& route) { return is_same_route(route, wanted); });
}

}  // namespace

Routes::Routes(const Context& context, const LinkView& links, GuardDoor& guard)
    : context_(context), links_(links), guard_(guard), file_(context.in_root(kStaticRoutesPath)) {}

// ---- kernel and guard

Result<> Routes::guard_and_place(Wanted& wanted, const Route& route, By by) {
  const std::string interface = interface_name(route.interface_index);
  const bool tunnel = links_.tunnel(interface).has_value();
  if (by == By::command) TRY(may_promise(links_, interface));
  bool closed_now = false;
  if (tunnel) {
    TRY_ASSIGN(closed_now, guard_.protect(route.destination, interface, GuardSource::route));
  }
  Result<> added = context_.platform.add_route(route);
  const bool fresh = added.has_value();
  const auto stands = [&] { return holds(context_.platform.routes(route.destination.family()), route); };
  if (!added && added.error().code == EEXIST && stands()) added = {};
  if (added && tunnel) {
    added = carries_itself_now(route);
    if (!added) (void)context_.platform.remove_route(route);
  }
  if (!added) {
    if (closed_now && by == By::command) (void)guard_.release(route.destination, interface, GuardSource::route);
    return added;
  }
  wanted.placed = route;
  wanted.tunnel = tunnel ? interface : "";
  if (tunnel) context_.steps.route_added(route.destination, interface);
  if (fresh)
    context_.events.add(Severity::info, EventKind::route_added, route.destination.str(),
                        fmt::format("{} is {}{}", route.destination.str(),
                                    interface.empty() ? "closed by a route" : "routed over ", interface));
  return {};
}

Result<bool> Routes::unplace(Wanted& wanted) {
  const Route was = *wanted.placed;
  auto removed = context_.platform.remove_route(was);
  if (!removed && removed.error().code != ESRCH && removed.error().code != ENODEV)
    return std::unexpected(removed.error());
  wanted.placed.reset();
  context_.events.add(Severity::info, EventKind::route_deleted, was.destination.str(),
                      fmt::format("the route to {} was deleted", was.destination.str()));
  const std::string tunnel = std::exchange(wanted.tunnel, "");
  if (tunnel.empty()) return false;
  context_.steps.route_removed(was.destination, tunnel);
  if (const auto known = towards_.find(tunnel); known != towards_.end() && known->second.erase(was.destination) > 0)
    for (const auto& [destination, other] : to(was.destination)) note(other);
  for (const auto& [destination, other] : to(was.destination))  // another gateway behind the tunnel keeps it closed
    if (other.placed && other.tunnel == tunnel) return false;
  return guard_.release(was.destination, tunnel, GuardSource::route);
}

Result<> Routes::unplace(Wanted& wanted, std::vector<std::string>& notes) {
  const std::string network = wanted.placed->destination.str(), tunnel = wanted.tunnel;
  TRY_ASSIGN(const bool open, unplace(wanted));
  if (open)
    notes.push_back(fmt::format("{} is no longer kept to {}: it is reachable in the clear if a route leads there",
                                network, tunnel));
  return {};
}

// any_gateway: a command without a gateway matches the first route to its destination.
Routes::All::iterator Routes::find(const RouteCommand& command, bool any_gateway) {
  const auto range = to(command.destination);
  const auto found = std::ranges::find_if(range, [&](const auto& item) {
    const Wanted& wanted = item.second;
    if (any_gateway && command.gateway_text.empty() && !command.interface) return true;
    if (command.interface && wanted.command.interface && command.interface != wanted.command.interface) return false;
    if (any_gateway && command.gateway_text.empty()) return wanted.command.interface == command.interface;
    return wanted.command.gateway ? wanted.command.gateway == command.gateway
                                  : wanted.command.gateway_text == command.gateway_text;
  });
  return found == range.end() ? wanted_.end() : found;
}

// ---- the commands

Result<RouteLine> Routes::write_added(const RouteCommand& command, bool added_now) {
  stored_at_ = context_.clock.now();
  auto written = file_.add(command);
  if (written || written.error().code == EEXIST) return line("add persistent", command, written);
  if (added_now) {
    const auto added = find(command, false);
    if (added != wanted_.end() && added->second.placed) (void)unplace(added->second);
    if (added != wanted_.end()) forget(added);
  }
  return fail(written.error().code, "{}: {}", said("add persistent", command), written.error().text);
}

Result<RouteReport> Routes::add(std::span<const std::string> words, bool persistent, bool force) {
  TRY_ASSIGN(const RouteCommand command, parse_route_command(words, true));
  const auto route = resolve(command);
  if (!route) return fail(route.error().code, "{}: {}", said("add", command), route.error().text);
  if (!force) TRY(refuse_slips(command, *route));
  if (!force) TRY(refuse_self_carriage(*route));

  RouteReport report;
  auto known = find(command, false);
  const bool waits = known != wanted_.end() && !known->second.placed;
  Result<> done;
  if (known != wanted_.end() && !waits) {
    done = fail(EEXIST, "entry exists");
  } else {
    Wanted wanted{.command = command};
    done = guard_and_place(wanted, *route, By::command);
    if (done && waits) {
      wanted.persistent = known->second.persistent;
      forget(known);
    }
    if (done) keep(std::move(wanted));
  }
  if (!done && done.error().code == ELOOP) return std::unexpected(done.error());
  report.lines.push_back(line("add", command, done));
  if (!persistent || (!done && done.error().code != EEXIST)) return report;
  TRY_ASSIGN(RouteLine written, write_added(command, done.has_value() && !waits));
  report.lines.push_back(std::move(written));
  if (known = find(command, false); known != wanted_.end()) known->second.persistent = true;
  return report;
}

// A route that somebody else made goes too, as on illumos; never the guard's.
Result<> Routes::remove_foreign(const RouteCommand& command) {
  TRY_ASSIGN(const auto routes, context_.platform.routes(command.family()));
  for (const Route& route : routes) {
    if (route.table != 254 || route.metric == platform::kGuardMetric) continue;
    if (route.destination != command.destination.masked()) continue;
    if (command.gateway && route.gateway != command.gateway) continue;
    if (command.interface && interface_name(route.interface_index) != *command.interface) continue;
    return context_.platform.remove_route(route);
  }
  return fail(ESRCH, "not in table");
}

Result<RouteReport> Routes::remove(std::span<const std::string> words, bool persistent) {
  TRY_ASSIGN(const RouteCommand command, parse_route_command(words, false));
  RouteReport report;
  const auto known = find(command, true);
  Result<> done;
  if (known == wanted_.end()) {
    done = remove_foreign(command);
  } else {
    done = known->second.placed ? unplace(known->second, report.notes) : fail(ESRCH, "not in table");
    if (done || (persistent && !known->second.placed)) forget(known);
  }
  report.lines.push_back(line("delete", command, done));
  if (!persistent || (!done && done.error().code != ESRCH)) return report;
  stored_at_ = context_.clock.now();
  Result<> unwritten = file_.remove(command);
  if (!unwritten && unwritten.error().code == ENOENT) unwritten.error().text = "not in file";
  report.lines.push_back(line("delete persistent", command, unwritten));
  return report;
}

// The new way stands before the old one goes: the network is never without a route, and never without its guard.
Result<RouteReport> Routes::change(std::span<const std::string> words, bool force) {
  TRY_ASSIGN(const RouteCommand command, parse_route_command(words, true));
  RouteReport report;
  const auto known = to(command.destination);
  const auto old = std::ranges::find_if(known, [](const auto& item) { return item.second.placed.has_value(); });
  if (old == known.end()) {
    report.lines.push_back(line("change", command, fail(ESRCH, "not in table")));
    return report;
  }
  const auto route = resolve(command);
  if (!route) return fail(route.error().code, "{}: {}", said("change", command), route.error().text);
  if (!force) TRY(refuse_slips(command, *route));
  if (!force) TRY(refuse_self_carriage(*route));
  if (is_same_route(*route, *old->second.placed)) {
    report.lines.push_back(line("change", command, {}));
    return report;
  }
  Wanted next{.command = command};
  Result<> done = guard_and_place(next, *route, By::command);
  if (done) {
    Wanted gone = std::exchange(old->second, next);
    note(old->second);
    done = unplace(gone, report.notes);
  }
  report.lines.push_back(line("change", command, done));
  return report;
}

Result<RouteReport> Routes::flush(std::optional<Family> family) {
  RouteReport report;
  for (auto at = wanted_.begin(); at != wanted_.end();) {
    Wanted& wanted = at->second;
    if (!wanted.placed || (family && wanted.command.family() != *family)) {
      ++at;
      continue;
    }
    Wanted going = wanted;
    wanted.placed.reset();  // so that it does not count as another holder of its own network
    const auto done = unplace(going, report.notes);
    report.lines.push_back({fmt::format("{:<20} {:<20} {}", wanted.command.destination_text,
                                        wanted.command.gateway_text, done ? "done" : reason(done.error())),
                            !done});
    if (!done) wanted.placed = going.placed;
    at = done ? forget(at) : std::next(at);
  }
  return report;
}

// Nobody has to read a journal to know which routes there are.
void Routes::write_stored() {
  if (!file_.owes()) return;
  if (auto written = file_.write(); !written)
    context_.events.add(Severity::warning, EventKind::route_failed, "", written.error().text);
}

void Routes::tick() {
  if (!file_.owes() || context_.clock.now() - stored_at_ < kUntilWritten) return;
  stored_at_ = context_.clock.now();
  write_stored();
}

Result<std::vector<std::string>> Routes::persistent_lines() {
  TRY_ASSIGN(const auto commands, file_.load());
  std::vector<std::string> lines;
  for (const Family family : {Family::v4, Family::v6}) {
    for (const RouteCommand& command : commands) {
      if (command.family() != family) continue;
      std::string text = "persistent: route add";
      for (const std::string& word : command.words) text += " " + word;
      lines.push_back(std::move(text));
    }
  }
  return lines;
}

// ---- start, and putting back

// Made by `route add`: not the guard's own, and not the way to the peer of an address.
bool Routes::is_operators(const Route& route) const {
  if (route.protocol != platform::kRouteProtocol || route.metric == platform::kGuardMetric ||
      route.metric == platform::kCopyMetric)
    return false;
  if (route.table != platform::kGuardTable) return route.table == 254;
  if (route.interface_index == 0) return false;
  return !(route.destination.is_host() && !route.gateway && route.preferred_source);
}

// What an earlier aditd left in the kernel: the routes of `route add` without -p live there only.
void Routes::adopt() {
  for (const Family family : {Family::v4, Family::v6}) {
    const auto routes = context_.platform.routes(family);
    if (!routes) continue;
    for (const Route& route : *routes) {
      if (!is_operators(route)) continue;
      RouteCommand command;
      command.destination = route.destination;
      command.host = route.destination.is_host();
      command.destination_text = route.destination.length() == 0 ? "default"
                                 : command.host                  ? route.destination.address().str()
                                                                 : route.destination.str();
      command.gateway = route.gateway;
      command.gateway_is_interface = !route.gateway;
      command.gateway_text = route.gateway ? route.gateway->str() : interface_name(route.interface_index);
      command.reject = route.unreachable;
      command.blackhole = route.blackhole;
      command.words = {command.destination_text, command.gateway_text};
      Wanted wanted{.command = command, .placed = route};
      if (const std::string name = interface_name(route.interface_index); links_.tunnel(name)) {
        wanted.tunnel = name;
        if (auto held = guard_.protect(route.destination, name, GuardSource::route); held)
          context_.steps.route_added(route.destination, name);
        else
          context_.events.add(Severity::alert, EventKind::route_failed, route.destination.str(), held.error().text);
      }
      keep(std::move(wanted));
    }
  }
}

void Routes::restore() {
  adopt();
  std::vector<std::string> bad;
  auto commands = file_.load(&bad);
  if (!commands) bad.push_back(commands.error().text);
  for (const std::string& sentence : bad) context_.events.add(Severity::warning, EventKind::route_failed, "", sentence);
  if (!commands) return;
  for (RouteCommand& command : *commands) {
    if (const auto known = find(command, false); known != wanted_.end()) {
      known->second.command = command;
      known->second.persistent = true;
      note(known->second);
    } else {
      keep({.command = std::move(command), .persistent = true});
    }
  }
  place_waiting();
  for (const auto& [destination, wanted] : wanted_) {
    if (wanted.placed) continue;
    const auto why = resolve(wanted.command);
    context_.events.add(Severity::warning, EventKind::route_waiting, wanted.command.destination_text,
                        fmt::format("the route to {} waits for its gateway{}", wanted.command.destination_text,
                                    why ? "" : ": " + why.error().text));
  }
}

void Routes::place_waiting() {
  for (const bool direct : {true, false}) place_waiting(direct);  // a gateway may stand behind a route to an interface
}

void Routes::place_waiting(bool direct) {
  for (const net::Prefix& destination : std::set(waiting_)) {
    bool waits = false;
    for (auto& [prefix, wanted] : to(destination)) {
      waits |= !wanted.placed;
      if (wanted.placed || wanted.command.gateway_is_interface != direct) continue;
      const auto route = resolve(wanted.command);
      const auto placed = route ? guard_and_place(wanted, *route, By::put_back) : Result<>{};
      if (!placed && placed.error().code != EEXIST && placed.error().code != ENETDOWN)
        context_.events.add(Severity::warning, EventKind::route_failed, wanted.command.destination_text,
                            placed.error().text);
      note(wanted);
    }
    if (!waits) waiting_.erase(destination);
  }
}

bool Routes::wants(const Route& route) const {
  return std::ranges::any_of(to(route.destination), [&](const auto& item) {
    return item.second.placed && is_same_route(*item.second.placed, route);
  });
}

void Routes::give_way() {
  for (const net::Prefix& destination : before_others_)
    for (const auto& [prefix, wanted] : to(destination))
      if (wanted.placed && wanted.placed->table == platform::kGuardTable &&
          !stands_before_others(wanted.tunnel, wanted.placed->destination))
        return reassert();
}

void Routes::source_gone(const net::Address& address) {
  if (sources_.contains(address)) reassert();
}

void Routes::reassert() {
  const auto v4 = context_.platform.routes(Family::v4), v6 = context_.platform.routes(Family::v6);
  if (!v4 || !v6) return;
  const bool again = std::exchange(owes_, false);
  for (auto& [destination, wanted] : wanted_) {
    if (wanted.placed && wanted.placed->table == platform::kGuardTable &&
        !stands_before_others(wanted.tunnel, wanted.placed->destination)) {  // a network closed around it since
      (void)context_.platform.remove_route(*wanted.placed);
      wanted.placed->table = kMainTable;
    }
    if (!wanted.placed || holds(wanted.command.family() == Family::v4 ? v4 : v6, *wanted.placed)) continue;
    const auto route = resolve(wanted.command);
    owes_ |= !route;
    if (!route) continue;  // its link or address is away: tried again when that comes back
    const auto placed = guard_and_place(wanted, *route, By::put_back);
    note(wanted);
    owes_ |= !placed;
    const std::string& text = wanted.command.destination_text;
    if (placed)
      context_.events.add(Severity::warning, EventKind::route_restored, text,
                          fmt::format("somebody removed the route to {}; it is back", text));
    else if (placed.error().code != ENETDOWN && !again)
      context_.events.add(Severity::warning, EventKind::route_failed, text, placed.error().text);
  }
  place_waiting();
}

// The kernel's routes are asked for only where some of ours may have gone with the link's last device.
void Routes::link_ready(const std::string& link) {
  const auto known = leading_into(link);
  if (std::ranges::any_of(known, [&](const auto at) { return at->second.tunnel == link; })) return reassert();
  place_waiting();
}

void Routes::link_gone(const std::string& link) {
  const auto known = leading_into(link);
  towards_.erase(link);
  for (const auto at : known) {
    Wanted& wanted = at->second;
    wanted.placed.reset();  // the kernel's went with the device; the guard was told by Links
    wanted.tunnel.clear();
    if (wanted.persistent)
      note(wanted);
    else
      forget(at);
  }
}

// Routes name gateways, not links, so the file stays; the device keeps its index and the kernel its routes.
void Routes::link_renamed(const std::string& from, const std::string& to) {
  for (const auto at : leading_into(from)) {
    if (at->second.tunnel != from) continue;
    at->second.tunnel = to;
    note(at->second);
  }
}

}  // namespace adit::engine
