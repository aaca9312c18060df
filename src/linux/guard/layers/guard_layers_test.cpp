// The guard's layers with traffic: what leaves, what must leave, and what others do to the layers.
#include "linux/guard/layers/guard_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "linux/guard/layers/testing/guarded_layers.h"

namespace adit::platform {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class GuardLayersTest : public GuardedLayers {};

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

// Two systems with roots of their own may share a network: the one that closes nothing leaves the other's guard alone,
// whatever it hears of it.
TEST_F(GuardLayersTest, WhereAnotherRootsGuardStandsAPlanWithoutNetworksTouchesNothing) {
  const auto guard = [] {
    return output("ip rule; ip -6 rule; ip nexthop; ip route show table 174; nft list tables inet");
  };
  replace(closing({"10.0.1.0/24", "2001:db8:7::/48"}));
  const std::string whole = guard();
  auto other = GuardLayers::open(true);
  ASSERT_TRUE(other) << other.error().text;
  GuardPlan nothing = closing({});
  nothing.book = "/other";
  const auto look_over = [&] {
    EXPECT_TRUE((*other)->replace(nothing));
    (*other)->suspect();
    EXPECT_THAT((*other)->put_back(), IsEmpty());
  };
  look_over();
  EXPECT_EQ(guard(), whole);
  expect_standing();
  // Nor while the table that names its root is away, which a firewall's reload does.
  run("nft flush ruleset");
  look_over();
  heard();
  EXPECT_EQ(guard(), whole);
  run("nft flush ruleset");
  GuardPlan one = closing({"10.0.9.0/24"});
  one.book = "/other";
  EXPECT_FALSE((*other)->replace(one));
  heard();
  EXPECT_EQ(guard(), whole);
}

// adit.guard=off: what an earlier guardian left goes, and no plan or change closes anything.
TEST_F(GuardLayersTest, SwitchedOffNoPlanClosesAnything) {
  replace(closing({"10.0.1.0/24"}));
  layers.reset();
  auto off = GuardLayers::open(true, true);
  ASSERT_TRUE(off) << off.error().text;
  const auto nothing_stands = [] {
    return holds("! nft list ruleset | grep -q adit && ! ip rule | grep -q 'lookup 174'");
  };
  ASSERT_TRUE((*off)->replace(closing({"10.0.1.0/24"})));
  EXPECT_TRUE(nothing_stands());
  GuardChange change;
  change.generation = 2;
  change.close[prefix("10.0.2.0/24")] = {};
  ASSERT_TRUE((*off)->change(change));
  (*off)->suspect();
  EXPECT_TRUE((*off)->put_back().empty());
  EXPECT_TRUE(nothing_stands());
  const auto state = (*off)->state();
  EXPECT_FALSE(state.rule || state.lasting || state.owned);
  EXPECT_NE(state.trouble.find("adit.guard=off"), std::string::npos);
  count_far("ip daddr { 10.0.1.5, 10.0.2.5 }");
  datagram("10.0.1.5");
  datagram("10.0.2.5");
  EXPECT_EQ(seen(), 2);
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
        "nft add element inet adit-guard pass4_24 '{ 1.2.3.0 . \"near0\" }'"})
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

// --- who passes

