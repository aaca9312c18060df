// Interfaces, addresses, routes and their changes, on the kernel of a namespace.
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <set>

#include "linux/host/linux_platform.h"
#include "linux/process/testing/own_namespace.h"

namespace adit::platform {
namespace {

using net::Address;
using net::Family;
using net::Prefix;

Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}
Address at(const char* text) {
  return *Address::parse(text);
}

class NetlinkTest : public OwnNamespace {
 protected:
  void SetUp() override {
    OwnNamespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto made = make_linux_platform("", "/nonexistent");
    ASSERT_TRUE(made) << made.error().text;
    platform = std::move(*made);
    run("ip link add e0 type veth peer name e1 && ip link set e0 up && ip link set e1 up && ip addr add 192.0.2.1/24 "
        "dev e0 && "
        "ip addr add 2001:db8::1/64 dev e0 nodad");
  }
  int index(const std::string& name) { return platform->interface(name)->index; }
  // A tunnel that is up, with carrier; its port lives as long as the test.
  void tunnel(const std::string& name) {
    auto opened = platform->open_tun(name, 1, DeviceName::fresh);
    ASSERT_TRUE(opened) << opened.error().text;
    ports.push_back(std::move(opened->front()));
    ASSERT_TRUE(platform->set_link_up(name, true));
    ASSERT_TRUE(platform->set_carrier(name, true));
  }
  Route way(const char* to, uint32_t mark = 0) {
    const auto found = platform->lookup_route(at(to), mark);
    if (!found) ADD_FAILURE() << found.error().text;
    return found ? *found : Route{};
  }
  std::vector<Change> changes(int patience_ms = 200) {
    pollfd wait{*platform->change_fd(), POLLIN, 0};
    poll(&wait, 1, patience_ms);
    return platform->poll_changes();
  }
  static bool has(const std::vector<Change>& all, Change::What what) {
    return std::ranges::any_of(all, [&](const Change& one) { return one.what == what; });
  }
  std::unique_ptr<Platform> platform;
  std::vector<std::unique_ptr<datapath::TunPort>> ports;
};

TEST_F(NetlinkTest, PointToPointAddressesComeAndGo) {
  tunnel("t0");
  ASSERT_TRUE(platform->add_address("t0", prefix("10.0.0.1/24"), at("10.0.1.1")));
  ASSERT_TRUE(platform->add_address("t0", prefix("10.0.0.1/24"), at("10.0.1.1"))) << "again is success";
  ASSERT_TRUE(platform->add_address("t0", prefix("fe80::102:304/10"), at("fe80::506:708")));
  const auto all = platform->addresses();
  ASSERT_TRUE(all);
  const auto find = [&](const char* local) {
    return std::ranges::find_if(*all, [&](const AddressInfo& one) {
      return one.local.address() == at(local) && one.interface_index == index("t0");
    });
  };
  ASSERT_NE(find("10.0.0.1"), all->end());
  EXPECT_EQ(find("10.0.0.1")->peer, at("10.0.1.1"));
  EXPECT_EQ(find("10.0.0.1")->local.length(), 32);
  ASSERT_NE(find("fe80::102:304"), all->end());
  EXPECT_EQ(find("fe80::102:304")->peer, at("fe80::506:708"));
  EXPECT_FALSE(find("fe80::102:304")->tentative);
  EXPECT_TRUE(platform->remove_address("t0", prefix("10.0.0.1/24"), at("10.0.1.1")));
  EXPECT_TRUE(platform->remove_address("t0", prefix("10.0.0.1/24"), at("10.0.1.1"))) << "again is success";
  EXPECT_TRUE(platform->remove_address("t9", prefix("10.0.0.1/24"), at("10.0.1.1"))) << "without the device, too";
  EXPECT_FALSE(holds("ip addr show dev t0 | grep -q 10.0.0.1"));
  const auto lost = platform->add_address("t9", prefix("10.0.0.1/24"), at("10.0.1.1"));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ENODEV);
}

