// For tests: a host with the guard's layers between a LAN and a transit network that would carry any leak. near0 leads
// to the transit (default route), near1 to the LAN; both end in one far namespace, which counts what comes back to it
// by near0. `t0` stands for a tunnel's device.
#pragma once

#include <arpa/inet.h>
#include <cap-ng.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "linux/guard/layers/guard_layers.h"
#include "linux/guard/layers/guard_watch.h"
#include "linux/platform/mark.h"
#include "linux/process/testing/own_namespace.h"

namespace adit::platform {

struct Sending {
  std::string from, device;
  uint32_t mark = 0;
  uint16_t from_port = 0, port = 9999;
  uint32_t uid = 0;             // not 0: as this user, with CAP_NET_RAW alone
  bool by_packet_info = false;  // the device named with the packet, not for the socket
  bool multicast_device = false;
  std::string bytes = "x";
};

class GuardedHost : public OwnNamespace {
 protected:
  void SetUp() override {
    OwnNamespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    make_far();
    run("ip link add near1 type veth peer name lan1");
    run("ip link add t0 type veth peer name t0x && ip link set t0 arp off");
    move_to_far("t0x");
    run("sysctl -qw net.ipv6.conf.t0.addr_gen_mode=1 && ip link set t0 up && ip addr add 10.99.0.1/32 dev t0");
    move_to_far("lan1");
    run("ip link set near1 up && ip addr add 10.0.0.1/24 dev near1 && ip addr add 2001:db8:a::1/64 dev near1 nodad");
    run("ip route add default via 192.0.2.2 && ip -6 route add default via 2001:db8::2");
    run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 "
        "net.ipv4.conf.near0.rp_filter=0 net.ipv4.conf.near1.rp_filter=0 net.ipv4.conf.default.rp_filter=0");
    go_far();
    run("ip link set t0x up && ip link set lan1 up && ip addr add 10.0.0.2/24 dev lan1 && ip addr add 2001:db8:a::2/64 "
        "dev lan1 nodad");
    run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.far0.rp_filter=0 net.ipv4.conf.lan1.rp_filter=0 "
        "net.ipv4.conf.far0.proxy_arp=1");
    go_near();
    tunnel = index_of("t0");
    for (int tries = 0; tries < 500 && holds("ip route show table all | grep -q linkdown"); ++tries) usleep(10000);
    run("nft 'table netdev tunnelled { chain c { type filter hook egress device t0 priority 0; meta l4proto { 17, 50 } "
        "counter; "
        "}; }'");
  }

  static net::Prefix prefix(const std::string& text) { return *net::Prefix::parse(text); }
  static net::Address address(const std::string& text) { return *net::Address::parse(text); }
  static int index_of(const std::string& device) { return static_cast<int>(if_nametoindex(device.c_str())); }
  GuardPlan closing(const std::vector<std::string>& networks) const {
    GuardPlan plan;
    plan.book = "/test";
    plan.generation = 1;
    plan.mark = kOuterMark;
    plan.uid = 0;
    for (const auto& network : networks) plan.closed[prefix(network)] = {tunnel};
    return plan;
  }

  // --- packets
  // What the far side sees by near0 with that destination, of all protocols.
  void count_far(const std::string& match) {
    go_far();
    run("nft 'add table inet seen; delete table inet seen; table inet seen { chain c { type filter hook prerouting "
        "priority "
        "-500; iifname far0 " +
        match + " counter; }; }'");
    go_near();
  }
  int seen() {
    go_far();
    const std::string text = output("nft list table inet seen | grep -o 'packets [0-9]*'");
    go_near();
    return text.empty() ? -1 : std::stoi(text.substr(8));
  }
  // How many datagrams and how much ESP left by t0.
  static int through_tunnel() {
    const std::string text = output("nft list table netdev tunnelled | grep -o 'packets [0-9]*'");
    return text.empty() ? -1 : std::stoi(text.substr(8));
  }

  static ssize_t with_name(const std::string& text, uint16_t port, const std::string& scope,
                           const std::function<ssize_t(const sockaddr*, socklen_t)>& use) {
    if (text.find(':') == std::string::npos) {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(port);
      inet_pton(AF_INET, text.c_str(), &in.sin_addr);
      return use(reinterpret_cast<const sockaddr*>(&in), sizeof in);
    }
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    inet_pton(AF_INET6, text.c_str(), &in6.sin6_addr);
    if (!scope.empty()) in6.sin6_scope_id = if_nametoindex(scope.c_str());
    return use(reinterpret_cast<const sockaddr*>(&in6), sizeof in6);
  }
  // A datagram of this host; false: the kernel refused.
  static bool datagram(const std::string& to, const Sending& how = {}) {
    if (how.uid != 0) return as_user(how.uid, [&] { return send_one(to, how); });
    return send_one(to, how);
  }
  static bool send_one(const std::string& to, const Sending& how) {
    const bool v4 = to.find(':') == std::string::npos;
    const Descriptor sender(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
    const int on = 1;
    setsockopt(sender.get(), SOL_IP, IP_FREEBIND, &on, sizeof on);
    setsockopt(sender.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(sender.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    if (how.mark != 0 && setsockopt(sender.get(), SOL_SOCKET, SO_MARK, &how.mark, sizeof how.mark) != 0) return false;
    if (!how.device.empty() && !how.by_packet_info && !how.multicast_device &&
        setsockopt(sender.get(), SOL_SOCKET, SO_BINDTODEVICE, how.device.c_str(), how.device.size()) != 0)
      return false;
    if (how.multicast_device) {
      const ip_mreqn group{.imr_multiaddr = {}, .imr_address = {}, .imr_ifindex = index_of(how.device)};
      if (setsockopt(sender.get(), SOL_IP, IP_MULTICAST_IF, &group, sizeof group) != 0) return false;
    }
    if (!how.from.empty() || how.from_port != 0)
      with_name(how.from.empty() ? (v4 ? "0.0.0.0" : "::") : how.from, how.from_port, "",
                [&](const sockaddr* name, socklen_t size) { return bind(sender.get(), name, size); });
    return with_name(to, how.port, to.starts_with("fe80") ? how.device : "", [&](const sockaddr* name, socklen_t size) {
             iovec part{const_cast<char*>(how.bytes.data()), how.bytes.size()};
             msghdr message{};
             message.msg_name = const_cast<sockaddr*>(name);
             message.msg_namelen = size;
             message.msg_iov = &part;
             message.msg_iovlen = 1;
             alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(in6_pktinfo))> room{};
             if (how.by_packet_info) {
               message.msg_control = room.data();
               message.msg_controllen = room.size();
               cmsghdr* control = CMSG_FIRSTHDR(&message);
               control->cmsg_level = SOL_IPV6;
               control->cmsg_type = IPV6_PKTINFO;
               control->cmsg_len = CMSG_LEN(sizeof(in6_pktinfo));
               in6_pktinfo info{};
               info.ipi6_ifindex = static_cast<unsigned>(index_of(how.device));
               std::memcpy(CMSG_DATA(control), &info, sizeof info);
             }
             return sendmsg(sender.get(), &message, 0);
           }) >= 0;
  }
  // In a child that is this user, with CAP_NET_RAW and nothing else.
  static bool as_user(uint32_t uid, const std::function<bool()>& act) {
    const pid_t child = fork();
    if (child == 0) {
      capng_clear(CAPNG_SELECT_BOTH);
      capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_NET_RAW);
      const int changed = capng_change_id(static_cast<int>(uid), -1, CAPNG_NO_FLAG);
      _exit(changed != 0 ? 2 : act() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 2) << "cannot become another user";
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  // From the LAN, to be forwarded.
  bool forwarded(const std::string& to, const Sending& how = {}) {
    go_far();
    const bool v4 = to.find(':') == std::string::npos;
    run(v4 ? "ip route replace " + to + " via 10.0.0.1 dev lan1"
           : "ip -6 route replace " + to + " via 2001:db8:a::1 dev lan1");
    Sending mine = how;
    if (mine.from.empty()) mine.from = v4 ? "10.0.0.2" : "2001:db8:a::2";
    const bool sent = datagram(to, mine);
    go_near();
    return sent;
  }

  int tunnel = 0;
};

}  // namespace adit::platform