TEST_F(GuardLayersTest, SocketsBoundToADeviceAndMulticastAreHeldByEitherTable) {
  run("ip route add 10.0.1.0/24 via 192.0.2.2; ip -6 route add 2001:db8:1::/48 via 2001:db8::2");
  const auto attempts = [&] {
    count_far("udp dport 9999");
    datagram("10.0.1.5", {.from = {}, .device = "near0"});
    datagram("10.0.1.5", {.from = {}, .device = "near0", .mark = 0, .from_port = 0, .port = 9999, .uid = 65534});
    datagram(
        "2001:db8:1::5",
        {.from = {}, .device = "near0", .mark = 0, .from_port = 0, .port = 9999, .uid = 65534, .by_packet_info = true});
    datagram("239.1.2.3", {.from = {},
                           .device = "near0",
                           .mark = 0,
                           .from_port = 0,
                           .port = 9999,
                           .uid = 65534,
                           .by_packet_info = false,
                           .multicast_device = true});
    return seen();
  };
  EXPECT_EQ(attempts(), 4) << "without a guard they leave";
  replace(closing({"10.0.1.0/24", "2001:db8:1::/48", "239.0.0.0/8"}));
  EXPECT_EQ(attempts(), 0);
  run("nft delete table inet adit-guard; ip rule del lookup 174; ip -6 rule del lookup 174");
  EXPECT_EQ(attempts(), 0) << "the owned table alone";
  layers->suspect();
  (void)layers->put_back();
  auto lasting = GuardLayers::open(false);
  ASSERT_TRUE(lasting);
  layers.reset();  // as when the guardian is killed
  run("ip rule del lookup 174; ip -6 rule del lookup 174");
  EXPECT_EQ(attempts(), 0) << "the lasting table alone";
}

TEST_F(GuardLayersTest, TheRuleAloneHoldsForwardedAndUnboundAndBoundIpv6) {
  run("ip route add 10.0.1.0/24 via 192.0.2.2; ip -6 route add 2001:db8:1::/48 via 2001:db8::2");
  auto rule = GuardRule::open();
  ASSERT_TRUE(rule);
  const auto done = rule->replace(closing({"10.0.1.0/24", "2001:db8:1::/48"}));
  ASSERT_TRUE(done) << done.error().text;
  run("ip route add 10.0.1.0/25 via 192.0.2.2; ip -6 route add 2001:db8:1::/64 via 2001:db8::2");
  run("ip rule add from all table 254; ip -6 rule add from all table 254");
  count_far("udp dport 9999");
  datagram("10.0.1.5");
  datagram("2001:db8:1::5");
  forwarded("10.0.1.5");
  forwarded("2001:db8:1::5");
  datagram("2001:db8:1::5", {.from = {}, .device = "near0"});
  datagram(
      "2001:db8:1::5",
      {.from = {}, .device = "near0", .mark = 0, .from_port = 0, .port = 9999, .uid = 65534, .by_packet_info = true});
  EXPECT_EQ(seen(), 0);
  EXPECT_TRUE(holds("ping -c1 -W1 10.0.1.5 2>&1 | grep -q -i -e unreachable -e \"no route\"")) << "and says so";
}

// An error quotes what it is about. Where the operator routes by source, as hosts with two uplinks do, that of a host
// of the LAN would leave by the uplink: it is sent from the LAN's own address.
TEST_F(GuardLayersTest, ErrorsAboutClosedPacketsGoBackToTheLanWhateverOthersRoute) {
  run("ip route add default via 192.0.2.2 table 100; ip -6 route add default via 2001:db8::2 table 100");
  const auto other_rules = [](const char* what) {
    run(fmt::format("ip rule {0} from 10.0.0.0/24 table 100; ip rule {0} iif lo table 100", what));
    run(fmt::format("ip -6 rule {0} from 2001:db8:a::/64 table 100; ip -6 rule {0} iif lo table 100", what));
  };
  auto rule = GuardRule::open();
  ASSERT_TRUE(rule);
  ASSERT_TRUE(rule->replace(closing({"10.0.1.0/24", "2001:db8:1::/48"})));
  other_rules("add pref 10");
  other_rules("add");
  const auto nothing_leaves = [&](const std::string& last) {
    for (const bool v4 : {true, false}) {
      count_far(v4 ? "icmp type 3" : "icmpv6 type 1");
      EXPECT_TRUE(forwarded((v4 ? "10.0.1." : "2001:db8:1::") + last));
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      EXPECT_EQ(seen(), 0) << v4;
    }
  };
  nothing_leaves("5");
  // It is put back when others take it away, and goes with the guard's own.
  run("ip rule del pref 0 ipproto icmp; ip -6 rule del pref 0 ipproto ipv6-icmp");
  const auto told = rule->put_back();
  ASSERT_TRUE(told) << told.error().text;
  EXPECT_THAT(*told, ElementsAre(HasSubstr("ipproto icmp "), HasSubstr("ipproto ipv6-icmp ")));
  EXPECT_EQ(*rule->fault(), "");
  nothing_leaves("6");
  ASSERT_TRUE(rule->replace(closing({})));
  EXPECT_EQ(output("ip rule show pref 0; ip -6 rule show pref 0 | grep -e icmp -e 174"), output("ip rule show pref 0"));
  EXPECT_FALSE(holds("ip rule | grep -q icmp"));
}