TEST_F(NetlinkTest, TheGuardsUnreachableRouteIsTheWorstAndStaysWhenTheLinkGoes) {
  for (const char* network : {"10.0.1.0/24", "2001:470:24:c67::/64"}) {
    Route guard{.destination = prefix(network), .unreachable = true, .metric = kGuardMetric};
    ASSERT_TRUE(platform->add_route(guard)) << network;
    const auto again = platform->add_route(guard);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, EEXIST) << again.error().text;
  }
  tunnel("t0");
  for (const char* network : {"10.0.1.0/24", "2001:470:24:c67::/64"})
    ASSERT_TRUE(platform->add_route({.destination = prefix(network), .interface_index = index("t0")}));
  EXPECT_EQ(way("10.0.1.5").interface_index, index("t0"));
  EXPECT_EQ(way("2001:470:24:c67::5").interface_index, index("t0"));
  run("ip link set t0 down");
  for (const char* host : {"10.0.1.5", "2001:470:24:c67::5"}) {
    const auto lost = platform->lookup_route(at(host), 0);
    ASSERT_FALSE(lost) << host;
    EXPECT_EQ(lost.error().code, EHOSTUNREACH) << lost.error().text;
  }
  const auto listed = platform->routes(Family::v4);
  ASSERT_TRUE(listed);
  const auto guard = std::ranges::find_if(*listed, &Route::unreachable);
  ASSERT_NE(guard, listed->end());
  EXPECT_EQ(guard->metric, kGuardMetric);
  EXPECT_EQ(guard->protocol, kRouteProtocol);
  EXPECT_EQ(guard->interface_index, 0);
  EXPECT_TRUE(
      platform->remove_route({.destination = prefix("10.0.1.0/24"), .unreachable = true, .metric = kGuardMetric}));
  const auto gone =
      platform->remove_route({.destination = prefix("10.0.1.0/24"), .unreachable = true, .metric = kGuardMetric});
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ESRCH);
}

TEST_F(NetlinkTest, ATunnelRouteGoesInFrontOfAnEqualOneOfAnother) {
  run("ip route add 10.0.1.0/24 via 192.0.2.254");
  tunnel("t0");
  ASSERT_TRUE(platform->add_address("t0", prefix("10.0.0.1/32"), at("10.9.9.9")));
  ASSERT_TRUE(platform->add_route(
      {.destination = prefix("10.0.1.0/24"), .gateway = at("10.9.9.9"), .interface_index = index("t0")}));
  const auto way = platform->lookup_route(at("10.0.1.5"), 0);
  ASSERT_TRUE(way);
  EXPECT_EQ(way->interface_index, index("t0"));
  EXPECT_EQ(way->destination, prefix("10.0.1.0/24"));
  EXPECT_EQ(way->gateway, at("10.9.9.9"));
  EXPECT_EQ(way->preferred_source, at("10.0.0.1"));
}

TEST_F(NetlinkTest, Ipv6NeverJoinsATunnelAndAnotherWayToOneRoute) {
  run("ip -6 route add 2001:db8:1::/64 via 2001:db8::99");
  tunnel("t0");
  Route route{.destination = prefix("2001:db8:1::/64"), .gateway = at("fe80::506:708"), .interface_index = index("t0")};
  const auto same_metric = platform->add_route(route);
  ASSERT_FALSE(same_metric);
  EXPECT_EQ(same_metric.error().code, EBUSY) << same_metric.error().text;
  route.metric = 100;
  ASSERT_TRUE(platform->add_route(route));
  EXPECT_EQ(way("2001:db8:1::5").interface_index, index("t0"));
}

TEST_F(NetlinkTest, ErrorsAreTheKernelsOwn) {
  const auto no_gateway = platform->add_route({.destination = prefix("10.0.1.0/24"), .gateway = at("172.16.0.1")});
  ASSERT_FALSE(no_gateway);
  EXPECT_EQ(no_gateway.error().code, ENETUNREACH);
  EXPECT_EQ(no_gateway.error().text,
            "cannot add route 10.0.1.0/24 via 172.16.0.1: Network is unreachable (Nexthop has invalid gateway)");
  const auto nowhere = platform->lookup_route(at("172.16.0.1"), 0);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ENETUNREACH);
}

TEST_F(NetlinkTest, WhatOthersChangeIsReported) {
  tunnel("t0");
  ASSERT_TRUE(platform->change_fd());
  (void)changes(50);
  run("ip link set t0 down");
  const auto seen = changes();
  EXPECT_TRUE(has(seen, Change::What::link));
  EXPECT_TRUE(std::ranges::any_of(seen, [&](const Change& one) { return one.interface_index == index("t0"); }));
  run("ip addr add 10.3.0.1/24 dev e0");
  EXPECT_TRUE(has(changes(), Change::What::address));
  run("ip route add unreachable 10.4.0.0/16");
  EXPECT_TRUE(has(changes(), Change::What::route));
  run("ip rule add from 10.3.0.1 lookup 100");
  EXPECT_TRUE(has(changes(), Change::What::rule));
  EXPECT_TRUE(changes(50).empty());
}

