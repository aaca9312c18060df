// What stands in the guard's routing table beside the tunnels' own routes: what is unreachable, and what it leaves to
// the tables behind it. One network more or less gives the few routes that go and come. Pure; one thread.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "linux/platform/guard_plan.h"

namespace adit::platform {

struct GuardRoute {
  enum class Kind : uint8_t {
    elsewhere,    // throw: the next rule decides
    unreachable,  // behind every route of a tunnel
    blackhole,    // IPv6, behind that: for look-ups bound to a device, which do not see unreachable routes
  };
  net::Prefix destination;
  Kind kind;
  friend auto operator<=>(const GuardRoute&, const GuardRoute&) = default;
};

struct RouteStep {
  std::set<GuardRoute> gone, come;
};

class GuardRoutes {
 public:
  explicit GuardRoutes(const GuardPlan& plan);
  RouteStep change(const GuardChange& change);
  [[nodiscard]] const std::map<GuardRoute, int>& all() const { return routes_; }  // with how many ask for each
  [[nodiscard]] bool empty() const { return routes_.empty(); }                    // no peer to throw back either
  [[nodiscard]] bool covers(const net::Prefix& network) const;                    // some closed network contains it
  [[nodiscard]] bool overlaps(const net::Prefix& network) const;                  // or lies in it

 private:
  void close(const net::Prefix& network, bool on, RouteStep& step);
  void set_inside(const net::Prefix& network, bool on, RouteStep& step);
  void set_peer(const net::Address& peer, bool on, RouteStep& step);
  void ask(const GuardRoute& route, bool on, RouteStep& step);
  void ask_blackholes(const net::Prefix& network, bool on, RouteStep& step);
  [[nodiscard]] std::vector<net::Prefix> around(const net::Prefix& network) const;  // closed ones that contain it

  std::set<net::Prefix> closed_, inside_;
  std::set<net::Address> peers_;
  std::map<GuardRoute, int> routes_;
};

// The fewest prefixes that cover `network` but for what lies in `holes`.
std::vector<net::Prefix> without(const net::Prefix& network, const std::vector<net::Prefix>& holes);

}  // namespace adit::platform