TEST_F(GuardLayersTest, RoutesThatEncapsulateAreHeld) {
  run("sysctl -qw net.ipv6.conf.all.seg6_enabled=1");
  replace(closing({"10.0.1.0/24", "2001:db8:1::/48"}));
  const std::string seg6 = " encap seg6 mode encap segs 2001:db8:ff::1 via 2001:db8::2 dev near0";
  if (!holds("ip -6 route add 2001:db8:1::/64" + seg6 + " table 100")) FAIL() << "this kernel has no SRv6";
  run("ip -6 route add 2001:db8:1::/64" + seg6);
  count_far("meta l4proto { 41, 43, 17 } ip6 daddr { 2001:db8:ff::1, 2001:db8:1::5 }");
  forwarded("2001:db8:1::5");
  datagram("2001:db8:1::5");
  for (const char* rule : {"iif near1", "fwmark 7", "from 2001:db8:a::/64"}) {
    run(std::string("ip -6 rule add ") + rule + " table 100");
    forwarded("2001:db8:1::5");
    datagram("2001:db8:1::5", {.from = {}, .device = {}, .mark = 7});
  }
  EXPECT_EQ(seen(), 0);
  run("ip -6 rule del pref 0 lookup 174");  // the rules of others stand, and the routes that encapsulate in main
  run("ip -6 rule del iif near1; ip -6 rule del fwmark 7; ip -6 rule del from 2001:db8:a::/64");
  forwarded("2001:db8:1::5");
  EXPECT_EQ(seen(), 0) << "without the rule, at prerouting";
  datagram("2001:db8:1::5");
  EXPECT_EQ(seen(), 0) << "and what the host itself sends, at output";
  run("ip -6 route add 2001:db8:9::/64" + seg6);
  count_far("ip6 daddr 2001:db8:ff::1");
  datagram("2001:db8:9::5");
  EXPECT_EQ(seen(), 1) << "elsewhere such routes lead as they did";
}

TEST_F(GuardLayersTest, ARouteInTableLocalIsToldAndHeldByTheTables) {
  replace(closing({"10.0.1.0/24"}));
  count_far("ip daddr 10.0.1.5");
  const std::string told = after("ip route add 10.0.1.0/25 via 192.0.2.2 table local");
  EXPECT_NE(told.find("table local"), std::string::npos) << told;
  EXPECT_EQ(heard(), "") << "once";
  datagram("10.0.1.5");
  forwarded("10.0.1.5");
  EXPECT_EQ(seen(), 0);
  run("ip route del 10.0.1.0/25 table local");
  EXPECT_EQ(heard(), "");
  EXPECT_NE(after("ip route add 10.0.1.0/25 via 192.0.2.2 table local"), "") << "and again when it comes again";
}

