// Everything the engine asks of the operating system, so that it runs whole against a fake
// (linux/platform/testing/fake_platform.h) in a test. Engine thread only. Every call is idempotent where that makes
// sense: making what stands already is success.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ike/door/port.h"
#include "linux/platform/guard_plan.h"
#include "linux/platform/mark.h"
#include "net/address.h"
#include "ports/ports.h"

namespace adit::platform {

struct InterfaceCounters {
  uint64_t ipackets = 0, rbytes = 0, ierrors = 0, opackets = 0, obytes = 0, oerrors = 0;
  uint64_t lost = 0;  // of a TUN: what the host sent into it while its queue was full (tx_dropped)
};
struct InterfaceInfo {
  int index = 0;
  std::string name;
  bool up = false, carrier = false, loopback = false, point_to_point = false, is_tun = false, multicast = false,
       broadcast = false;
  // A TUN that Adit made: opened by this process, whatever others have written on it since; or, made before a crash,
  // by the interface group kLinkGroup, which is a hint and no proof.
  bool ours = false;
  uint32_t mtu = 0;
  InterfaceCounters counters;  // the kernel's
};
struct AddressInfo {
  int interface_index = 0;
  net::Prefix local;  // with host bits
  std::optional<net::Address> peer;
  bool tentative = false, duplicate = false, deprecated = false, temporary = false;

  // It says that a network is there: not a single host's, nor loopback or IPv6 link-local.
  [[nodiscard]] bool in_a_network() const {
    const net::Address& address = local.address();
    return !local.is_host() && !address.is_loopback() && (address.is_v4() || !address.is_link_local());
  }
};
struct Hop {
  std::optional<net::Address> gateway;
  int interface_index = 0;
  bool linkdown = false;
  friend bool operator==(const Hop&, const Hop&) = default;
};
struct Route {
  net::Prefix destination;
  std::optional<net::Address> gateway;
  int interface_index = 0;  // 0: unreachable or blackhole
  bool unreachable = false, blackhole = false;
  uint32_t metric = 0;
  uint32_t table = 254;
  uint8_t protocol = 0;  // RTPROT_*; ours: kRouteProtocol
  bool linkdown = false;
  std::optional<net::Address> preferred_source;
  // Others' routes only: the hops behind the first one, of a multipath route or of a group of nexthop objects.
  std::vector<Hop> more_hops = {};
  friend bool operator==(const Route&, const Route&) = default;
};

// A route a hop: what each of them alone would be.
inline std::vector<Route> single_hops(const Route& route) {
  std::vector<Route> all{route};
  all.front().more_hops.clear();
  for (const Hop& hop : route.more_hops) {
    Route one = all.front();
    one.gateway = hop.gateway;
    one.interface_index = hop.interface_index;
    one.linkdown = hop.linkdown;
    all.push_back(std::move(one));
  }
  return all;
}

// A change somebody made: the engine compares with what it wants and puts back (model: NO_REASSERT).
// `nftables` is reported for table `inet adit` only, and not for our own transactions: ask firewall_stands().
struct Change {
  enum class What : uint8_t { link, address, route, rule, nftables, guard } what;  // guard: one of its layers
  int interface_index = 0;                                                         // 0: any
  // Of a link: as it was told last, without counters; nullopt: it is gone, or nobody knows.
  std::optional<InterfaceInfo> link = {};
  bool fell = false;  // it was up and was not, meanwhile: what stood on it may be gone
  // Which address, which route; nullopt: nobody knows, any.
  std::optional<AddressInfo> address = {};
  std::optional<Route> route = {};
  bool gone = false;  // the link, the address, the route: it went, and is not there again
};

struct HostRule {  // bypass, pass or drop of the host head, in order of precedence
  bool drop = false;
  bool outbound = false, inbound = false;
  net::Family family = net::Family::v4;
  std::optional<net::Prefix> local, remote;
  std::optional<uint8_t> protocol;
  std::optional<uint16_t> local_port, remote_port;
  std::optional<uint8_t> icmp_type, icmp_type_end, icmp_code, icmp_code_end;
  std::string comment;  // rule index, origin
  friend bool operator==(const HostRule&, const HostRule&) = default;
};
enum class HostModel : uint8_t { weak, strong };
struct OwnAddress {
  net::Address address;
  std::string interface;
  friend bool operator==(const OwnAddress&, const OwnAddress&) = default;
};
// The host's own policy and model: table `inet adit`, replaced atomically. Not the guard (linux/platform/guard_plan.h).
struct Firewall {
  // hostmodel=strong: addresses of Adit's own address objects. The kernel's fib knows one interface an address, and a
  // tunnel often shares its address with the LAN's interface (the guide does that), so these are allowed beside the
  // fib's answer.
  std::vector<OwnAddress> own_addresses;
  std::vector<HostRule> host_rules;
  HostModel model_v4 = HostModel::weak, model_v6 = HostModel::weak;
  friend bool operator==(const Firewall&, const Firewall&) = default;
};
struct LeakCount {  // packets that the guard stopped
  net::Prefix network;
  bool outbound = false;
  uint64_t packets = 0, bytes = 0;
};

// What the engine knows of a device's name. `recorded`: its files have a tunnel of that name, so that a persistent TUN
// under it which nobody has open and no user may open is the tunnel's, whatever its group says.
enum class DeviceName : uint8_t { fresh, recorded };

class Platform {
 public:
  virtual ~Platform() = default;

