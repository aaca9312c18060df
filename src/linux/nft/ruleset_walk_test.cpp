// What a firewall of others would do with a packet: rules as nft prints them.
#include "linux/nft/ruleset_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/flow.h"

namespace adit::platform {
namespace {

using ::testing::HasSubstr;

bool none(std::string_view, std::string_view) {
  return false;
}
bool adits(std::string_view, std::string_view name) {
  return name == "adit";
}

WalkedPacket esp() {
  WalkedPacket packet;
  packet.source = *net::Address::parse("1.2.3.4");
  packet.destination = *net::Address::parse("5.6.7.8");
  packet.protocol = net::kProtoEsp;
  packet.out = "net0";
  return packet;
}

// One table with one base chain, and what stands in them. `rules` and `more` are elements of nft's list.
std::string ruleset(const std::string& hook, const std::string& policy, const std::vector<std::string>& expressions,
                    const std::string& more = "", const std::string& family = "inet") {
  std::string text = R"({"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": ")" + family +
                     R"(", "name": "filter", "handle": 1}}, {"chain": {"family": ")" + family +
                     R"(", "table": "filter", "name": "base", "handle": 1, "type": "filter", "hook": ")" + hook +
                     R"(", "prio": 0, "policy": ")" + policy + R"("}})";
  int handle = 1;
  for (const auto& expression : expressions)
    text += R"(, {"rule": {"family": ")" + family + R"(", "table": "filter", "chain": "base", "handle": )" +
            std::to_string(++handle) + R"(, "expr": [)" + expression + "]}}";
  return text + more + "]}";
}

std::vector<RuleFinding> walk(const std::string& rules, const WalkedPacket& packet = esp(),
                              std::vector<Hook> hooks = {Hook::output}) {
  return walk_ruleset(rules, hooks, packet, none);
}

const std::string kDropEsp =
    R"({"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "esp"}}, {"counter": {"packets": 0, "bytes": 0}}, {"drop": null})";
const std::string kIptablesDropEsp =
    R"({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": "esp"}}, {"drop": null})";
const std::string kAcceptKnown =
    R"({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null})";

TEST(RulesetWalk, NothingStopsIt) {
  EXPECT_TRUE(walk(R"({"nftables": []})").empty());
  EXPECT_TRUE(walk(ruleset("output", "accept", {})).empty());
  EXPECT_TRUE(walk(ruleset("input", "drop", {})).empty()) << "another hook";
  EXPECT_TRUE(walk(ruleset("output", "drop", {}, "", "ip6")).empty()) << "another family";
}

TEST(RulesetWalk, ARuleThatDropsIsNamed) {
  for (const auto& rule : {kDropEsp, kIptablesDropEsp}) {
    const auto found = walk(ruleset("output", "accept", {rule}));
    ASSERT_EQ(found.size(), 1u);
    EXPECT_TRUE(found[0].certain);
    EXPECT_EQ(found[0].where, "table inet filter, chain base, rule 2");
    WalkedPacket tcp = esp();
    tcp.protocol = net::kProtoTcp;
    EXPECT_TRUE(walk(ruleset("output", "accept", {rule}), tcp).empty());
  }
}

TEST(RulesetWalk, APolicyThatDropsIsNamed) {
  const auto found = walk(ruleset("forward", "drop", {}), esp(), {Hook::forward});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].certain);
  EXPECT_EQ(found[0].where, "table inet filter, chain base, its policy");
}

TEST(RulesetWalk, WhatIsAcceptedBeforeIsNotDropped) {
  const std::string accept =
      R"({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": {"prefix": {"addr": "5.6.7.0", "len": 24}}}}, {"accept": null})";
  EXPECT_TRUE(walk(ruleset("output", "drop", {accept})).empty());
  WalkedPacket elsewhere = esp();
  elsewhere.destination = *net::Address::parse("5.6.8.8");
  EXPECT_TRUE(walk(ruleset("output", "drop", {accept}), elsewhere).at(0).certain);
}

// Whether it belongs to a known connection nobody can tell from here.
TEST(RulesetWalk, WhatCannotBeToldMayDrop) {
  const auto found = walk(ruleset("input", "drop", {kAcceptKnown}), esp(), {Hook::input});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].certain);
  const auto extension =
      walk(ruleset("output", "accept", {R"({"xt": {"type": "match", "name": "hashlimit"}}, {"drop": null})"}));
  ASSERT_EQ(extension.size(), 1u);
  EXPECT_FALSE(extension[0].certain);
  EXPECT_TRUE(
      walk(
          ruleset("output", "accept",
                  {R"({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "invalid"}}, {"drop": null})"}))
          .empty())
      << "a packet of ours is not invalid";
}

