// Where outer packets go. A rule sends what carries our mark to kUnderlayTable, a mirror of table main without routes
// into a tunnel of ours and without the guard's unreachable ones; what the mirror does not know is unreachable for
// them. So a default route over a tunnel takes the host's traffic and not the tunnel's own, and a tunnel never carries
// itself. An operator's own `ip rule`s of a lower number come first, for outer packets too. The mirror need only be
// right while the daemon lives: nobody else sends marked packets.
#pragma once

#include <set>

#include "linux/netlink_socket.h"
#include "linux/platform.h"

namespace adit::platform {

class Underlay {
 public:
  explicit Underlay(Netlink& netlink) : netlink_(netlink) {}

  // Makes rules and mirror for both families (a kernel without IPv6: for one). Again at any time, also to catch up.
  Result<> establish(uint32_t mark);
  // After notices were lost.
  void catch_up();

  // Interfaces that no mirrored route may use.
  void add_tunnel(int index) { tunnels_.insert(index); }
  void forget_tunnel(int index) { tunnels_.erase(index); }

  // A route notice, as it came. True: it concerns others than us and should be reported.
  bool follow(const nlmsghdr& notice);

 private:
  Result<> mirror(int family);
  Result<> make_rule(int family, uint32_t priority, uint8_t action);
  [[nodiscard]] bool belongs(const nlmsghdr& route) const;
  Result<> send_copy(const nlmsghdr& route, uint16_t type, uint16_t flags);

  Netlink& netlink_;
  uint32_t mark_ = 0;
  std::set<int> tunnels_;
};

}  // namespace adit::platform
