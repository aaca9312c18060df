#include "linux/guard/content/guard_routes.h"

#include <gtest/gtest.h>

#include <random>

namespace adit::platform {
namespace {

using net::Prefix;
using Kind = GuardRoute::Kind;

Prefix prefix(const std::string& text) {
  return *Prefix::parse(text);
}

std::string shown(const GuardRoutes& routes, Kind kind) {
  std::string text;
  for (const auto& [route, count] : routes.all())
    if (route.kind == kind) text += (text.empty() ? "" : " ") + route.destination.str();
  return text;
}

TEST(GuardRoutes, AllOfIpv6IsWrittenAsAListThatLeavesTheLinkAlone) {
  GuardPlan plan;
  plan.closed[prefix("::/0")];
  const GuardRoutes routes(plan);
  const char* list = "::/1 8000::/2 c000::/3 e000::/4 f000::/5 f800::/6 fc00::/7 fe00::/9 fec0::/10";
  EXPECT_EQ(shown(routes, Kind::unreachable), list);
  EXPECT_EQ(shown(routes, Kind::blackhole), list);
}

TEST(GuardRoutes, BoundLookupsOfInsideNetworksFindNoBlackhole) {
  GuardPlan plan;
  plan.closed[prefix("2001:db8::/32")];
  plan.inside = {prefix("2001:db8:c000::/35")};
  GuardRoutes routes(plan);
  EXPECT_EQ(shown(routes, Kind::unreachable), "2001:db8::/32");
  EXPECT_EQ(shown(routes, Kind::blackhole), "2001:db8::/33 2001:db8:8000::/34 2001:db8:e000::/35");
  EXPECT_EQ(shown(routes, Kind::elsewhere), "2001:db8:c000::/35");
  const auto step = routes.change({.generation = 1,
                                   .close = {},
                                   .open = {},
                                   .inside = {},
                                   .not_inside = plan.inside,
                                   .flows = {},
                                   .not_flows = {},
                                   .peers = {},
                                   .not_peers = {}});
  EXPECT_EQ(shown(routes, Kind::blackhole), "2001:db8::/32");
  EXPECT_EQ(shown(routes, Kind::elsewhere), "");
  EXPECT_EQ(step.come.size(), 1u);
}

TEST(GuardRoutes, OfEqualLengthTheClosedNetworkWinsAndPeersAreLeftToTheHost) {
  GuardPlan plan;
  plan.closed = {{prefix("0.0.0.0/0"), {}}, {prefix("10.0.0.0/8"), {}}};
  plan.inside = {prefix("10.0.0.0/8"), prefix("192.0.2.0/24")};
  plan.peers = {*net::Address::parse("5.6.7.8")};
  const GuardRoutes routes(plan);
  EXPECT_EQ(shown(routes, Kind::elsewhere), "5.6.7.8/32 192.0.2.0/24 224.0.0.0/24 255.255.255.255/32");
  EXPECT_EQ(shown(routes, Kind::unreachable), "0.0.0.0/0 10.0.0.0/8");
  EXPECT_EQ(shown(routes, Kind::blackhole), "");
}

TEST(GuardRoutes, StepsOfAnyOrderLeadToWhatAWholePlanSays) {
  std::mt19937 random(3);
  for (int round = 0; round < 30; ++round) {
    GuardPlan plan;
    GuardRoutes routes(plan);
    std::set<GuardRoute> standing;
    for (int act = 0; act < 40; ++act) {
      GuardChange change;
      const auto some = [&] {
        std::array<uint8_t, 16> bytes{};
        if (random() % 4 != 0) bytes = {0x20, 0x01, static_cast<uint8_t>(random() % 4 << 6)};
        const auto length = static_cast<uint8_t>(bytes[0] == 0 ? random() % 2 : 16 + random() % 3);
        return random() % 4 == 0 ? Prefix(net::Address::v4(static_cast<uint32_t>(random())), 1 + random() % 2).masked()
                                 : Prefix(net::Address::from_v6(bytes.data()), length).masked();
      };
      if (random() % 2 == 0) change.close[some()];
      if (const auto one = some(); random() % 2 == 0 && !change.close.contains(one)) change.open.insert(one);
      if (random() % 3 == 0) change.inside.insert(some());
      if (const auto one = some(); random() % 3 == 0 && !change.inside.contains(one)) change.not_inside.insert(one);
      advance(plan, change);
      const auto step = routes.change(change);
      for (const auto& route : step.gone) ASSERT_EQ(standing.erase(route), 1u);
      for (const auto& route : step.come) ASSERT_TRUE(standing.insert(route).second);
      std::set<GuardRoute> whole;
      const GuardRoutes made(plan);
      for (const auto& [route, count] : made.all()) whole.insert(route);
      ASSERT_EQ(standing, whole) << "round " << round << " act " << act;
    }
  }
}

}  // namespace
}  // namespace adit::platform