TEST_F(GuardLayersTest, WhereTheLocalRuleWasMovedOwnAddressesStillAnswer) {
  replace(closing({"10.0.0.0/8", "2001:db8::/32"}));
  for (const std::string ip : {"ip ", "ip -6 "}) {
    const std::string own = ip == "ip " ? "10.99.0.1" : "2001:db8:a::1";
    EXPECT_NE(after(ip + "rule add pref 100 lookup local && " + ip + "rule del pref 0 lookup local; " + ip +
                    "rule del pref 0 lookup 174"),
              "");
    EXPECT_TRUE(holds("ping -c1 -W1 " + own)) << output(ip + "rule; " + ip + "route show table 174");
    const std::string later = ip == "ip " ? "10.77.0.1" : "2001:db8:77::1";
    run(ip + "addr add " + later + "/" + (ip == "ip " ? "32" : "128") + " dev lo");
    bool answers = false;
    for (int i = 0; i < 100 && !answers; ++i) {  // the kernel makes the local route of IPv6 a little later
      (void)heard();
      answers = holds("ping -c1 -W1 " + later);
    }
    EXPECT_TRUE(answers) << output(ip + "rule; " + ip + "route show table 174");
    EXPECT_NE(after(ip + "rule add pref 0 lookup local"), "") << "in front of it, ours must be behind";
    const std::string rules = output(ip + "rule");
    EXPECT_LT(rules.find("lookup local"), rules.find("lookup 174")) << rules;
    EXPECT_FALSE(holds(ip + "route show table 174 | grep -q 'throw " + own + "'")) << "not needed any more";
  }
}

TEST_F(GuardLayersTest, WhatANetworkServiceTakesAwayAtItsStartComesBack) {
  replace(closing({"10.0.1.0/24", "2001:db8:1::/48"}));
  run("ip route add 10.0.1.0/24 via 192.0.2.2");
  count_far("ip daddr 10.0.1.5");
  const std::string told = after(
      "for v in -4 -6; do ip $v rule show | grep -v -e '^0:.*local' -e main -e default | cut -d: -f1 | while read p; "
      "do ip $v "
      "rule del pref $p lookup 174; done; ip $v route flush table 174 proto kernel 2>/dev/null; ip $v route flush "
      "table 174 "
      "2>/dev/null; done; nft flush ruleset; ip nexthop flush >/dev/null");
  EXPECT_NE(told.find("rule"), std::string::npos) << told;
  EXPECT_NE(told.find("adit-guard"), std::string::npos) << told;
  datagram("10.0.1.5");
  EXPECT_EQ(seen(), 0);
}

// --- failures

TEST_F(GuardLayersTest, WhileNothingIsClosedPeersComeAndGoByThemselves) {
  GuardPlan plan = closing({});
  plan.peers = {address("192.0.2.7")};
  replace(plan);
  GuardChange come;
  come.generation = 2;
  come.peers = {address("192.0.2.8"), address("2001:db8::8")};
  change(come);
  for (const char* peer : {"192.0.2.7", "192.0.2.8"})
    EXPECT_TRUE(holds(fmt::format("ip route show table 174 | grep -q 'throw {}'", peer))) << peer;
  GuardChange go;
  go.generation = 2;
  go.not_peers = {address("192.0.2.7"), address("2001:db8::8")};
  change(go);
  EXPECT_FALSE(holds("ip route show table 174 | grep -q 192.0.2.7"));
  GuardChange close;
  close.generation = 3;
  close.close[prefix("10.0.1.0/24")] = {};
  change(close);
  EXPECT_TRUE(holds("ip route show table 174 | grep -q 'throw 192.0.2.8'"));
  count_far("ip daddr 10.0.1.5");
  forwarded("10.0.1.5");
  EXPECT_EQ(seen(), 0);
}

