// The peer's packets are let in where a route into the tunnel holds the peer.
#include <gtest/gtest.h>

#include "engine/addresses.h"
#include "engine/fake_host.h"
#include "engine/routes.h"
#include "linux/mark.h"

namespace adit::engine {
namespace {

struct ReversePath : ::testing::Test {
  FakeHost host;
  Addresses addresses{host.context, host.links, host.guard};
  Routes routes{host.context, host.links, host.guard};

  void SetUp() override {
    ASSERT_TRUE(host.platform.set_underlay_rule(platform::kOuterMark));
    platform::Route underlay;
    underlay.destination = prefix("0.0.0.0/0");
    underlay.gateway = *net::Address::parse("1.2.3.254");
    underlay.interface_index = host.platform.links.at("net0").info.index;
    underlay.metric = 1024;
    host.platform.others_add_route(underlay);
    ASSERT_TRUE(addresses.create_address({.object = "v4_bob0/v4", .local = "10.0.0.9", .remote = "10.0.1.1"}));
    host.platform.sysctls["net/ipv4/conf/net0/rp_filter"] = "0";
  }
  std::string filter() { return host.platform.sysctls["net/ipv4/conf/net0/rp_filter"]; }
  void add(const std::string& destination) {
    const std::vector<std::string> words = {destination, "10.0.1.1"};
    const auto report = routes.add(words, false, true);
    ASSERT_TRUE(report) << report.error().text;
    ASSERT_FALSE(report->failed()) << report->lines.front().text;
  }
};

TEST_F(ReversePath, ADefaultRouteIntoTheTunnelLoosensAStrictUnderlay) {
  host.platform.sysctls["net/ipv4/conf/all/rp_filter"] = "1";
  add("default");
  EXPECT_EQ(filter(), "2");
  EXPECT_TRUE(host.happened("route.reverse-path"));
}

TEST_F(ReversePath, TheInterfacesOwnStrictnessCounts) {
  host.platform.sysctls["net/ipv4/conf/net0/rp_filter"] = "1";
  add("default");
  EXPECT_EQ(filter(), "2");
}

TEST_F(ReversePath, NothingIsTouchedWhereItNeedNot) {
  host.platform.sysctls["net/ipv4/conf/all/rp_filter"] = "1";
  add("10.0.1.0/24");
  EXPECT_EQ(filter(), "0") << "the peer is not in it";
  host.platform.sysctls["net/ipv4/conf/all/rp_filter"] = "0";
  add("default");
  EXPECT_EQ(filter(), "0") << "nobody is strict";
  EXPECT_FALSE(host.happened("route.reverse-path"));
}

TEST_F(ReversePath, WhereItCannotBeSetTheOperatorHearsHow) {
  host.platform.sysctls["net/ipv4/conf/net0/rp_filter"] = "1";
  host.platform.fail_call("set_sysctl", 1, EROFS);
  add("default");
  const auto events = host.events.since(0);
  EXPECT_TRUE(std::ranges::any_of(events, [](const LogEvent& event) {
    return event.text.find("sysctl net.ipv4.conf.net0.rp_filter=2") != std::string::npos;
  }));
}

}  // namespace
}  // namespace adit::engine
