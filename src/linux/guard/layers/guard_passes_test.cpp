// What passes although networks are closed: outer packets and what belongs to them, what a link needs to live, what is
// translated; and that nothing else uses these ways.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "linux/guard/layers/testing/guarded_layers.h"

namespace adit::platform {
namespace {

class GuardPasses : public GuardedLayers {};

TEST_F(GuardPasses, OnlyOurSocketsOuterPacketsOfAFlowPass) {
  GuardPlan plan = closing({"5.6.7.0/24"});
  plan.flows = {{address("192.0.2.1"), address("5.6.7.8")}};
  plan.peers = {address("5.6.7.8")};
  replace(plan);
  run("ip route replace 5.6.7.0/24 via 192.0.2.2");
  const auto leaves = [&](const std::string& to, const Sending& how) {
    count_far("ip daddr " + to);
    datagram(to, how);
    return seen();
  };
  const Sending outer{.from = "192.0.2.1", .device = {}, .mark = kOuterMark, .from_port = 4500, .port = 4500};
  const auto with = [&](const auto& alter) {
    Sending how = outer;
    alter(how);
    return how;
  };
  EXPECT_EQ(leaves("5.6.7.8", outer), 1);
  EXPECT_EQ(leaves("5.6.7.8", with([](Sending& how) { how.from_port = 500; })), 1);
  EXPECT_EQ(leaves("5.6.7.8", with([](Sending& how) { how.bytes = std::string(4000, 'x'); })), 3) << "in fragments";
  EXPECT_EQ(leaves("5.6.7.8", with([](Sending& how) { how.mark = 0; })), 0) << "without the mark";
  EXPECT_EQ(leaves("5.6.7.8", with([](Sending& how) { how.mark = 7; })), 0) << "another mark";
  EXPECT_EQ(leaves("5.6.7.8", with([](Sending& how) { how.uid = 65534; })), 0) << "another user's socket";
  EXPECT_EQ(leaves("5.6.7.8", with([](Sending& how) { how.from_port = 33434; })), 0) << "as mtr --udp --mark does";
  EXPECT_EQ(leaves("5.6.7.9", outer), 0) << "another peer";
  EXPECT_EQ(leaves("5.6.7.8", with([](Sending& how) { how.from = "10.0.0.1"; })), 0) << "another address of ours";
  // Plain IP in IP, IPv6 in IPv4, and ESP, as raw sockets send them.
  const auto raw = [&](int protocol, bool marked) {
    count_far("ip daddr 5.6.7.8");
    const Descriptor sender(socket(AF_INET, SOCK_RAW, protocol));
    const uint32_t mark = marked ? kOuterMark : 0;
    setsockopt(sender.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    with_name("192.0.2.1", 0, "", [&](const sockaddr* name, socklen_t size) { return bind(sender.get(), name, size); });
    const std::string inner(28, 'E');
    with_name("5.6.7.8", 0, "", [&](const sockaddr* name, socklen_t size) {
      return sendto(sender.get(), inner.data(), inner.size(), 0, name, size);
    });
    return seen();
  };
  EXPECT_EQ(raw(50, true), 1);
  EXPECT_EQ(raw(51, true), 1);
  EXPECT_EQ(raw(50, false), 0);
  EXPECT_EQ(raw(4, true), 0);
  EXPECT_EQ(raw(41, true), 0);
}

TEST_F(GuardPasses, OuterPacketsComeInAndNothingElseFromAClosedNetwork) {
  GuardPlan plan = closing({"5.6.7.0/24", "2001:db8:5::/48"});
  plan.flows = {{address("192.0.2.1"), address("5.6.7.8")}, {address("2001:db8::1"), address("2001:db8:5::8")}};
  replace(plan);
  go_far();
  run("ip addr add 5.6.7.8/32 dev lo && ip addr add 5.6.7.9/32 dev lo && ip addr add 2001:db8:5::8/128 dev lo");
  meet();
  const auto comes_in = [&](const std::string& from, const std::string& to, uint16_t port,
                            const std::string& bytes = "x") {
    const Descriptor receiver(socket(from.find(':') == from.npos ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
    with_name(to, port, "", [&](const sockaddr* name, socklen_t size) { return bind(receiver.get(), name, size); });
    go_far();
    EXPECT_TRUE(datagram(to, {.from = from,
                              .device = {},
                              .mark = 0,
                              .from_port = port,
                              .port = port,
                              .uid = 0,
                              .by_packet_info = false,
                              .multicast_device = false,
                              .bytes = bytes}));
    go_near();
    std::vector<char> room(65536);  // the whole of it, reassembled
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
    while (std::chrono::steady_clock::now() < until)
      if (recv(receiver.get(), room.data(), room.size(), MSG_DONTWAIT) == static_cast<ssize_t>(bytes.size()))
        return true;
    return false;
  };
  EXPECT_TRUE(comes_in("5.6.7.8", "192.0.2.1", 4500));
  EXPECT_TRUE(comes_in("5.6.7.8", "192.0.2.1", 500, std::string(4000, 'x')));
  EXPECT_TRUE(comes_in("2001:db8:5::8", "2001:db8::1", 4500));
  EXPECT_TRUE(comes_in("2001:db8:5::8", "2001:db8::1", 4500, std::string(4000, 'x'))) << "every fragment";
  EXPECT_FALSE(comes_in("5.6.7.8", "192.0.2.1", 4501));
  EXPECT_FALSE(comes_in("5.6.7.9", "192.0.2.1", 4500));
  EXPECT_FALSE(comes_in("2001:db8:5::8", "2001:db8::1", 53));
}

// "Fragmentation needed", from a router inside the closed network.
TEST_F(GuardPasses, ErrorsAboutOuterPacketsComeInAndOthersDoNot) {
  GuardPlan plan = closing({"0.0.0.0/0", "::/0"});
  plan.inside = {prefix("192.0.2.0/24"), prefix("10.0.0.0/24"), prefix("2001:db8::/64")};
  plan.flows = {{address("192.0.2.1"), address("5.6.7.8")}, {address("2001:db8::1"), address("2001:db8:5::8")}};
  plan.peers = {address("5.6.7.8")};
  replace(plan);
  go_far();
  run("ip addr add 9.9.9.9/32 dev lo && ip addr add 2001:db8:9::9/128 dev lo");
  meet();
  const auto comes_in = [&](bool v4, const std::string& peer, uint8_t protocol, uint16_t port) {
    const std::string match = v4 ? "icmp type 3" : "icmpv6 type 2";
    run("nft 'add table inet heard; delete table inet heard; table inet heard { chain c { type filter hook input "
        "priority 0; " +
        match + " counter; }; }'");
    std::vector<uint8_t> message(8 + (v4 ? 20 : 40) + 8);
    message[0] = v4 ? 3 : 2;
    message[1] = v4 ? 4 : 0;
    uint8_t* quoted = message.data() + 8;
    quoted[0] = v4 ? 0x45 : 0x60;
    quoted[v4 ? 9 : 6] = protocol;
    const auto put = [&](size_t at, const std::string& text) {
      const auto bytes = address(text);
      std::ranges::copy(bytes.bytes(), quoted + at);
    };
    put(v4 ? 12 : 8, v4 ? "192.0.2.1" : "2001:db8::1");
    put(v4 ? 16 : 24, peer);
    store_be16(quoted + (v4 ? 20 : 40), port);
    if (v4) {
      uint32_t sum = 0;
      for (size_t i = 0; i < message.size(); i += 2) sum += load_be16(message.data() + i);
      while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
      store_be16(message.data() + 2, static_cast<uint16_t>(~sum));
    }
    go_far();
    const Descriptor sender(socket(v4 ? AF_INET : AF_INET6, SOCK_RAW, v4 ? 1 : 58));
    with_name(v4 ? "9.9.9.9" : "2001:db8:9::9", 0, "",
              [&](const sockaddr* name, socklen_t size) { return bind(sender.get(), name, size); });
    EXPECT_GT(with_name(v4 ? "192.0.2.1" : "2001:db8::1", 0, "",
                        [&](const sockaddr* name, socklen_t size) {
                          return sendto(sender.get(), message.data(), message.size(), 0, name, size);
                        }),
              0);
    go_near();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const bool heard = holds("nft list table inet heard | grep -q 'packets 1 '");
    run("nft delete table inet heard");
    return heard;
  };
  for (const bool v4 : {true, false}) {
    const std::string peer = v4 ? "5.6.7.8" : "2001:db8:5::8", other = v4 ? "5.6.7.9" : "2001:db8:5::9";
    EXPECT_TRUE(comes_in(v4, peer, 50, 0)) << peer;
    EXPECT_TRUE(comes_in(v4, peer, 51, 0)) << peer;
    EXPECT_TRUE(comes_in(v4, peer, 17, 4500)) << peer;
    EXPECT_TRUE(comes_in(v4, peer, 17, 500)) << peer;
    EXPECT_FALSE(comes_in(v4, peer, 17, 5000));
    EXPECT_FALSE(comes_in(v4, peer, 6, 4500));
    EXPECT_FALSE(comes_in(v4, other, 50, 0));
  }
}

// --- not closed falsely

TEST_F(GuardPasses, UnderAClosedDefaultTheLinkLives) {
  GuardPlan plan = closing({"0.0.0.0/0", "::/0"});
  plan.inside = {prefix("10.0.0.0/24"), prefix("2001:db8:a::/64")};
  replace(plan);
  const auto leaves = [&](const std::string& match, const std::string& to, const Sending& how = {}) {
    count_far(match);
    datagram(to, how);
    return seen();
  };
  const Sending lease{.from = {}, .device = "near0", .mark = 0, .from_port = 68, .port = 67};
  EXPECT_EQ(leaves("udp dport 67", "255.255.255.255", lease), 1) << "DHCP DISCOVER";
  EXPECT_EQ(leaves("udp dport 67", "192.0.2.2", lease), 1) << "DHCP renewal, at the server";
  EXPECT_EQ(leaves("udp dport 9999", "192.0.2.2", {.from = {}, .device = "near0"}), 0) << "and nothing else there";
  EXPECT_EQ(
      leaves(
          "udp dport 547", "ff02::1:2",
          {.from = {}, .device = "near0", .mark = 0, .from_port = 546, .port = 547, .uid = 0, .by_packet_info = true}),
      1);
  EXPECT_EQ(leaves("ip daddr 224.0.0.5", "224.0.0.5",
                   {.from = {},
                    .device = "near0",
                    .mark = 0,
                    .from_port = 0,
                    .port = 9999,
                    .uid = 0,
                    .by_packet_info = false,
                    .multicast_device = true}),
            1);
  EXPECT_EQ(leaves("ip daddr 239.1.2.3", "239.1.2.3",
                   {.from = {},
                    .device = "near0",
                    .mark = 0,
                    .from_port = 0,
                    .port = 9999,
                    .uid = 0,
                    .by_packet_info = false,
                    .multicast_device = true}),
            0);
  go_far();
  std::string link_local = output("ip -6 -o addr show far0 scope link | awk '{print $4}' | cut -d/ -f1 | tr -d '\\n'");
  go_near();
  run("ip -6 neigh flush dev near0");
  EXPECT_TRUE(holds("ping -6 -c1 -W2 " + link_local + "%near0")) << "fe80::/10, with neighbour discovery";
  run("ip neigh flush dev near1; ip -6 neigh flush dev near1");
  EXPECT_TRUE(holds("ping -c1 -W2 10.0.0.2 && ping -c1 -W2 -I near1 10.0.0.2")) << "the inside network";
  EXPECT_TRUE(holds("ping -c1 -W2 2001:db8:a::2 && ping -c1 -W2 -I near1 2001:db8:a::2")) << "bound, too";
  EXPECT_TRUE(holds("ping -c1 -W2 127.0.0.1 && ping -c1 -W2 ::1 && ping -c1 -W2 192.0.2.1 && ping -c1 -W2 10.99.0.1"));
  EXPECT_FALSE(holds("ping -c1 -W1 192.0.2.2 || ping -c1 -W1 -I near0 192.0.2.2"));
  EXPECT_FALSE(holds("ping -c1 -W1 2001:db8::2 || ping -c1 -W1 -I near0 2001:db8::2"));
}

TEST_F(GuardPasses, IkeWithPeersNotKnownYetPassesUnderAClosedDefaultOnly) {
  run("ip route add 9.9.9.0/24 via 192.0.2.2");
  const std::string marker(4, '\0');
  for (const bool wide : {true, false}) {
    GuardPlan plan = closing({wide ? "0.0.0.0/0" : "9.9.9.0/24"});
    plan.inside = {prefix("192.0.2.0/24")};
    plan.peers = {address("9.9.9.9")};
    replace(plan);
    const auto leaves = [&](uint16_t port, uint32_t mark, uint32_t uid, const std::string& bytes) {
      count_far("ip daddr 9.9.9.9");
      datagram("9.9.9.9", {.from = "192.0.2.1",
                           .device = {},
                           .mark = mark,
                           .from_port = port,
                           .port = port,
                           .uid = uid,
                           .by_packet_info = false,
                           .multicast_device = false,
                           .bytes = bytes});
      return seen() == 1;
    };
    EXPECT_EQ(leaves(500, kOuterMark, 0, "x"), wide);
    EXPECT_EQ(leaves(4500, kOuterMark, 0, marker + "x"), wide);
    EXPECT_FALSE(leaves(4500, kOuterMark, 0, "ESP in UDP, of no flow"));
    EXPECT_FALSE(leaves(500, kOuterMark, 65534, "x"));
    EXPECT_FALSE(leaves(500, 0, 0, "x"));
  }
}

TEST_F(GuardPasses, WhatIsTranslatedIntoAClosedNetworkGoesIntoItsTunnel) {
  replace(closing({"10.0.1.0/24"}));
  run("ip route add 10.0.1.0/24 dev t0 table 174 proto 173");
  run("nft 'table ip nat { chain o { type nat hook output priority -100; ip daddr 203.0.113.7 dnat to 10.0.1.2; }; "
      "chain p { type nat hook prerouting priority -100; ip daddr 203.0.113.8 dnat to 10.0.1.2; }; }'");
  const int before = through_tunnel();
  EXPECT_TRUE(datagram("203.0.113.7"));
  EXPECT_EQ(through_tunnel(), before + 1);
  EXPECT_TRUE(forwarded("203.0.113.8"));
  EXPECT_EQ(through_tunnel(), before + 2);
}

TEST_F(GuardPasses, ForwardedPacketsFromAClosedNetworkComeByItsDeviceOnly) {
  replace(closing({"10.0.1.0/24"}));
  go_far();
  run("ip addr add 10.0.1.5/32 dev lo && ip route add 10.0.0.0/24 via 192.0.2.1 dev far0 metric 1 && "
      "nft 'table inet lan { chain c { type filter hook prerouting priority -500; iifname lan1 ip saddr 10.0.1.5 "
      "counter; }; }'");
  EXPECT_TRUE(datagram("10.0.0.2", {.from = "10.0.1.5", .device = "far0"}));
  EXPECT_TRUE(holds("nft list table inet lan | grep -q 'packets 0 '"));
  go_near();
  const auto leaks = layers->leak_counts();
  ASSERT_TRUE(leaks);
  EXPECT_TRUE(std::ranges::any_of(*leaks, [](const LeakCount& leak) { return !leak.outbound && leak.packets == 1; }));
}

TEST_F(GuardPasses, OfNestedNetworksTheMostSpecificDecidesWhatEachTableLetsThrough) {
  GuardPlan plan = closing({"10.0.1.0/24", "2001:db8:1::/48"});
  plan.closed[prefix("10.0.1.16/28")] = {};
  plan.closed[prefix("2001:db8:1:16::/64")] = {};
  plan.inside = {prefix("10.0.1.32/28"), prefix("2001:db8:1:32::/64")};
  replace(plan);
  run("ip rule del lookup 174 && ip -6 rule del lookup 174");  // the tables alone
  run("ip route add 10.0.1.0/24 dev t0 && ip -6 route add 2001:db8:1::/48 dev t0");
  run("ip route add 10.0.1.32/28 via 192.0.2.2 && ip -6 route add 2001:db8:1:32::/64 via 2001:db8::2");
  for (const char* flushed : {"", "nft delete table inet adit-guard"}) {
    if (*flushed) run(flushed);
    count_far("udp dport 9999");
    const auto sent = [&](const char* to) {
      datagram(to);
      forwarded(to);
    };
    const int before = through_tunnel();
    for (const char* to : {"10.0.1.5", "2001:db8:1:20::5"}) sent(to);
    EXPECT_EQ(through_tunnel() - before, 4) << flushed;
    for (const char* to : {"10.0.1.20", "2001:db8:1:16::5"}) sent(to);
    EXPECT_EQ(through_tunnel() - before, 4) << "closed for everything " << flushed;
    EXPECT_EQ(seen(), 0);
    for (const char* to : {"10.0.1.33", "2001:db8:1:32::5"}) sent(to);
    EXPECT_EQ(seen(), 4) << flushed;
  }
}

}  // namespace
}  // namespace adit::platform