  // --- devices. Names are valid (tunnel::check_name). LAB.md's TUN table is law: persistent, IFF_NO_CARRIER at attach.
  // Makes or adopts the persistent TUN with carrier off and in the group kLinkGroup, where it is kept; `queues` ports,
  // one a worker. EEXIST: the name is a device not of ours. EBUSY: another process has its queues. ENOENT: no
  // /dev/net/tun. EPERM: no CAP_NET_ADMIN.
  virtual Result<std::vector<std::unique_ptr<datapath::TunPort>>> open_tun(const std::string& name, uint32_t queues,
                                                                           DeviceName known) = 0;
  // A device that is not there: success. EEXIST: it is not of ours, and stays.
  virtual Result<> delete_tun(const std::string& name, DeviceName known) = 0;
  virtual Result<> set_carrier(const std::string& name, bool on) = 0;
  virtual Result<> set_link_up(const std::string& name, bool up) = 0;
  virtual Result<> set_mtu(const std::string& name, uint32_t mtu) = 0;
  // The largest super-packet that the kernel hands to the TUN: `bytes` of IP packet, `segments` of TCP or UDP segments,
  // so that one of them, sealed, is one UDP GSO send (64 segments, 65,507 bytes with the overhead).
  virtual Result<> set_gso_max(const std::string& name, uint32_t bytes, uint32_t segments) = 0;
  virtual Result<> rename_link(const std::string& name, const std::string& new_name) = 0;
  // Degrades where the system lacks something (IPv6 off): notices() then says what and why. What others hold (port
  // 4500): retry_wires().
  virtual Result<std::unique_ptr<datapath::WirePort>> open_wire(uint32_t worker, uint32_t workers) = 0;
  // Sentences for the operator about what had to be done without; each once.
  virtual std::vector<std::string> notices() = 0;

  // Tries again to get what open_wire had to do without because others hold it, and gives it to the ports; and UDP port
  // 500. What is still missing: a sentence each, the same one as long as it lasts.
  virtual std::vector<std::string> retry_wires() { return {}; }

  // --- the sockets of IKE. Port 500 is made by retry_wires() and stays the platform's; -1: it is missing.
  virtual int socket_of_500(net::Family) { return -1; }
  // While it does not listen, nobody who has a copy of it receives, and what comes is gone.
  virtual void listen_on_500(bool) {}
  // The pair for port 4500. `hand` gets both ends; the far one is closed when it returns, and all of it when that is an
  // error, which is passed on. EMFILE, ENFILE, ENOMEM.
  using HandIkePair = std::function<Result<>(const std::shared_ptr<ike::Port>& port, int far)>;
  virtual Result<std::shared_ptr<ike::Port>> make_ike_pair(const HandIkePair&) {
    return fail(ENOTSUP, "there are no sockets for IKE here");
  }