// They would make it look at every route and every tunnel again, once for each network that closes.
TEST_F(NetlinkTest, WhatTheGuardianClosesWithIsItsOwnAffair) {
  ASSERT_TRUE(platform->change_fd());
  (void)changes();
  run("ip route add unreachable 10.9.0.0/24 table 174 proto kernel metric 4278198272 && ip route add throw 192.0.2.9 "
      "table 174 proto kernel && ip route del unreachable 10.9.0.0/24 table 174 proto kernel");
  EXPECT_FALSE(has(changes(), Change::What::route));
  run("ip route add 10.9.0.0/24 via 192.0.2.2 table 174");
  EXPECT_TRUE(has(changes(), Change::What::route)) << "others' there";
  run("ip route add unreachable 10.9.0.0/24 table 174 metric 7 proto static");
  EXPECT_TRUE(has(changes(), Change::What::route));
}

TEST_F(NetlinkTest, OneAddressIsFoundAtOnceHoweverItComesMovesAndGoes) {
  tunnel("t0");
  const auto on = [&](const char* address) {
    std::set<int> indexes;
    const auto found = platform->addresses_like(at(address));
    EXPECT_TRUE(found);
    for (const auto& one : *found) indexes.insert(one.interface_index);
    return indexes;
  };
  const auto networks = [&] {
    std::set<std::string> all;
    const auto found = platform->addresses_in_networks();
    EXPECT_TRUE(found);
    for (const auto& one : *found)
      if (!one.local.address().is_loopback() && !one.local.address().is_link_local())
        all.insert(one.local.masked().str());
    return all;
  };
  using Indexes = std::set<int>;
  using Names = std::set<std::string>;
  const int e0 = index("e0"), e1 = index("e1");
  EXPECT_EQ(on("192.0.2.1"), Indexes{e0});
  EXPECT_EQ(networks(), (Names{"192.0.2.0/24", "2001:db8::/64"}));
  run("ip addr add 10.9.0.1 peer 10.9.0.2 dev e1 && ip -6 addr add 2001:db8:8::1 peer 2001:db8:8::2 dev e1");
  for (const char* peer : {"10.9.0.2", "2001:db8:8::2"}) {
    const auto found = platform->addresses_with_peer(at(peer));
    ASSERT_EQ(found->size(), 1u) << peer;
    EXPECT_EQ(found->front().interface_index, index("e1"));
  }
  EXPECT_TRUE(platform->addresses_with_peer(at("10.9.0.1"))->empty());
  run("ip addr del 10.9.0.1 peer 10.9.0.2 dev e1 && ip -6 addr del 2001:db8:8::1 peer 2001:db8:8::2 dev e1");
  EXPECT_TRUE(platform->addresses_with_peer(at("10.9.0.2"))->empty());
  run("ip addr add 198.51.100.1/25 dev e1 && ip addr add 192.0.2.1/32 dev e1 && ip addr add 10.1.0.1/16 dev t0");
  EXPECT_EQ(on("192.0.2.1"), (Indexes{e0, e1}));
  EXPECT_EQ(networks(), (Names{"192.0.2.0/24", "198.51.100.0/25", "2001:db8::/64", "10.1.0.0/16"}));
  run("ip -6 addr add 2001:db8:7::1/64 dev e1");
  EXPECT_EQ(on("2001:db8:7::1"), Indexes{e1}) << "although the kernel tells of it later";
  run("ip addr del 192.0.2.1/24 dev e0; ip addr del 198.51.100.1/25 dev e1; ip addr add 198.51.100.1/26 dev e0");
  EXPECT_EQ(on("192.0.2.1"), Indexes{e1});
  EXPECT_EQ(on("198.51.100.1"), Indexes{e0});
  EXPECT_TRUE(networks().contains("198.51.100.0/26"));
  EXPECT_FALSE(networks().contains("198.51.100.0/25"));
  run("ip link del e0");
  EXPECT_EQ(on("198.51.100.1"), Indexes{});
  EXPECT_EQ(networks(), Names{"10.1.0.0/16"});
  const auto gone = platform->interface(e0);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ENODEV);
}

void run_batch(const std::string& batch) {
  FILE* pipe = popen("ip -batch -", "w");
  ASSERT_NE(pipe, nullptr);
  fwrite(batch.data(), 1, batch.size(), pipe);
  ASSERT_EQ(pclose(pipe), 0);
}

TEST_F(NetlinkTest, WhereNoticesOfAddressesWereLostAllAreAsked) {
  EXPECT_EQ(platform->addresses_like(at("192.0.2.1"))->size(), 1u);
  std::string batch;
  for (int i = 0; i < 20000; ++i) batch += "addr add 10.7.0.1/32 dev e0\naddr del 10.7.0.1/32 dev e0\n";
  run_batch(batch + "addr del 192.0.2.1/24 dev e0\naddr add 203.0.113.1/24 dev e0\n");
  EXPECT_TRUE(platform->addresses_like(at("192.0.2.1"))->empty());
  EXPECT_EQ(platform->addresses_like(at("203.0.113.1"))->size(), 1u);
  EXPECT_EQ(platform->addresses_in_networks()->size(), 2u);
}

