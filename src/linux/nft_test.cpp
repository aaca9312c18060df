// The table in a kernel, with traffic: two namespaces over a veth, a tunnel device, and whatever tries to get past the
// guard.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>

#include "linux/nft_render.h"
#include "linux/own_namespace.h"
#include "linux/platform.h"

namespace adit::platform {
namespace {

using net::Address;
using net::Family;
using net::Prefix;

Prefix prefix(const std::string& text) {
  return *Prefix::parse(text);
}

Firewall guarding(const std::vector<std::string>& networks, const std::string& tunnel = "t0") {
  Firewall firewall;
  firewall.mark = kOuterMark;
  for (const auto& network : networks) firewall.guarded.push_back({prefix(network), {tunnel}});
  return firewall;
}

class Guard : public OwnNamespace {
 protected:
  void SetUp() override {
    OwnNamespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    make_far();
    auto made = make_linux_platform();
    ASSERT_TRUE(made) << made.error().text;
    platform = std::move(*made);
    ASSERT_TRUE(platform->change_fd());
  }
  void apply(const Firewall& firewall) {
    const auto done = platform->apply_firewall(firewall);
    ASSERT_TRUE(done) << done.error().text;
  }
  LeakCount leaks(const std::string& network, bool outbound) {
    const auto all = platform->leak_counts();
    EXPECT_TRUE(all);
    for (const auto& leak : *all)
      if (leak.network == prefix(network) && leak.outbound == outbound) return leak;
    ADD_FAILURE() << "no witness of " << network;
    return {};
  }
  // A UDP datagram from here to there; false: the kernel refused to send it.
  static bool datagram(const std::string& from, const std::string& to, uint16_t port = 9999, uint32_t mark = 0) {
    const bool v4 = to.find(':') == std::string::npos;
    const Descriptor sender(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
    if (mark != 0) setsockopt(sender.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    const int on = 1;
    setsockopt(sender.get(), SOL_IP, IP_FREEBIND, &on, sizeof on);
    if (!from.empty()) name_it(from, 0, v4, [&](auto* name, socklen_t size) { return bind(sender.get(), name, size); });
    return name_it(to, port, v4,
                   [&](auto* name, socklen_t size) { return sendto(sender.get(), "x", 1, 0, name, size); }) == 1;
  }
  template <typename F>
  static ssize_t name_it(const std::string& address, uint16_t port, bool v4, F use) {
    sockaddr_in in{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    sockaddr_in6 in6{
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_flowinfo = 0, .sin6_addr = {}, .sin6_scope_id = 0};
    if (v4)
      inet_pton(AF_INET, address.c_str(), &in.sin_addr);
    else
      inet_pton(AF_INET6, address.c_str(), &in6.sin6_addr);
    return v4 ? use(reinterpret_cast<sockaddr*>(&in), sizeof in) : use(reinterpret_cast<sockaddr*>(&in6), sizeof in6);
  }
  // How many packets the far side sees with that destination: its own counter, of all protocols.
  void count_far(const std::string& match) {
    go_far();
    run("nft 'table inet seen { chain c { type filter hook prerouting priority -500; " + match + " counter; }; }'");
    go_near();
  }
  int far_count() {
    go_far();
    const std::string text = output("nft list table inet seen | grep -o 'packets [0-9]*'");
    go_near();
    return text.empty() ? -1 : std::stoi(text.substr(8));
  }
  std::unique_ptr<Platform> platform;
};

TEST_F(Guard, ProtectedNetworksCannotBeLeftOrEnteredByAnotherInterface) {
  for (const auto& [network, host] : {std::pair<std::string, std::string>{"10.0.1.0/24", "10.0.1.5"},
                                      {"2001:470:24:c67::/64", "2001:470:24:c67::5"}}) {
    const bool v4 = host.find(':') == std::string::npos;
    run(v4 ? "ip route add 10.0.1.0/24 via 192.0.2.2" : "ip -6 route add 2001:470:24:c67::/64 via 2001:db8::2");
    count_far((v4 ? "ip daddr " : "ip6 daddr ") + host);
    EXPECT_TRUE(datagram("", host));
    EXPECT_EQ(far_count(), 1) << "without a guard it leaves";
    apply(guarding({network}));
    (void)datagram("", host);
    (void)datagram("", host);
    EXPECT_EQ(far_count(), 1) << "with the guard it does not, and the tunnel's device does not exist";
    EXPECT_EQ(leaks(network, true).packets, 2u);
    EXPECT_EQ(leaks(network, false).packets, 0u);
    go_far();
    run(v4 ? "ip addr add 10.0.1.5/32 dev lo" : "ip addr add 2001:470:24:c67::5/128 dev lo");
    EXPECT_TRUE(datagram(host, v4 ? "192.0.2.1" : "2001:db8::1"));
    go_near();
    EXPECT_EQ(leaks(network, false).packets, 1u);
    go_far();
    run("nft delete table inet seen");
    go_near();
  }
}

TEST_F(Guard, TheTunnelItselfMayCarryThem) {
  auto ports = platform->open_tun("t0", 1);
  ASSERT_TRUE(ports);
  ASSERT_TRUE(platform->set_link_up("t0", true));
  ASSERT_TRUE(platform->set_carrier("t0", true));
  run("ip addr add 10.0.0.1 peer 10.0.1.1 dev t0 && ip route add 10.0.1.0/24 dev t0");
  apply(guarding({"10.0.1.0/24"}));
  EXPECT_TRUE(datagram("", "10.0.1.5"));
  std::vector<uint8_t> buffer(2000);
  datapath::Offload offload;
  ssize_t got;
  do got = ports->front()->read(buffer, offload);
  while (got > 0 && (buffer[0] >> 4 != 4 || buffer[9] != 17));
  EXPECT_EQ(got, 29);
  EXPECT_EQ(leaks("10.0.1.0/24", true).packets, 0u);
  // And in again, from the network, to this host.
  std::swap_ranges(buffer.begin() + 12, buffer.begin() + 16, buffer.begin() + 16);
  const Descriptor receiver(socket(AF_INET, SOCK_DGRAM, 0));
  name_it("0.0.0.0", 9999, true, [&](auto* name, socklen_t size) { return bind(receiver.get(), name, size); });
  const std::array<ByteSpan, 1> pieces{ByteSpan(buffer.data(), 29)};
  ASSERT_EQ(ports->front()->write(pieces, offload), 0);
  pollfd wait{receiver.get(), POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 500), 1);
  EXPECT_EQ(leaks("10.0.1.0/24", false).packets, 0u);
}

TEST_F(Guard, ForwardedTrafficIsGuardedBothWays) {
  run("ip link add lan0 type veth peer name lan1 && ip addr add 10.0.0.1/24 dev lan0 && ip link set lan0 up && ip link "
      "set lan1 up");
  run("echo 1 > /proc/sys/net/ipv4/ip_forward && ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:09 dev lan0");
  run("ip route add 10.0.1.0/24 via 192.0.2.2");
  apply(guarding({"10.0.1.0/24"}));
  go_far();
  run("ip route add 10.0.0.0/24 via 192.0.2.1 && ip addr add 10.0.1.5/32 dev lo");
  EXPECT_TRUE(datagram("10.0.1.5", "10.0.0.2"));   // from the network, by the underlay, into the LAN
  EXPECT_TRUE(datagram("192.0.2.2", "10.0.0.2"));  // the underlay itself is nobody's protected network
  go_near();
  EXPECT_EQ(leaks("10.0.1.0/24", false).packets, 1u);
  EXPECT_EQ(leaks("10.0.1.0/24", true).packets, 0u);
}

TEST_F(Guard, ADefaultRouteOverTheTunnelLeavesTheLanAndOuterPackets) {
  run("ip route add default via 192.0.2.2");
  Firewall firewall = guarding({"0.0.0.0/0", "::/0"});
  firewall.local_networks = {prefix("192.0.2.0/24"), prefix("2001:db8::/64")};
  apply(firewall);
  EXPECT_TRUE(holds("ping -c1 -W1 192.0.2.2"));
  EXPECT_TRUE(holds("ping -c1 -W1 2001:db8::2"));
  count_far("ip daddr 203.0.113.7");
  (void)datagram("", "203.0.113.7");
  EXPECT_EQ(far_count(), 0);
  EXPECT_EQ(leaks("0.0.0.0/0", true).packets, 1u);
  EXPECT_TRUE(datagram("", "203.0.113.7", 4500, kOuterMark));
  EXPECT_EQ(far_count(), 1);
  // The peer is somewhere in 0.0.0.0/0: its ESP and IKE come in, its other traffic does not.
  go_far();
  run("ip addr add 203.0.113.7/32 dev lo");
  EXPECT_TRUE(datagram("203.0.113.7", "192.0.2.1", 4500));
  EXPECT_TRUE(datagram("203.0.113.7", "192.0.2.1", 22));
  go_near();
  EXPECT_EQ(leaks("0.0.0.0/0", false).packets, 1u);
}

TEST_F(Guard, CountsGoOnWhenTheTableIsReplacedAndExtended) {
  run("ip route add 10.0.0.0/8 via 192.0.2.2");
  apply(guarding({"10.0.1.0/24"}));
  (void)datagram("", "10.0.1.5");
  apply(guarding({"10.0.1.0/24", "10.0.9.0/24"}));  // one element more
  (void)datagram("", "10.0.1.5");
  (void)datagram("", "10.0.9.5");
  EXPECT_EQ(leaks("10.0.1.0/24", true).packets, 2u);
  Firewall other = guarding({"10.0.1.0/24", "10.0.9.0/24", "10.0.1.64/26"});  // splits a range: the table anew
  apply(other);
  (void)datagram("", "10.0.1.5");
  (void)datagram("", "10.0.1.200");
  (void)datagram("", "10.0.1.70");
  EXPECT_EQ(leaks("10.0.1.0/24", true).packets, 4u);
  EXPECT_EQ(leaks("10.0.1.64/26", true).packets, 1u);
  other.host_rules.push_back({.drop = true, .outbound = true, .remote = prefix("198.51.100.1/32")});
  apply(other);
  EXPECT_EQ(leaks("10.0.1.0/24", true).packets, 4u);
  EXPECT_EQ(leaks("10.0.1.0/24", true).bytes, 4 * 29u);
  run("nft flush ruleset");
  apply(other);
  (void)datagram("", "10.0.1.5");
  EXPECT_EQ(leaks("10.0.1.0/24", true).packets, 5u) << "another's flush takes at most what came since";
  auto restarted = make_linux_platform();
  ASSERT_TRUE(restarted);
  ASSERT_TRUE((*restarted)->apply_firewall(other));
  platform = std::move(*restarted);
  EXPECT_EQ(leaks("10.0.1.0/24", true).packets, 1u) << "what the kernel had";
}

TEST_F(Guard, WhatIsAppliedIsWhatStandsWhateverCameBefore) {
  std::vector<Firewall> walk = {guarding({"10.0.1.0/24"}),
                                guarding({"10.0.1.0/24", "10.0.2.0/24", "2001:db8:5::/48"}),
                                guarding({"10.0.2.0/24", "2001:db8:5::/48"}),
                                guarding({"10.0.0.0/8", "10.0.2.0/24"}),
                                guarding({"10.0.2.0/24"}, "u0"),
                                guarding({"10.0.2.1/32", "10.0.2.2/31"}),
                                guarding({"0.0.0.0/0", "::/0"}),
                                guarding({}),
                                guarding({"10.0.1.0/24", "10.0.1.128/25"})};
  for (const auto& step : walk) {
    apply(step);
    EXPECT_EQ(platform->firewall_stands(), true);
    const std::string table = "nft list table inet adit | grep -o '[^ ,\t{}][^,{}]*' | sort";  // elements have no order
    const std::string now = output(table);
    auto fresh = make_linux_platform();
    ASSERT_TRUE(fresh);
    ASSERT_TRUE((*fresh)->apply_firewall(step));
    EXPECT_EQ(now, output(table));
    (void)platform->poll_changes();
    apply(step);
  }
}

TEST_F(Guard, FlushByOthersIsNoticedAndPutBack) {
  apply(guarding({"10.0.1.0/24"}));
  for (const auto& change : platform->poll_changes())
    EXPECT_NE(change.what, Change::What::nftables) << "our own transactions are no news";
  EXPECT_EQ(platform->firewall_stands(), true);
  for (const char* hand :
       {"nft flush ruleset", "nft flush chain inet adit guard_out",
        "nft delete element inet adit guard_out4 '{ 10.0.1.0/24 }'", "nft insert rule inet adit guard_out accept"}) {
    run(hand);
    pollfd wait{*platform->change_fd(), POLLIN, 0};
    EXPECT_EQ(poll(&wait, 1, 500), 1) << hand;
    const auto seen = platform->poll_changes();
    EXPECT_TRUE(std::ranges::any_of(seen, [](const Change& one) { return one.what == Change::What::nftables; }))
        << hand;
    EXPECT_EQ(platform->firewall_stands(), false) << hand;
    apply(guarding({"10.0.1.0/24"}));
    EXPECT_EQ(platform->firewall_stands(), true) << hand;
    (void)platform->poll_changes();
  }
  run("nft add table inet theirs");
  EXPECT_TRUE(platform->poll_changes().empty()) << "another's table is not our business";
}

TEST_F(Guard, TheBootTextLoadsToTheSameTable) {
  Firewall firewall = guarding({"10.0.1.0/24", "::/0"});
  firewall.model_v4 = HostModel::strong;
  firewall.host_rules.push_back({.drop = true, .inbound = true, .protocol = 6, .local_port = 23});
  apply(firewall);
  const std::string before = output("nft list table inet adit");
  std::ofstream("/tmp/adit-guard-test.json") << platform->render_firewall(firewall);
  run("nft flush ruleset && nft -j -f /tmp/adit-guard-test.json && rm /tmp/adit-guard-test.json");
  EXPECT_EQ(output("nft list table inet adit"), before);
  EXPECT_TRUE(platform->remove_firewall());
  EXPECT_EQ(output("nft list tables"), "");
}

TEST_F(Guard, HostRulesDecideInOrderAndNeverStopIpsec) {
  Firewall firewall;
  const auto rule = [&](HostRule one) { firewall.host_rules.push_back(std::move(one)); };
  rule({.outbound = true, .inbound = true, .remote = prefix("192.0.2.2/32"), .protocol = 17, .remote_port = 53});
  rule({.drop = true, .outbound = true, .inbound = true, .remote = prefix("192.0.2.0/24"), .comment = "rule 7"});
  rule({.drop = true, .outbound = true, .family = Family::v6, .protocol = 58, .icmp_type = 128, .icmp_type_end = 129});
  count_far("ip daddr 192.0.2.2");
  apply(firewall);
  (void)datagram("", "192.0.2.2", 53);
  (void)datagram("", "192.0.2.2", 54);
  EXPECT_EQ(far_count(), 1);
  EXPECT_TRUE(datagram("", "192.0.2.2", 500) || true);
  const Descriptor esp(socket(AF_INET, SOCK_RAW, 50));
  name_it("192.0.2.2", 0, true,
          [&](auto* name, socklen_t size) { return sendto(esp.get(), "12345678", 8, 0, name, size); });
  EXPECT_EQ(far_count(), 2);
  EXPECT_FALSE(holds("ping -c1 -W1 2001:db8::2"));
  EXPECT_TRUE(holds("nft list chain inet adit host_out | grep -q 'counter packets [1-9].* drop comment \"rule 7\"'"));
  firewall.host_rules.pop_back();
  apply(firewall);
  EXPECT_TRUE(holds("ping -c1 -W1 2001:db8::2")) << "neighbour discovery passes";
}

TEST_F(Guard, StrongHostModelKeepsAddressesToTheirInterfaces) {
  run("ip link add lan0 type veth peer name lan1 && ip addr add 10.0.0.1/24 dev lan0 && ip -6 addr add "
      "2001:db8:7::1/64 dev lan0 nodad && ip link set lan0 up && ip link set lan1 up");
  go_far();
  run("ip route add 10.0.0.0/24 via 192.0.2.1 && ip -6 route add 2001:db8:7::/64 via 2001:db8::1");
  EXPECT_TRUE(holds("ping -c1 -W1 10.0.0.1"));
  go_near();
  Firewall firewall;
  firewall.model_v4 = HostModel::strong;
  apply(firewall);
  go_far();
  EXPECT_FALSE(holds("ping -c1 -W1 10.0.0.1")) << "the LAN's address, by the underlay";
  EXPECT_TRUE(holds("ping -c1 -W1 192.0.2.1"));
  EXPECT_TRUE(holds("ping -c1 -W1 2001:db8:7::1")) << "IPv6 is still weak";
  go_near();
  EXPECT_FALSE(holds("ping -c1 -W1 -I 10.0.0.1 192.0.2.2")) << "its source, out of the underlay";
  EXPECT_TRUE(holds("ping -c1 -W1 10.0.0.1")) << "to itself";
  firewall.model_v6 = HostModel::strong;
  firewall.own_addresses = {{*Address::parse("10.0.0.1"), "near0"}};  // as when a tunnel shares the LAN's address
  apply(firewall);
  go_far();
  EXPECT_TRUE(holds("ping -c1 -W1 10.0.0.1"));
  EXPECT_FALSE(holds("ping -c1 -W1 2001:db8:7::1"));
  EXPECT_TRUE(holds("ping -c1 -W1 2001:db8::1"));
}

// Of processor time, this process's and nft's: how busy the machine is otherwise does not count.
double seconds_used() {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    getrusage(who, &used);
    seconds += static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  }
  return seconds;
}

TEST_F(Guard, AThousandNetworksOneAfterAnotherAndEachStandsAtOnce) {
  Firewall firewall;
  firewall.mark = kOuterMark;
  const double start = seconds_used();
  for (int i = 0; i < 1000; ++i) {
    firewall.guarded.push_back({prefix(fmt::format("10.{}.{}.0/24", i / 250, i % 250)), {fmt::format("t{}", i)}});
    ASSERT_TRUE(platform->apply_firewall(firewall));
    (void)platform->poll_changes();
  }
  const double took = seconds_used() - start;
  printf("1000 networks: %.1f s of processor time\n", took);
  EXPECT_EQ(platform->firewall_stands(), true);
  EXPECT_EQ(platform->leak_counts()->size(), 2000u);
  EXPECT_LT(took, 30) << "under sanitizers; 3 s in a debug build";
}

}  // namespace
}  // namespace adit::platform
