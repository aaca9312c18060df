// The wiring, and the order of a start (docs/model/tunnel.pml).
#include "engine/engine.h"

#include "base/store.h"
#include "config/source/system_resolver.h"
#include "control/consequences.h"
#include "control/event_numbers.h"
#include "control/names.h"
#include "control/run_lock.h"
#include "engine/explain.h"
#include "guard/guard.h"
#include "host/addresses.h"
#include "host/protocol_properties.h"
#include "host/routes.h"
#include "keys/keys.h"
#include "links/links.h"
#include "linux/guard/layers/guard_switch.h"
#include "linux/platform/mark.h"
#include "namespaces/namespaces.h"
#include "path/dataplane.h"
#include "path/ike_sockets.h"
#include "policy/algorithms.h"
#include "policy/policy.h"
#include "services/services.h"

namespace adit::engine {
namespace {

constexpr uint64_t kLeakPollTicks = 5, kGuardCheckTicks = 60;

}  // namespace

// Links and Policy need each other: each gets the other's seam. Guard needs to know tunnels: a view that Links fills.
struct Engine::Parts {
  // Links is made after Guard, which asks it; nothing asks before start.
  class LateView final : public LinkView {
   public:
    const Links* links = nullptr;
    [[nodiscard]] std::optional<TunnelView> tunnel(const std::string& name) const override {
      return links == nullptr ? std::nullopt : links->tunnel(name);
    }
    [[nodiscard]] std::vector<TunnelView> tunnels() const override {
      return links == nullptr ? std::vector<TunnelView>{} : links->tunnels();
    }
    [[nodiscard]] std::string name_at(int device) const override {
      return links == nullptr ? std::string() : links->name_at(device);
    }
    [[nodiscard]] bool up_with(const std::string& name, bool policy) const override {
      return links != nullptr && links->up_with(name, policy);
    }
  };

  Parts(Settings given, platform::Platform& platform, const Clock& clock,
        std::shared_ptr<const config::Resolver> resolver, StepLog log)
      : settings(std::move(given)),
        events(clock),
        steps(std::move(log)),
        names(clock, events, std::move(resolver)),
        context{settings, platform, clock, events, steps, &names, &told},
        algorithms(context),
        dataplane(context),
        ike_sockets(context, dataplane),
        guard(context, view),
        namespaces(context),
        policy(context, algorithms, guard, view, namespaces),
        links(context, dataplane, guard, policy),
        keys(context, algorithms, dataplane, links, policy, namespaces),
        properties(context, guard),
        addresses(context, links, guard),
        routes(context, links, guard),
        services(context),
        explainer(context, dataplane, links, guard, policy, keys) {
    view.links = &links;
    namespaces.set_parts(policy, keys);
    guard.add_part(policy);
    guard.add_part(properties);
    links.add_user(addresses);
    links.add_user(routes);
    links.add_user(keys);
    policy.follow(
        {.snapshot =
             [this](std::shared_ptr<const spd::Head> host, const std::set<std::string>& changed) {
               dataplane.set_host_head(std::move(host));
               links.policy_changed(changed);
             },
         .head_changed = [this](const std::string& head) { keys.link_gone(head); },
         .keep_closed = [this](const std::string& tunnel, const std::string& why) { links.keep_closed(tunnel, why); }});
    add_services();
  }

  void add_services() {
    using Kind = ServiceDependency::Kind;
    services.add(kAlgsService, algorithms.service(), {}, true, settings.root + "/etc/inet/ipsecalgs");
    services.add(kPolicyService, policy.service(), {{Kind::require_all, kAlgsService}}, true,
                 settings.root + "/etc/inet/ipsecinit.conf");
    services.add(kManualKeyService, keys.service(), {{Kind::require_all, kAlgsService}}, false,
                 settings.root + "/etc/inet/secret/ipseckeys");
    services.add(kIptunService,
                 {[this] { return links.bring_up(); }, [this] { return links.bring_up(); },
                  [this] { return links.take_down(); }},
                 {{Kind::optional_all, kPolicyService}}, true);
  }