TEST_F(NetlinkTest, ALostNoticeReportsEverything) {
  ASSERT_TRUE(platform->change_fd());
  std::string batch;
  for (int i = 0; i < 60000; ++i)
    batch += "route replace unreachable 10.4." + std::to_string(i / 256) + "." + std::to_string(i % 256) + "\n";
  run_batch(batch);
  const auto seen = changes();
  for (const auto what :
       {Change::What::link, Change::What::address, Change::What::route, Change::What::rule, Change::What::nftables})
    EXPECT_TRUE(has(seen, what));
}

TEST_F(NetlinkTest, SettingsAreReadAndWrittenBelowProcSysOnly) {
  ASSERT_TRUE(platform->set_sysctl("net/ipv4/ip_forward", "1"));
  EXPECT_EQ(platform->sysctl("net/ipv4/ip_forward"), "1");
  EXPECT_EQ(platform->sysctl("net/ipv4/no_such").error().code, ENOENT);
  EXPECT_EQ(platform->sysctl("../../etc/passwd").error().code, EINVAL);
  EXPECT_EQ(platform->set_sysctl("net/ipv4/ip_forward", "rubbish").error().code, EINVAL);
}

// Multipath routes and nexthop objects, as routing daemons make them: every hop is there, however the kernel tells it.
TEST_F(NetlinkTest, AllHopsOfARouteAreRead) {
  run("ip link add e2 type veth peer name e3 && ip link set e2 up && ip link set e3 up && ip addr add 198.51.100.1/24 "
      "dev "
      "e2 && ip addr add 2001:db8:2::1/64 dev e2 nodad");
  run("ip route add 10.7.0.0/16 nexthop via 192.0.2.2 dev e0 nexthop via 198.51.100.2 dev e2 weight 3");
  run("ip -6 route add 2001:db8:7::/48 nexthop via 2001:db8::2 dev e0 nexthop via 2001:db8:2::2 dev e2");
  run("ip nexthop add id 1 via 192.0.2.2 dev e0 && ip nexthop add id 2 via 198.51.100.2 dev e2 && ip nexthop add id 3 "
      "group 1/2 && ip nexthop add id 11 via 2001:db8::2 dev e0 && ip nexthop add id 12 via 2001:db8:2::2 dev e2 && "
      "ip nexthop add id 13 group 11/12");
  run("ip route add 10.8.0.0/16 nhid 2 && ip route add 10.9.0.0/16 nhid 3 && ip -6 route add 2001:db8:8::/48 nhid 12 "
      "&& "
      "ip -6 route add 2001:db8:9::/48 nhid 13");
  const auto hops = [&](const char* network) {
    std::vector<std::pair<std::string, int>> found;
    const auto routes = platform->routes(prefix(network).family());
    for (const Route& route : *routes)
      if (route.destination == prefix(network))
        for (const Route& one : single_hops(route))
          found.emplace_back(one.gateway ? one.gateway->str() : "", one.interface_index);
    std::ranges::sort(found);
    return found;
  };
  using Hops = std::vector<std::pair<std::string, int>>;
  const int e0 = index("e0"), e2 = index("e2");
  for (const char* compat : {"1", "0"}) {
    run(std::string("sysctl -qw net.ipv4.nexthop_compat_mode=") + compat);
    EXPECT_EQ(hops("10.7.0.0/16"), (Hops{{"192.0.2.2", e0}, {"198.51.100.2", e2}})) << compat;
    EXPECT_EQ(hops("2001:db8:7::/48"), (Hops{{"2001:db8:2::2", e2}, {"2001:db8::2", e0}})) << compat;
    EXPECT_EQ(hops("10.8.0.0/16"), (Hops{{"198.51.100.2", e2}})) << compat;
    EXPECT_EQ(hops("10.9.0.0/16"), (Hops{{"192.0.2.2", e0}, {"198.51.100.2", e2}})) << compat;
    EXPECT_EQ(hops("2001:db8:8::/48"), (Hops{{"2001:db8:2::2", e2}})) << compat;
    EXPECT_EQ(hops("2001:db8:9::/48"), (Hops{{"2001:db8:2::2", e2}, {"2001:db8::2", e0}})) << compat;
  }
  (void)changes();
  run("ip nexthop replace id 2 via 192.0.2.3 dev e0");
  EXPECT_TRUE(has(changes(), Change::What::route)) << "an object that changed is a route that changed";
  EXPECT_EQ(hops("10.8.0.0/16"), (Hops{{"192.0.2.3", e0}}));
}

}  // namespace
}  // namespace adit::platform
