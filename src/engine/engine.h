// The single writer: takes commands, checks them whole, applies each as one transaction, publishes, persists, reports.
// One thread (the event loop's). Every command either does all of it or nothing, and its error says what stands
// unchanged. Engine only composes: each concern is a class in a file of its own.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "control/event_log.h"
#include "control/seams.h"
#include "control/types.h"

namespace adit::datapath {
struct Shared;
}

namespace adit::config {
class Resolver;
}

namespace adit::engine {

class Addresses;           // ipadm:        host/addresses.h
class Algorithms;          // ipsecalgs:    policy/algorithms.h
class Consequences;        // what commands do to tunnels: control/consequences.h
class Explainer;           // adit explain: engine/explain.h
class Dataplane;           // workers, snapshots: path/dataplane.h
class Guard;               // I7:           guard/guard.h
class IkeSockets;          // who has port 500, and IKE on port 4500: path/ike_sockets.h
class Keys;                // SAD:          keys/keys.h
class Links;               // dladm:        links/links.h
class Names;               // look-ups:     control/names.h
class Namespaces;          // who may act where: namespaces/namespaces.h
class Policy;              // SPD:          policy/policy.h
class ProtocolProperties;  // hostmodel, forwarding: host/protocol_properties.h
class Routes;              // route:        host/routes.h
class Services;            // svcadm:       services/services.h

class Engine {
 public:
  // Nothing is touched before start(). `platform` and `clock` outlive the engine. Destroying an engine that was not
  // stopped leaves the kernel as a killed daemon leaves it (the tests' SIGKILL).
  // `resolver`: who is asked for names, from threads; null: the system's. `steps`: where this life's are logged.
  Engine(Settings settings, platform::Platform& platform, const Clock& clock,
         std::shared_ptr<const config::Resolver> resolver = nullptr, StepLog steps = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // In this order (docs/model/tunnel.pml): run-directory lock, guard, protocol properties, algorithms, policy, keys,
  // workers, tunnels, addresses, routes; then what somebody changed while no daemon ran. What cannot be restored stays
  // closed and is in the event log; an error only when the daemon is of no use: EBUSY (another aditd, pid named),
  // EPERM, ENOENT (/dev/net/tun).
  Result<> start();
  // Carrier off everywhere, workers stopped; guard, devices, addresses and routes stay, closed.
  void stop();
  Result<Outcome> refresh();  // SIGHUP: every enabled service reads its files again

  // The event loop calls these.
  void handle_worker_events();     // after Dataplane's bell
  void handle_platform_changes();  // platform.change_fd() is readable
  void handle_names();             // after Names' bell: what a name stands for takes effect, by one swap
  Names& names();
  void tick();  // once a second: lifetimes, leak witness, unresolved tunnels

  // What is missing at this moment, a sentence each.
  [[nodiscard]] const std::set<std::string>& missing() const;

  EventLog& events();
  Addresses& addresses();
  Algorithms& algorithms();
  Consequences& consequences();
  Dataplane& dataplane();
  Explainer& explainer();
  Guard& guard();
  IkeSockets& ike_sockets();
  Keys& keys();
  Links& links();
  Namespaces& namespaces();
  Policy& policy();
  ProtocolProperties& protocol_properties();
  Routes& routes();
  Services& services();
  [[nodiscard]] const Settings& settings() const;

 private:
  void look_for_missing();
  bool is_as_wanted(const platform::Change& change);
  void warn(const Result<>& of_the_guard);
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// What Engine calls on the classes of the services helper (constructors and life), besides their commands:
//   Addresses(const Context&, const LinkView&, GuardDoor&)            : LinkUser; void restore(); void reassert();
//   Routes(const Context&, const LinkView&, GuardDoor&)               : LinkUser; void restore(); void reassert();
//   ProtocolProperties(const Context&, FirewallDoor&)                 : FirewallPart; void restore();
//   Services(const Context&)  void add(std::string fmri, ServiceMethods, dependencies, enabled by default); void
//   boot(fmri);
// restore(): read the file, put everything in place (guard first), log what failed. reassert(): someone changed the
// kernel; compare and put back. boot(fmri): run the start method if the service is enabled and record the state.

}  // namespace adit::engine
