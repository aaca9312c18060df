// The guard's layers with traffic: what leaves, what must leave, and what others do to the layers.
#include "linux/guard_layers.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "linux/guarded_host.h"

namespace adit::platform {
namespace {

class GuardLayersTest : public GuardedHost {
 protected:
  void SetUp() override {
    GuardedHost::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto made = GuardLayers::open(true);
    ASSERT_TRUE(made) << made.error().text;
    layers = std::move(*made);
    auto listening = GuardWatch::start();
    ASSERT_TRUE(listening) << listening.error().text;
    watch = std::make_unique<GuardWatch>(std::move(*listening));
  }
  void replace(const GuardPlan& plan) {
    const auto done = layers->replace(plan);
    ASSERT_TRUE(done) << done.error().text;
    expect_standing();
  }
  void change(const GuardChange& change) {
    const auto done = layers->change(change);
    ASSERT_TRUE(done) << done.error().text;
    expect_standing();
  }
  void expect_standing() {
    const auto state = layers->state();
    EXPECT_TRUE(state.rule && state.lasting && state.owned) << state.trouble;
    EXPECT_EQ(state.trouble, "");
  }
  // Somebody does something; the guard hears of it and puts back. What it says.
  std::string after(const std::string& act) {
    run(act);
    return heard();
  }
  std::string heard() {
    watch->drain(*layers);
    std::string said;
    for (const auto& sentence : layers->put_back()) said += sentence + "\n";
    expect_standing();
    return said;
  }
  std::unique_ptr<GuardLayers> layers;
  std::unique_ptr<GuardWatch> watch;
};

TEST_F(GuardLayersTest, APlanWithoutNetworksLeavesNothingInTheKernel) {
  const auto everything = [] {
    return output(
        "nft list ruleset; ip rule; ip -6 rule; ip nexthop; ip route show table all; ip -6 route show table all");
  };
  const std::string before = everything();
  replace(closing({}));
  EXPECT_EQ(everything(), before);
  replace(closing({"10.0.1.0/24", "::/0", "0.0.0.0/0"}));
  EXPECT_NE(everything(), before);
  replace(closing({}));
  EXPECT_EQ(everything(), before);
  GuardChange one;
  one.generation = 2;
  one.close[prefix("10.0.1.0/24")] = {tunnel};
  change(one);
  EXPECT_NE(everything(), before);
  GuardChange back;
  back.open = {prefix("10.0.1.0/24")};
  change(back);
  EXPECT_EQ(everything(), before);
}

TEST_F(GuardLayersTest, NothingLeavesOfAnyKindAndTheTunnelCarriesAll) {
  for (const auto& [network, host] : {std::pair<std::string, std::string>{"10.0.1.0/24", "10.0.1.5"},
                                      {"2001:470:24:c67::/64", "2001:470:24:c67::5"}}) {
    const bool v4 = host.find(':') == std::string::npos;
    const std::string ip = v4 ? "ip " : "ip -6 ";
    run(ip + "route add " + network + " via " + (v4 ? "192.0.2.2" : "2001:db8::2"));
    count_far((v4 ? "ip daddr " : "ip6 daddr ") + host);
    EXPECT_TRUE(datagram(host));
    EXPECT_TRUE(forwarded(host));
    EXPECT_TRUE(datagram(host, {.from = {}, .device = "near0"}));
    EXPECT_EQ(seen(), 3) << "without a guard all of them leave";
    replace(closing({network}));
    count_far((v4 ? "ip daddr " : "ip6 daddr ") + host);
    datagram(host);
    forwarded(host);
    datagram(host, {.from = {}, .device = "near0"});
    if (!v4)
      datagram(
          host,
          {.from = {}, .device = "near0", .mark = 0, .from_port = 0, .port = 9, .uid = 65534, .by_packet_info = true});
    datagram(host, {.from = {}, .device = {}, .mark = kOuterMark, .from_port = 4500, .port = 4500});
    datagram(host, {.from = {}, .device = {}, .mark = kOuterMark, .from_port = 4500, .port = 4500, .uid = 65534});
    EXPECT_EQ(seen(), 0);
    run(ip + "route add " + network + " dev t0 table 174 proto 173" + (v4 ? "" : " metric 100"));
    const int before = through_tunnel();
    EXPECT_TRUE(datagram(host));
    EXPECT_TRUE(forwarded(host));
    EXPECT_EQ(through_tunnel(), before + 2);
    EXPECT_EQ(heard(), "") << "a tunnel's route is the engine's";
    run(ip + "route del " + network);
  }
}

TEST_F(GuardLayersTest, FaultsOfTheRuleArePutBackAndTold) {
  GuardPlan plan = closing({"10.0.1.0/24", "2001:470::/32", "::/0"});
  plan.inside = {prefix("2001:db8::/64")};
  replace(plan);
  run("ip route add 10.0.1.0/24 dev t0 table 174 proto 173; ip -6 route add 2001:470::/32 dev t0 table 174 proto 173");
  EXPECT_EQ(heard(), "");
  for (const std::string ip : {"ip ", "ip -6 "}) {
    const std::string network = ip == "ip " ? "10.0.1.0/24" : "2001:470::/32";
    const std::string way = ip == "ip " ? "192.0.2.2" : "2001:db8::2 dev near0 onlink";
    const std::string worst = ip == "ip " ? "4294967295" : "4294967294";
    EXPECT_NE(after(ip + "rule del pref 0 lookup 174"), "");
    EXPECT_NE(after(ip + "rule add pref 0 to " + network + " lookup 100; " + ip + "rule del pref 0 lookup 174; "), "");
    EXPECT_NE(after(ip + "rule del lookup 174; " + ip + "rule add pref 0 from all fwmark 7 lookup 100"), "");
    const std::string rules = output(ip + "rule | grep -v ^3");
    EXPECT_LT(rules.find("lookup 174"), rules.find("fwmark")) << rules;
    EXPECT_LT(rules.find("lookup 174"), rules.find(network)) << rules;
    EXPECT_NE(after(ip + "route flush table 174 2>/dev/null; true"), "");
    run(ip + "route replace " + network + " dev t0 table 174 proto 173" + (ip == "ip " ? "" : " metric 100"));
    EXPECT_NE(after(ip + "route del unreachable " + network + " table 174 metric " + worst), "");
    EXPECT_NE(after(ip + "route replace " + network + " via " + way + " table 174 metric " + worst), "");
    EXPECT_NE(after(ip + "route replace " + network + " via " + way + " table 174 metric 1"), "");
    EXPECT_NE(after(ip + "route replace blackhole " + network + " table 174 metric 1"), "");
    EXPECT_NE(after(ip + "route add throw " + network + " table 174 metric 2 proto kernel"), "");
    EXPECT_NE(
        after(ip + "route replace " + (ip == "ip " ? "10.0.1.0/25" : "2001:470::/33") + " via " + way + " table 174"),
        "");
    EXPECT_TRUE(holds(ip + "route show table 174 | grep -q 't0 proto 173'")) << "the tunnel's own route stays";
  }
  EXPECT_NE(after("ip nexthop flush"), "");
  EXPECT_NE(after("ip -6 nexthop replace id 181498228 via 2001:db8::2 dev near0"), "");
  EXPECT_NE(after("ip link set lo down && ip link set lo up"), "");
}

TEST_F(GuardLayersTest, FaultsOfTheLastingTableArePutBackAndTold) {
  replace(closing({"10.0.1.0/24"}));
  for (const char* act :
       {"nft flush ruleset", "nft delete table inet adit-guard", "nft add table inet adit-guard '{ flags dormant; }'",
        "nft insert rule inet adit-guard forward accept", "nft flush chain inet adit-guard postrouting",
        "nft add element inet adit-guard pass '{ 0x1 . \"near0\" }'"})
    EXPECT_NE(after(act).find("adit-guard"), std::string::npos) << act;
  EXPECT_EQ(after("nft add table inet others; nft delete table inet others"), "");
}

TEST_F(GuardLayersTest, ARuleWithoutAPriorityLandsBehindOurs) {
  replace(closing({"10.0.1.0/24"}));
  run("ip route add 10.0.1.0/24 via 192.0.2.2 table 100");
  count_far("ip daddr 10.0.1.5");
  for (const char* rule : {"from 10.0.0.0/24", "iif near1", "fwmark 7", "ipproto udp"}) {
    EXPECT_EQ(after(std::string("ip rule add ") + rule + " table 100"), "");
    forwarded("10.0.1.5");
    datagram("10.0.1.5", {.from = {}, .device = {}, .mark = 7});
  }
  EXPECT_EQ(seen(), 0);
  run("ip rule del lookup 174");
  forwarded("10.0.1.5");
  EXPECT_EQ(seen(), 0) << "the tables hold without the rule";
}

}  // namespace
}  // namespace adit::platform