  Settings settings;
  EventLog events;
  Consequences told;
  StepLog steps;
  Names names;
  Context context;
  LateView view;
  RunLock lock;
  Algorithms algorithms;
  Dataplane dataplane;
  std::set<int> lost_address;  // devices of ours from which we took an address, and gave none since
  IkeSockets ike_sockets;
  Guard guard;
  Namespaces namespaces;
  Policy policy;
  Links links;
  Keys keys;
  ProtocolProperties properties;
  Addresses addresses;
  Routes routes;
  Services services;
  Explainer explainer;
  std::set<std::string> missing;
  uint64_t ticks = 0;
};

Engine::Engine(Settings settings, platform::Platform& platform, const Clock& clock,
               std::shared_ptr<const config::Resolver> resolver, StepLog steps)
    : parts_(std::make_unique<Parts>(std::move(settings), platform, clock,
                                     resolver ? std::move(resolver) : std::make_shared<const config::SystemResolver>(),
                                     std::move(steps))) {}

Engine::~Engine() = default;

Result<> Engine::start() {
  Parts& p = *parts_;
  TRY_ASSIGN(p.lock, RunLock::take(p.settings.run_dir));
  continue_event_numbers(p.context);
  TRY(p.context.platform.change_fd());  // what changes from here on is not missed
  TRY(p.guard.restore());
  crash_point("start:guard");
  p.properties.restore();
  p.namespaces.restore();
  p.services.boot(kAlgsService);
  p.links.load_policies();
  p.services.boot(kPolicyService);
  p.policy.say_what_was_unconfirmed();
  TRY(p.guard.assert_table());
  crash_point("start:policy");
  p.keys.addresses_changed();
  p.keys.restore();
  p.services.boot(kManualKeyService);
  TRY(p.dataplane.start());
  crash_point("start:dataplane");
  TRY(p.links.restore());
  crash_point("start:links");
  p.addresses.restore();
  crash_point("start:addresses");
  p.routes.restore();
  crash_point("start:routes");
  p.links.finish_removals();
  p.services.boot(kIptunService);
  p.links.adopted();
  p.policy.all_restored();
  p.guard.all_restored();
  p.names.start_is_over();
  handle_platform_changes();
  for (const auto& notice : p.context.platform.notices())
    p.events.add(Severity::warning, EventKind::platform, "", notice);
  look_for_missing();
  return {};
}

void Engine::look_for_missing() {
  Parts& p = *parts_;
  const auto sentences = p.context.platform.retry_wires();
  std::set<std::string> now(sentences.begin(), sentences.end());
  if (p.guard.switched_off()) now.insert(platform::kGuardSwitchedOff);
  for (const auto& sentence : now)
    if (!p.missing.contains(sentence)) p.events.add(Severity::alert, EventKind::platform_missing, "", sentence);
  for (const auto& sentence : p.missing)
    if (!now.contains(sentence))
      p.events.add(Severity::warning, EventKind::platform_back, "", "no longer so: " + sentence);
  p.missing = std::move(now);
}

const std::set<std::string>& Engine::missing() const {
  return parts_->missing;
}

void Engine::stop() {
  Parts& p = *parts_;
  p.links.stop();
  p.addresses.write_stored();
  p.routes.write_stored();
  p.dataplane.stop();
  p.keys.stop();
  p.steps.stop();
}

Result<Outcome> Engine::refresh() {
  return parts_->services.refresh_all();
}

void Engine::handle_worker_events() {
  Parts& p = *parts_;
  struct Visitor {
    Parts& p;
    void operator()(const datapath::AcquireNeeded& event) const { p.keys.handle(event); }
    void operator()(const datapath::SaReached& event) const { p.keys.handle(event); }
    void operator()(const datapath::NumbersWanted& event) const { p.keys.handle(event); }
    void operator()(const datapath::PathMtuChanged& event) const { p.links.handle(event); }
    void operator()(const datapath::LoopCaught& event) const {
      const std::string name = p.links.name_of(event.link);
      p.events.add(
          Severity::alert, EventKind::link_loop, name,
          fmt::format(
              "{} would carry itself: its outer packets are routed into it; they are dropped until the underlay "
              "has a route to its remote address",
              name));
    }
    void operator()(const datapath::LinkIoFailed& event) const {
      if (!p.links.name_of(event.link).empty()) p.links.reassert(true, false);  // else it was taken away here
    }
  };
  for (const auto& event : p.dataplane.shared().events.take_all()) std::visit(Visitor{p}, event);
  p.keys.save_numbers();
}

// Most news is of what was just done here. It costs itself, however much there is of everything; all else is a reason
// to look at all there is.
bool Engine::is_as_wanted(const platform::Change& change) {
  Parts& p = *parts_;
  using What = platform::Change::What;
  if (change.what == What::link) {
    p.guard.link_touched(change.interface_index);
    if (!p.links.is_as_wanted(change)) return false;
    if (change.gone) p.guard.link_taken_away(change.interface_index);
    return true;
  }
  const bool gone_with_it = change.gone && p.links.took_away(change.interface_index);
  if (change.what == What::address && change.address) {
    const std::string link = p.links.name_at(change.interface_index);
    if (!gone_with_it && (link.empty() || p.addresses.wants(link, *change.address) == change.gone)) return false;
    p.keys.address_changed(*change.address, change.gone);
    if (change.gone) p.routes.source_gone(change.address->local.address());
    return true;
  }
  if (change.what != What::route || !change.route) return false;
  if (gone_with_it) return true;
  const std::string link = p.links.name_at(change.interface_index);
  if (link.empty()) return false;
  const platform::Route& route = *change.route;
  if (route.protocol == platform::kKernelProtocol) return route.destination.is_host();  // an address's own: closes none
  if (route.protocol != platform::kRouteProtocol || !route.more_hops.empty()) return false;
  const bool wanted = p.guard.wants(route) || p.addresses.wants(link, route) || p.routes.wants(route);
  return wanted != change.gone;
}

void Engine::warn(const Result<>& of_the_guard) {
  if (!of_the_guard) parts_->events.add(Severity::warning, EventKind::guard_failed, "", of_the_guard.error().text);
}

// The guard first: while devices and routes are put back, what they carried is closed.
void Engine::handle_platform_changes() {
  Parts& p = *parts_;
  using What = platform::Change::What;
  std::set<What> changed;
  std::set<What> own;
  std::vector<int> gone;
  std::set<int> addressed;  // devices of ours that got an address again
  bool underlay_route = false;
  for (const auto& change : p.context.platform.poll_changes()) {
    if (change.what == What::link && change.interface_index == 0) p.links.notices_were_lost();
    if (change.what == What::link && change.gone) gone.push_back(change.interface_index);
    if (is_as_wanted(change)) {
      own.insert(change.what);
      if (change.what == What::address && change.gone) p.lost_address.insert(change.interface_index);
      if (change.what == What::address && !change.gone && p.lost_address.erase(change.interface_index) != 0)
        addressed.insert(change.interface_index);
      continue;
    }
    changed.insert(change.what);
    underlay_route |=
        change.what == What::route && (change.interface_index == 0 || p.links.is_underlay(change.interface_index));
  }
  for (const int device : gone) {
    p.links.heard_gone(device);
    p.lost_address.erase(device);
  }
  p.routes.give_way();
  if (own.contains(What::link)) p.properties.reassert();
  // The kernel drops a device's routes with its last address, and tells nobody: they come back with the next one.
  if (own.contains(What::address) && !changed.contains(What::address)) {
    p.routes.place_waiting();
    for (const int device : addressed) p.routes.link_ready(p.links.name_at(device));
  }
  if (own.contains(What::address)) warn(p.guard.own_addresses_changed());
  if (changed.empty()) return;
  const bool link = changed.contains(What::link), address = changed.contains(What::address);
  p.guard.reassert(link || changed.contains(What::route), changed.contains(What::nftables));
  if (link || address) {
    p.keys.addresses_changed();
    p.links.reassert(link, address);
    p.addresses.reassert();
    p.properties.reassert();
    if (address) {
      p.guard.addresses_changed();
      warn(p.guard.reapply());
    }
  }
  if (underlay_route) p.links.underlay_changed();
  p.routes.reassert();
}

// Policy before keys, as at a start.
void Engine::handle_names() {
  Parts& p = *parts_;
  if (!p.names.take_answers()) return;
  p.policy.names_changed();
  p.links.names_changed();
  p.keys.names_changed();
}

Names& Engine::names() {
  return parts_->names;
}

void Engine::tick() {
  Parts& p = *parts_;
  ++p.ticks;
  p.names.tick();
  p.keys.tick();
  p.policy.tick();
  p.namespaces.tick();
  p.links.tick();
  p.addresses.tick();
  p.routes.tick();
  p.guard.tick();
  if (p.addresses.owes() || p.routes.owes()) {  // what no notice tells the end of: IPv6 that is switched on again
    p.addresses.reassert();
    p.routes.reassert();
  }
  look_for_missing();
  p.ike_sockets.tick();
  if (p.ticks % kLeakPollTicks == 0) p.guard.poll_leaks();
  if (p.ticks % kGuardCheckTicks == 0) p.guard.reassert(true, true);
}

EventLog& Engine::events() {
  return parts_->events;
}
Addresses& Engine::addresses() {
  return parts_->addresses;
}
Algorithms& Engine::algorithms() {
  return parts_->algorithms;
}
Consequences& Engine::consequences() {
  return parts_->told;
}
Dataplane& Engine::dataplane() {
  return parts_->dataplane;
}
Explainer& Engine::explainer() {
  return parts_->explainer;
}
Guard& Engine::guard() {
  return parts_->guard;
}
IkeSockets& Engine::ike_sockets() {
  return parts_->ike_sockets;
}
Keys& Engine::keys() {
  return parts_->keys;
}
Links& Engine::links() {
  return parts_->links;
}
Namespaces& Engine::namespaces() {
  return parts_->namespaces;
}
Policy& Engine::policy() {
  return parts_->policy;
}
ProtocolProperties& Engine::protocol_properties() {
  return parts_->properties;
}
Routes& Engine::routes() {
  return parts_->routes;
}
Services& Engine::services() {
  return parts_->services;
}
const Settings& Engine::settings() const {
  return parts_->settings;
}

}  // namespace adit::engine
