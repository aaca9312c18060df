#include <gtest/gtest.h>

#include "linux/nft_render.h"

namespace adit::platform {
namespace {

nlohmann::json listing(const char* elements) {
  return nlohmann::json::parse(
      std::string(R"({"nftables": [{"metainfo": {"version": "1.0.6"}}, {"set": {"family": "inet",
    "name": "guard_out4", "table": "adit", "elem": )") +
      elements + "}}]}");
}

TEST(LeakWitness, SumsTheRangesOfANetwork) {
  const auto leaks = read_leaks(listing(R"([
    {"elem": {"val": {"range": ["10.0.0.0", "10.0.0.9"]}, "comment": "10.0.0.0/24", "counter": {"packets": 2, "bytes": 60}}},
    {"elem": {"val": "10.0.0.11", "comment": "10.0.0.0/24", "counter": {"packets": 3, "bytes": 90}}},
    {"elem": {"val": "10.0.0.10", "comment": "10.0.0.10/32", "counter": {"packets": 0, "bytes": 0}}}])"));
  ASSERT_EQ(leaks.size(), 2u);
  EXPECT_EQ(leaks[0].network.str(), "10.0.0.0/24");
  EXPECT_EQ(leaks[0].packets, 5u);
  EXPECT_EQ(leaks[0].bytes, 150u);
  EXPECT_TRUE(leaks[0].outbound);
  EXPECT_EQ(leaks[1].packets, 0u);
}

TEST(LeakWitness, WhatOthersPutIntoTheSetIsPassedOver) {
  EXPECT_TRUE(read_leaks(listing(R"(["10.0.0.1", {"elem": 7}, {"elem": {"val": "10.0.0.2", "comment": "mine"}},
    {"elem": {"val": "10.0.0.3", "comment": 5, "counter": {"packets": 1}}},
    {"elem": {"val": "10.0.0.3", "comment": "10.0.0.3/32", "counter": null}},
    {"elem": {"val": "10.0.0.4", "comment": "not a network", "counter": {"packets": 1, "bytes": 1}}}])"))
                  .empty());
  EXPECT_TRUE(read_leaks(nlohmann::json::parse("[1, 2]")).empty());
  EXPECT_TRUE(read_leaks(nlohmann::json::parse(R"({"nftables": 5})")).empty());
}

std::map<std::string, size_t> shape_of(const Firewall& firewall) {
  return table_shape(nlohmann::json::parse(render_table(firewall)));
}

TEST(TableShape, KnowsARuleAnElementOrAChainLess) {
  Firewall firewall;
  firewall.guarded = {{*net::Prefix::parse("10.0.1.0/24"), {"t0"}}};
  const auto whole = shape_of(firewall);
  EXPECT_EQ(whole.at("set guard_pass4"), 1u);
  EXPECT_EQ(whole.at("set guard_in4"), 1u);
  EXPECT_EQ(whole.at("set guard_in6"), 0u);
  EXPECT_GT(whole.at("chain guard_out"), 4u);
  firewall.guarded[0].tunnels.push_back("u0");
  EXPECT_NE(shape_of(firewall), whole);
  firewall.guarded[0].tunnels.pop_back();
  firewall.host_rules.push_back({.drop = true, .outbound = true});
  EXPECT_NE(shape_of(firewall), whole);
}

}  // namespace
}  // namespace adit::platform
