// Where links, addresses, routes and guard meet: each knows the others only by these interfaces, so each is tested
// alone. Engine thread only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "control/event_log.h"
#include "control/step_log.h"
#include "control/types.h"
#include "control/undo.h"
#include "guard/book/book.h"
#include "linux/platform/platform.h"
#include "net/address.h"

namespace adit::engine {

class Consequences;
class Names;

// What every class of the engine stands on. References outlive all of them.
struct Context {
  const Settings& settings;
  platform::Platform& platform;
  const Clock& clock;
  EventLog& events;
  StepLog& steps;                // each is logged where it happens
  Names* names = nullptr;        // of parts that look none up: null
  Consequences* told = nullptr;  // of parts whose changes reach no tunnel: null

  // <root>/etc/…: in_root("/etc/ipadm/ipadm.conf").
  [[nodiscard]] std::string in_root(std::string_view absolute) const { return settings.root + std::string(absolute); }
  [[nodiscard]] std::string in_run(std::string_view name) const { return settings.run_dir + "/" + std::string(name); }
};

// ---- asked of Links (links/links.h implements it)
struct TunnelView {
  std::string name;
  tunnel::LinkId id{};
  tunnel::Type type = tunnel::Type::ipv4;
  std::optional<net::Address> local, remote;  // outer; both there: bound
  bool secured = false, temporary = false;
  bool policy = false;  // an active policy head is attached
  bool up = false;      // packets may pass; false: its addresses are `inaccessible`
  uint32_t mtu = 0;
  int device = 0;         // index of its interface; 0: there is none now
  bool deleting = false;  // a deletion that failed is still on disk, and the next start goes on with it
};
class LinkView {
 public:
  virtual ~LinkView() = default;
  [[nodiscard]] virtual std::optional<TunnelView> tunnel(
      const std::string& name) const = 0;                             // nullopt: not a tunnel of ours
  [[nodiscard]] virtual std::vector<TunnelView> tunnels() const = 0;  // by name
  // Whose device that is; empty: not one of ours that stands.
  [[nodiscard]] virtual std::string name_at(int device) const = 0;
  // Whether packets might pass if it had rules, or had none, and all else were as it is. False: not a tunnel of ours.
  [[nodiscard]] virtual bool up_with(const std::string& tunnel, bool policy) const = 0;
};

// Asked by each command that closes something for a tunnel. EBUSY: what it promised would go with the tunnel.
inline Result<> may_promise(const LinkView& links, const std::string& tunnel) {
  const auto view = links.tunnel(tunnel);
  if (!view || !view->deleting) return {};
  return fail(EBUSY, "{0} is half deleted; 'dladm delete-iptun -r {0}' goes on, or wait until its list can be written",
              tunnel);
}

// ---- told by Links. Addresses and Routes are link users (Engine wires them in that order).
class LinkUser {
 public:
  virtual ~LinkUser() = default;
  // EBUSY ("link busy" and which address object or route to delete first): delete-iptun is refused. Asked before
  // anything changes.
  virtual Result<> may_delete(const std::string& link) const = 0;
  // What stands on the link and would go with it, each with the command that removes it.
  struct Obstacle {
    std::string what, remedy;
  };
  [[nodiscard]] virtual std::vector<Obstacle> standing_on(const std::string& link) const = 0;
  // delete-iptun -r: takes that off, first from the file, then from the kernel; the guard is left as it is. The way
  // back is in `undo`. Taking off what is half gone already succeeds.
  virtual Result<> take_off(const std::string& link, Undo& undo) = 0;
  // The tunnel's device has come (made, adopted or put back after someone's `ip link del` or `down`): put on it what
  // belongs there. Failures go to the event log.
  virtual void link_ready(const std::string& link) = 0;
  // After a successful delete-iptun or rename-link: forget or rename what still names the link, in the files too.
  virtual void link_gone(const std::string& link) = 0;
  virtual void link_renamed(const std::string& from, const std::string& to) = 0;
};

// ---- asked of Guard (guard/guard.h implements it), invariant I7
using GuardSource = guard::Source;
using GuardHold = guard::Hold;
class GuardDoor {
 public:
  virtual ~GuardDoor() = default;
  // BEFORE the address or route goes into the kernel. When it returns success every layer stands and it is on disk.
  // Nothing to do, and success, when the tunnel is not secured or the network never leaves a link. Idempotent. On
  // failure nothing changed. True: it was this call that closed it for that reason; only then may the command that
  // called, should it fail, release it again.
  virtual Result<bool> protect(const net::Prefix& network, const std::string& tunnel, GuardSource source) = 0;
  // By a command that took the address or route away, AFTER it is out of the kernel. Never because something failed,
  // is missing or changed. The network opens only when no source of no tunnel holds it any
  // more: then `true`, and the command notes that the network is now reachable in the clear if a route leads there.
  virtual Result<bool> release(const net::Prefix& network, const std::string& tunnel, GuardSource source) = 0;
  [[nodiscard]] virtual bool guards(const net::Prefix& network) const = 0;
  [[nodiscard]] virtual bool covers(const net::Prefix& network) const = 0;  // it, or a wider one that holds it
};

// ---- asked by Guard, which applies the one nftables table: what else goes into it
class FirewallPart {
 public:
  virtual ~FirewallPart() = default;
  virtual void contribute(
      platform::Firewall& firewall) const = 0;  // host rules (Policy), host models (ProtocolProperties)
};
class FirewallDoor {
 public:
  virtual ~FirewallDoor() = default;
  virtual Result<> reapply() = 0;  // after a part changed; on failure the old table stands
};

}  // namespace adit::engine