  // --- netlink
  virtual Result<std::vector<InterfaceInfo>> interfaces() = 0;
  virtual Result<InterfaceInfo> interface(const std::string& name) = 0;  // ENODEV: not there
  virtual Result<InterfaceInfo> interface(int index) = 0;                // ENODEV
  virtual Result<std::vector<AddressInfo>> addresses() = 0;
  // Some of them, at no cost by the number of the others.
  virtual Result<std::vector<AddressInfo>> addresses_like(const net::Address& address) = 0;
  virtual Result<std::vector<AddressInfo>> addresses_with_peer(const net::Address& peer) = 0;
  // Those that are in_a_network().
  virtual Result<std::vector<AddressInfo>> addresses_in_networks() = 0;
  virtual Result<> add_address(const std::string& interface, const net::Prefix& local,
                               std::optional<net::Address> peer) = 0;
  virtual Result<> remove_address(const std::string& interface, const net::Prefix& local,
                                  std::optional<net::Address> peer) = 0;
  virtual Result<std::vector<Route>> routes(net::Family family) = 0;  // all tables' unicast, unreachable, blackhole
  // EEXIST: just this route is there; ENETUNREACH: gateway not on a link; ENODEV. An IPv4 route of equal destination
  // and metric does not stop it: the new one goes in front. IPv6 metric 0 is the kernel's 1024, and of equals the older
  // wins: say a lower.
  virtual Result<> add_route(const Route& route) = 0;
  virtual Result<> remove_route(const Route& route) = 0;                                   // ESRCH: not in table
  virtual Result<Route> lookup_route(const net::Address& destination, uint32_t mark) = 0;  // what the kernel would do

  // --- the guard. When a call returns success every layer stands as the plan then is, the guardian's too; on failure
  // nothing has opened, and what stood stands. EBUSY: the kernel's guard is another root's; ETIMEDOUT: the guardian
  // does not answer; ESTALE (change only): the layers have lost the plan that the change builds on: replace.
  virtual Result<> replace_guard(const GuardPlan& plan) = 0;
  virtual Result<> change_guard(const GuardChange& change) = 0;
  virtual GuardState guard_state() = 0;
  // linux/guard/layers/guard_switch.h. While it is so the layers take every plan, and close nothing of it.
  virtual bool guard_switched_off() { return false; }
  // Looks at every layer and puts back what others took away or changed: a sentence for each, or for what the guardian
  // put back meanwhile. Nothing to do: empty.
  virtual std::vector<std::string> put_back_guard() = 0;
  virtual Result<std::optional<FoundGuard>> found_guard() = 0;  // nullopt: nothing of Adit's guard is in the kernel

  // --- nftables; text is what adit-guard.service loads at boot (`nft -j -f FILE`).
  // One transaction of the kernel a call. What stands already is not sent again.
  virtual Result<> apply_firewall(const Firewall& firewall) = 0;
  virtual Result<> remove_firewall() = 0;
  virtual std::string render_firewall(const Firewall& firewall) = 0;
  virtual Result<bool> firewall_stands() = 0;                // just as applied last: nobody took a part away
  virtual Result<std::vector<LeakCount>> leak_counts() = 0;  // of the guard's tables; they go on over replacements
  // Everybody's tables, as `nft -j list ruleset` prints them. Some ms, more where others have many rules.
  virtual Result<std::string> ruleset() = 0;

  // --- settings: "net/ipv4/ip_forward" and the like
  virtual Result<std::string> sysctl(const std::string& path) = 0;
  virtual Result<> set_sysctl(const std::string& path, const std::string& value) = 0;

  // Starts to report changes made by anybody (ourselves too); `changed` runs on the thread that calls poll_changes.
  virtual Result<int> change_fd() = 0;  // readable: call poll_changes
  virtual std::vector<Change> poll_changes() = 0;
};

}  // namespace adit::platform
