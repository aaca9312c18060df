// The guard's routing layer in the kernel: one rule in front of all others but `local`, for each family, and the table
// that it leads to. Behind it one for ICMP of this host: an error quotes the packet that it is about, and goes back by
// the routes of table main, whatever rules others made for what this host or its LAN sends. By rtnetlink. One thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "linux/guard/content/guard_routes.h"
#include "linux/netlink/netlink_socket.h"
#include "linux/platform/mark.h"

namespace adit::platform {

constexpr uint32_t kGuardNexthop = 0x0ad17174;  // a blackhole; nothing else uses numbers that high

class GuardRule {
 public:
  static Result<GuardRule> open();

  // Whole: what is missing comes, what is foreign in the table goes, but routes of protocol kRouteProtocol over a
  // device, which are the tunnels' own. Nothing closed: nothing stays but those.
  Result<> replace(const GuardPlan& plan);
  Result<> change(const GuardChange& change);                // on an error some of it may stand: replace
  [[nodiscard]] bool standing() const { return standing_; }  // all of it was put in by the last of these
  void forget() { standing_ = false; }                       // what stands is another's
  // Looks at everything, and puts back what others broke: a sentence for each. An error: what could not be put back.
  Result<std::vector<std::string>> put_back();
  // The first thing that is not as it should be, in words; empty: nothing.
  Result<std::string> fault();

  // Whether a notice of rtnetlink may be about something that others did to this layer.
  [[nodiscard]] bool concerns(const nlmsghdr& notice) const;

 private:
  struct Rule {                 // of the kernel, at the lowest priority there is
    std::vector<uint8_t> body;  // as dumped, behind nlmsghdr
    bool guard = false, errors = false, local = false;
    uint32_t priority = 0;
  };
  struct Entry {  // of the guard's table
    std::vector<uint8_t> body;
    std::optional<GuardRoute> ours;
    bool tunnels = false;
    std::string text;  // of one that somebody else put there
  };
  using Sentences = std::vector<std::string>;
  explicit GuardRule(Netlink netlink) : netlink_(std::move(netlink)) {}

  // With `act`, puts right what it finds. `found`: a sentence for each thing that was wrong.
  Result<> go_over(bool act, Sentences& found);
  Result<> go_over_family(net::Family family, bool act, Sentences& found);
  Result<> go_over_nexthop(bool act, Sentences& found);
  Result<> go_over_routes(net::Family family, bool act, Sentences& found);
  Result<> go_over_rules(net::Family family, bool act, Sentences& found);
  Result<> go_over_order(net::Family family, bool act, Sentences& found);
  Result<> go_over_local(net::Family family, Sentences& found);

  Result<std::vector<Rule>> rules(net::Family family);
  Result<std::vector<Entry>> entries(net::Family family);
  Result<> dump_table(net::Family family, uint32_t table, const std::function<void(const nlmsghdr&)>& each,
                      const std::function<void()>& restart);
  Result<std::set<net::Prefix>> own_addresses(net::Family family);
  [[nodiscard]] std::set<GuardRoute> wanted(net::Family family);
  Result<> add(const GuardRoute& route);
  Result<> remove(const GuardRoute& route);
  Result<> send_again(uint16_t type, const std::vector<uint8_t>& body, size_t header, const std::set<int>& kept);
  enum class Ours : uint8_t { guard, errors };
  Result<> change_rule(uint16_t type, net::Family family, Ours which);

  Netlink netlink_;
  bool ipv6_ = true;  // the kernel has it
  GuardRoutes routes_{GuardPlan{}};
  bool standing_ = false;                     // made once, so that what is missing was taken
  std::array<std::set<net::Prefix>, 2> own_;  // own addresses that others' order of rules would close
  std::set<std::string> told_;                // of table local: each once, while it lasts
};

}  // namespace adit::platform