TEST(RulesetWalk, AMaybeBeforeASureDropIsSure) {
  const std::string maybe = R"({"limit": {"rate": 1, "per": "second"}}, {"drop": null})";
  EXPECT_TRUE(walk(ruleset("output", "accept", {maybe, kDropEsp})).at(0).certain);
}

TEST(RulesetWalk, PortsSetsRangesAndNamedSets) {
  WalkedPacket udp = esp();
  udp.protocol = net::kProtoUdp;
  udp.source_port = udp.destination_port = 4500;
  const auto port = [](const std::string& right) {
    return R"({"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": )" + right +
           R"(}}, {"drop": null})";
  };
  for (const char* hits : {"4500", R"({"set": [500, 4500]})", R"({"set": [{"range": [4000, 5000]}]})", R"("@ports")"}) {
    const std::string set =
        R"(, {"set": {"family": "inet", "table": "filter", "name": "ports", "type": "inet_service", "elem": [53, 4500]}})";
    EXPECT_EQ(walk(ruleset("output", "accept", {port(hits)}, set), udp).size(), 1u) << hits;
    EXPECT_TRUE(walk(ruleset("output", "accept", {port(hits)}, set)).empty()) << "ESP has no ports";
  }
  EXPECT_TRUE(walk(ruleset("output", "accept", {port("500")}), udp).empty());
  EXPECT_FALSE(walk(ruleset("output", "accept", {port(R"("@gone")")}), udp).at(0).certain);
}

TEST(RulesetWalk, JumpsGotosMapsAndReturns) {
  const std::string inner = R"(, {"chain": {"family": "inet", "table": "filter", "name": "side", "handle": 9}},
    {"rule": {"family": "inet", "table": "filter", "chain": "side", "handle": 10, "expr": [)" +
                            kDropEsp + "]}}";
  EXPECT_THAT(walk(ruleset("output", "accept", {R"({"jump": {"target": "side"}})"}, inner)).at(0).where,
              HasSubstr("chain side, rule 10"));
  EXPECT_THAT(walk(ruleset("output", "accept", {R"({"goto": {"target": "side"}})"}, inner)).at(0).where,
              HasSubstr("chain side, rule 10"));
  EXPECT_TRUE(
      walk(ruleset("output", "drop", {R"({"accept": null})", R"({"jump": {"target": "side"}})"}, inner)).empty());
  const std::string map =
      R"({"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": {"set": [["tcp", {"accept": null}], ["esp", {"drop": null}]]}}})";
  EXPECT_TRUE(walk(ruleset("output", "accept", {map})).at(0).certain);
  const std::string loop =
      R"(, {"rule": {"family": "inet", "table": "filter", "chain": "side", "handle": 10, "expr": [{"jump": {"target": "side"}}]}})";
  EXPECT_FALSE(walk(ruleset("output", "accept", {R"({"jump": {"target": "side"}})"}, loop)).empty()) << "it ends";
}

TEST(RulesetWalk, ReversePathByFib) {
  const std::string rule =
      R"({"match": {"op": "==", "left": {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, "right": false}}, {"drop": null})";
  WalkedPacket packet = esp();
  packet.source_routed = true;
  packet.source_routed_in = false;
  EXPECT_TRUE(walk(ruleset("prerouting", "accept", {rule}), packet, {Hook::prerouting}).at(0).certain);
  packet.source_routed_in = true;
  EXPECT_TRUE(walk(ruleset("prerouting", "accept", {rule}), packet, {Hook::prerouting}).empty());
}

TEST(RulesetWalk, OwnTablesAreSkippedAndRubbishIsSaid) {
  std::string own = ruleset("output", "drop", {});
  for (size_t at; (at = own.find("\"filter\", \"handle\"")) != own.npos;) own.replace(at, 8, "\"adit\"");
  for (size_t at; (at = own.find("\"table\": \"filter\"")) != own.npos;) own.replace(at, 17, "\"table\": \"adit\"");
  EXPECT_FALSE(walk(own).empty());
  EXPECT_TRUE(walk_ruleset(own, {Hook::output}, esp(), adits).empty());
  for (const char* rubbish : {"", "[", "{}", R"({"nftables": 5})"}) EXPECT_FALSE(walk(rubbish).empty()) << rubbish;
  EXPECT_TRUE(walk(R"({"nftables": [5, null, {"rule": 7}, {"chain": "x"}]})").empty());
}

}  // namespace
}  // namespace adit::platform