TEST_F(GuardLayersTest, ANetworkOfALengthThatNoneHadComesInPlaceAndTheOthersStay) {
  replace(closing({"10.0.1.0/24", "2001:470::/32"}));
  const auto others_act = [] { run("nft add table inet others; nft delete table inet others"); };
  const auto handles = [] { return output("nft -a list table inet adit-guard | grep 'table\\|chain forward'"); };
  const std::string before = handles();
  uint64_t generation = 1;
  for (const char* network : {"10.2.0.0/16", "10.3.0.5/32", "2001:db8:77::/48"}) {
    GuardChange one;
    one.generation = ++generation;
    one.close[prefix(network)] = {};
    change(one);
    others_act();  // so that the layers are looked at, whatever they were trusted to be
    expect_standing();
  }
  EXPECT_EQ(handles(), before) << "the table and its hooks are the same ones";
  for (const char* host : {"10.2.9.9", "10.3.0.5", "10.0.1.5"}) {
    count_far(std::string("ip daddr ") + host);
    forwarded(host);
    EXPECT_EQ(seen(), 0) << host;
  }
  // Where somebody meddles just then, it is seen as ever.
  run("nft add element inet adit-guard pass4_24 '{ 1.2.3.0 . \"near0\" }'");
  GuardChange last;
  last.generation = ++generation;
  last.close[prefix("10.4.0.0/20")] = {};
  ASSERT_TRUE(layers->change(last));
  EXPECT_NE(heard().find("adit-guard"), std::string::npos);
  run("nft flush chain inet adit-guard forward");
  last.generation = ++generation;
  last.close = {{prefix("10.5.0.0/21"), {}}};
  ASSERT_TRUE(layers->change(last));
  (void)heard();
  others_act();
  expect_standing();
}

TEST_F(GuardLayersTest, AChangeThatFailsInOneLayerStandsInNone) {
  replace(closing({"10.0.1.0/24"}));
  run("ip link add t1 type veth peer name t1x");
  auto lasting = GuardLayers::open(false);  // another process's view: it may not touch the owned table, nor need it
  ASSERT_TRUE(lasting);
  auto second = GuardLayers::open(true);
  ASSERT_TRUE(second);
  GuardPlan other = closing({"10.0.2.0/24"});
  const auto refused = (*second)->replace(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EPERM);
  watch->drain(*layers);
  (void)layers->put_back();
  expect_standing();
  EXPECT_FALSE(holds("nft list ruleset | grep -q 10.0.2.0/24"));
  run("ip link set lo down");
  GuardChange change;
  change.generation = 2;
  change.close[prefix("2001:db8:1::/48")] = {};
  change.open = {prefix("10.0.1.0/24")};
  const auto failed = layers->change(change);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().text.find("lo"), std::string::npos) << failed.error().text;
  EXPECT_TRUE(holds("nft list table inet adit-own | grep -q 10.0.1.0/24")) << "nothing was opened";
  EXPECT_TRUE(holds("nft list table inet adit-guard | grep -q 10.0.1.0/24"));
  EXPECT_TRUE(holds("ip route show table 174 | grep -q 10.0.1.0/24"));
  run("ip link set lo up");
  watch->drain(*layers);
  (void)layers->put_back();
  expect_standing();
  this->change(change);
}

TEST_F(GuardLayersTest, UnderAFirewallThatReloadsEverySecondNothingLeaves) {
  replace(closing({"10.0.1.0/24"}));
  run("ip route add 10.0.1.0/24 via 192.0.2.2; ip rule add from all table 100; ip route add default via 192.0.2.2 "
      "table 100");
  count_far("ip daddr 10.0.1.5");
  for (int i = 0; i < 40; ++i) {
    if (i % 4 == 0) run("nft flush ruleset; nft add table ip firewall; ip rule del lookup 174 2>/dev/null; true");
    datagram("10.0.1.5");
    forwarded("10.0.1.5");
    datagram("10.0.1.5", {.from = {}, .device = "near0"});
    if (i % 4 == 3) EXPECT_NE(heard(), "");
  }
  EXPECT_EQ(seen(), 0);
}

TEST_F(GuardLayersTest, LostNoticesLeadToALookAtEverything) {
  replace(closing({"10.0.1.0/24"}));
  std::string batch;
  for (int i = 0; i < 60000; ++i)
    batch +=
        "route replace unreachable 10.4." + std::to_string(i / 256) + "." + std::to_string(i % 256) + " table 99\n";
  FILE* pipe = popen("ip -batch -", "w");
  ASSERT_NE(pipe, nullptr);
  fwrite(batch.data(), 1, batch.size(), pipe);
  ASSERT_EQ(pclose(pipe), 0);
  EXPECT_NE(after("ip rule del lookup 174"), "");
}

}  // namespace
}  // namespace adit::platform
