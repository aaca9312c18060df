// adit explain over a whole engine: each way a packet may go, and what is said of it.
#include "engine/explain.h"

#include <gmock/gmock.h>

#include "control/key_access.h"
#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ExplainTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(world.start()); }

  Explanation explain(const char* source, const char* destination, std::optional<std::string> tunnel = {},
                      bool inbound = false) {
    ExplainRequest request{.flow = {}, .tunnel = std::move(tunnel)};
    request.flow.source = address_of(source);
    request.flow.destination = address_of(destination);
    request.flow.protocol = net::kProtoTcp;
    request.flow.has_ports = true;
    request.flow.source_port = 49152;
    request.flow.destination_port = 443;
    Explainer& explainer = world.engine->explainer();
    const auto about = inbound ? explainer.explain_inbound(request) : explainer.explain(request);
    EXPECT_TRUE(about.has_value());
    return about.value_or(Explanation{});
  }
  void make_tunnel(bool secured) {
    ASSERT_TRUE(world.create("v4_bob0", secured));
    ASSERT_TRUE(world.create_address("v4_bob0"));
    ASSERT_TRUE(world.add_route({"10.0.1.0/24", "10.0.1.1"}));
  }
  Explanation coming(const char* source, const char* destination) { return explain(source, destination, {}, true); }
  void add_sa(uint32_t spi, size_t key_bytes = 16, const char* from = "1.2.3.4", const char* to = "5.6.7.8",
              bool inbound = false, bool outbound = false) {
    sad::SaRequest request;
    request.spec.inbound = inbound;
    request.spec.outbound = outbound;
    request.spec.spi = sad::Spi{spi};
    request.spec.source = address_of(from);
    request.spec.destination = address_of(to);
    request.spec.encr = crypto::EncrAlg::aes_gcm16;
    request.spec.encr_key = Secret(std::vector<uint8_t>(key_bytes, 1));
    request.spec.salt = Secret(std::vector<uint8_t>(4, 2));
    ASSERT_TRUE(world.engine->keys().keys().add(std::move(request), {}));
    world.engine->keys().keys_changed();
  }

  EngineWorld world;
};

TEST_F(ExplainTest, WithoutATunnelItLeavesInTheClear) {
  const auto about = explain("1.2.3.4", "192.0.2.1");
  EXPECT_TRUE(about.passes && about.clear && about.own);
  EXPECT_EQ(about.route->destination, "default");
  EXPECT_EQ(about.verdict, "It leaves over net0 in the clear: no tunnel is on its way, and no guard closes it.");
}

TEST_F(ExplainTest, ASecuredTunnelWithoutRulesSaysWhatOpensIt) {
  make_tunnel(true);
  const auto about = explain("10.0.0.1", "10.0.1.2");
  EXPECT_FALSE(about.passes);
  EXPECT_FALSE(about.tunnel->up);
  EXPECT_EQ(about.reason, "link_down");
  EXPECT_EQ(about.verdict,
            "It is dropped: v4_bob0 carries nothing: it requires security and has no policy; load rules that name it, "
            "with ipsecconf -a FILE.");
  EXPECT_EQ(about.guard->network, prefix_of("10.0.1.0/24"));
}

TEST_F(ExplainTest, ARuleWithoutAnSaHoldsItBack) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy("# first\n" + EngineWorld::protect_all("v4_bob0")));
  const auto about = explain("10.0.0.1", "10.0.1.2");
  EXPECT_EQ(about.reason, "no_sa");
  EXPECT_EQ(about.rule->origin.line, 2u);
  EXPECT_THAT(about.verdict,
              StartsWith("It is held back until a key manager brings an SA, and dropped when none comes: "
                         "rule 1 (" +
                         world.root + "/etc/inet/ipsecinit.conf:2) of v4_bob0 asks for "));
  EXPECT_THAT(about.verdict, HasSubstr("there is no SA between the tunnel's ends"));
  EXPECT_FALSE(about.acquiring);
}

TEST_F(ExplainTest, AnSaThatDoesNotFitSaysWhy) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy("{ tunnel v4_bob0 negotiate tunnel } ipsec { encr_algs aes-gcm(256) sa shared }\n"));
  add_sa(0x2001);
  const auto about = explain("10.0.0.1", "10.0.1.2");
  EXPECT_EQ(about.reason, "no_sa");
  ASSERT_EQ(about.sas.size(), 1u);
  EXPECT_EQ(about.sas[0].algorithms, "aes-gcm(128)");
  EXPECT_EQ(about.sas[0].why_not, "its algorithms are not what the rule asks for");
}

TEST_F(ExplainTest, WithAnSaItLeavesProtectedAndTheMtuAddsUp) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0")));
  add_sa(0x2001);
  const auto about = explain("10.0.0.1", "10.0.1.2");
  EXPECT_TRUE(about.passes && !about.clear);
  EXPECT_EQ(about.verdict, "It leaves through v4_bob0, protected.");
  ASSERT_EQ(about.sas.size(), 1u);
  EXPECT_EQ(about.sas[0].spi, 0x2001u);
  EXPECT_EQ(about.sas[0].why_not, "");
  EXPECT_EQ(about.mtu->path - about.mtu->outer - about.mtu->reserved, about.mtu->mtu);
  EXPECT_EQ(about.mtu->mtu, 1402u);
  EXPECT_EQ(about.largest, 1402u);
  EXPECT_LE(about.largest + about.sas[0].overhead + about.mtu->outer, 1500u);
}

TEST_F(ExplainTest, TheDecidingRuleIsNamed) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0") +
                                "{ tunnel v4_bob0 negotiate tunnel rport 443 } bypass {}\n"));
  const auto clear = explain("10.0.0.1", "10.0.1.2");
  EXPECT_TRUE(clear.passes && clear.clear);
  EXPECT_THAT(clear.verdict, HasSubstr("in the clear, because rule 5 (" + world.root + "/etc/inet/ipsecinit.conf:2)"));
  ASSERT_TRUE(world.load_policy("{ tunnel v4_bob0 negotiate tunnel raddr 10.0.1.0/24 } drop {}\n"));
  EXPECT_THAT(explain("10.0.0.1", "10.0.1.2").verdict, StartsWith("It is dropped by rule "));
  EXPECT_EQ(explain("10.0.0.1", "10.0.9.9", "v4_bob0").verdict, "It is dropped: no rule of v4_bob0 matches it.");
}

TEST_F(ExplainTest, AnUnsecuredTunnelWithoutRulesIsClear) {
  make_tunnel(false);
  const auto about = explain("10.0.0.1", "10.0.1.2");
  EXPECT_TRUE(about.passes && about.clear);
  EXPECT_EQ(about.verdict, "It leaves through v4_bob0 in the clear: v4_bob0 has no rule and is not secured (-S).");
}

TEST_F(ExplainTest, TheGuardStopsWhatAnotherRouteLeadsElsewhere) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0")));
  world.platform.others_add_route(world.foreign_route("10.0.1.2/32"));
  EXPECT_EQ(explain("10.0.0.1", "10.0.1.2").reason, "no_sa") << "a more specific route does not lead round the tunnel";
  world.platform.others_remove_rule();
  const auto about = explain("10.0.0.1", "10.0.1.2");
  EXPECT_EQ(about.reason, "guard");
  EXPECT_THAT(about.guard->tunnels, ElementsAre("v4_bob0"));
  EXPECT_EQ(about.verdict,
            "It is stopped at net0 by the guard: 10.0.1.0/24 leaves only through v4_bob0; v4_bob0 is up, and a route "
            "into it is missing: 'adit route add 10.0.1.0/24 GATEWAY'.");
}

TEST_F(ExplainTest, ANetworkThatWasKeptClosedSaysHowToOpenIt) {
  make_tunnel(true);
  ASSERT_TRUE(world.engine->addresses().delete_address("v4_bob0/v4"));
  ASSERT_TRUE(world.engine->links().remove("v4_bob0", false, true));
  EXPECT_THAT(explain("10.0.0.1", "10.0.1.2").verdict, HasSubstr("adit guard open 10.0.1.0/24"));
}

TEST_F(ExplainTest, TheHostsPolicyComesBeforeTheTunnelForOwnPacketsOnly) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0") + "{ rport 443 ulp tcp dir out } drop {}\n"));
  const auto own = explain("10.0.0.1", "10.0.1.2");
  EXPECT_EQ(own.reason, "host_rule");
  EXPECT_THAT(own.verdict, HasSubstr("ipsecinit.conf:2) of the host's policy"));
  ASSERT_TRUE(world.platform.set_sysctl("net/ipv4/ip_forward", "1"));
  const auto forwarded = explain("10.0.0.2", "10.0.1.2");
  EXPECT_FALSE(forwarded.own);
  EXPECT_EQ(forwarded.reason, "no_sa");
}

TEST_F(ExplainTest, WhatIsNotForwardedSaysHowToTurnItOn) {
  ASSERT_TRUE(world.platform.set_sysctl("net/ipv4/ip_forward", "0"));
  const auto about = explain("10.0.0.2", "10.0.1.2");
  EXPECT_EQ(about.reason, "forwarding");
  EXPECT_THAT(about.verdict, HasSubstr("ipadm set-prop -p forwarding=on ipv4"));
}

// ---- coming in

TEST_F(ExplainTest, WhatComesInMustComeUnderAnSaOfThePeer) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0")));
  EXPECT_THAT(coming("10.0.1.2", "10.0.0.1").verdict,
              HasSubstr("asks for IPsec, and there is no SA from the tunnel's peer"));
  add_sa(0x2002, 16, "5.6.7.8", "1.2.3.4");
  const auto about = coming("10.0.1.2", "10.0.0.1");
  EXPECT_TRUE(about.passes && !about.clear && about.own);
  EXPECT_EQ(about.rule->direction, spd::Direction::in);
  ASSERT_EQ(about.sas.size(), 1u);
  EXPECT_EQ(about.sas[0].why_not, "");
  EXPECT_EQ(about.route->interface, "v4_bob0");
}

TEST_F(ExplainTest, AnSaOfThePeerThatDoesNotFitSaysWhy) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy("{ tunnel v4_bob0 negotiate tunnel } ipsec { encr_algs aes-gcm(256) sa shared }\n"));
  add_sa(0x2002, 16, "5.6.7.8", "1.2.3.4");
  const auto about = coming("10.0.1.2", "10.0.0.1");
  EXPECT_EQ(about.reason, "wrong_protection");
  EXPECT_EQ(about.sas.at(0).why_not, "the inner packet came under an SA that its rule does not allow");
}

TEST_F(ExplainTest, WhatComesInMayBeDroppedOrCleared) {
  make_tunnel(true);
  EXPECT_EQ(coming("10.0.1.2", "10.0.0.1").reason, "link_down");
  ASSERT_TRUE(
      world.load_policy("{ tunnel v4_bob0 negotiate tunnel raddr 10.0.1.2 } drop {}\n"
                        "{ tunnel v4_bob0 negotiate tunnel raddr 10.0.1.3 } bypass {}\n"));
  EXPECT_THAT(coming("10.0.1.2", "10.0.0.1").verdict, StartsWith("It is dropped by rule "));
  EXPECT_TRUE(coming("10.0.1.3", "10.0.0.1").clear);
  EXPECT_EQ(coming("10.0.1.4", "10.0.0.1").reason, "no_inbound_rule");
}

TEST_F(ExplainTest, WhatComesBesideItsTunnelIsStoppedByTheGuard) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0")));
  world.platform.others_add_route(world.foreign_route("10.0.1.2/32"));
  world.platform.others_remove_rule();
  const auto about = coming("10.0.1.2", "10.0.0.1");
  EXPECT_EQ(about.reason, "guard");
  EXPECT_FALSE(about.passes);
  EXPECT_TRUE(coming("192.0.2.1", "1.2.3.4").clear);
}

TEST_F(ExplainTest, NonsenseIsRefused) {
  ExplainRequest request{.flow = {}, .tunnel = "v4_none0"};
  request.flow.source = request.flow.destination = address_of("10.0.0.1");
  EXPECT_EQ(world.engine->explainer().explain(request).error().code, ENOENT);
  request.flow.destination = address_of("::1");
  EXPECT_EQ(world.engine->explainer().explain(request).error().code, EINVAL);
}

// ---- to the wire

class ToTheWire : public ExplainTest {
 protected:
  void SetUp() override {
    ExplainTest::SetUp();
    make_tunnel(true);
    ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0")));
    add_sa(0x2001);
    add_sa(0x2002, 16, "5.6.7.8", "1.2.3.4");
  }
  static std::string chain(const char* hook, const char* rule) {
    return std::string(
               R"({"nftables": [{"chain": {"family": "inet", "table": "fw", "name": "c", "handle": 1, "type": "filter", "hook": ")") +
           hook +
           R"(", "policy": "accept"}}, {"rule": {"family": "inet", "table": "fw", "chain": "c", "handle": 4, "expr": [)" +
           rule + R"({"drop": null}]}}]})";
  }
  static constexpr const char* kEsp =
      R"({"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "esp"}},)";
};

TEST_F(ExplainTest, AKeyOfTheWrongDirectionIsNamed) {
  make_tunnel(true);
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0")));
  add_sa(0x2001, 16, "1.2.3.4", "5.6.7.8", true, false);
  add_sa(0x2002, 16, "5.6.7.8", "1.2.3.4", false, true);
  const auto out = explain("10.0.0.1", "10.0.1.2");
  EXPECT_EQ(out.reason, "no_sa");
  ASSERT_EQ(out.sas.size(), 1u);
  EXPECT_THAT(out.sas[0].why_not, HasSubstr("for the other direction"));
  const auto in = coming("10.0.1.2", "10.0.0.1");
  EXPECT_FALSE(in.passes);
  ASSERT_EQ(in.sas.size(), 1u);
  EXPECT_THAT(in.sas[0].why_not, HasSubstr("for the other direction"));
}

TEST_F(ToTheWire, TheUnderlaysRouteIsShownAndItsLossIsTold) {
  EXPECT_EQ(explain("10.0.0.1", "10.0.1.2").outer->interface, "net0");
  world.platform.others_remove_route(world.foreign_route("0.0.0.0/0"));
  const auto about = explain("10.0.0.1", "10.0.1.2");
  EXPECT_FALSE(about.passes);
  EXPECT_EQ(about.reason, "no_outer_route");
  EXPECT_THAT(about.verdict, HasSubstr("no route of the underlay leads to 5.6.7.8"));
}

TEST_F(ToTheWire, AnotherFirewallsRuleIsNamed) {
  world.platform.ruleset_json = chain("output", kEsp);
  const auto about = explain("10.0.0.1", "10.0.1.2");
  EXPECT_EQ(about.reason, "firewall");
  EXPECT_EQ(about.verdict,
            "Its outer packet (ESP 1.2.3.4 > 5.6.7.8) is dropped by the firewall: table inet fw, chain c, rule 4.");
  world.platform.ruleset_json = chain("output", R"({"limit": {"rate": 1, "per": "second"}},)");
  const auto perhaps = explain("10.0.0.1", "10.0.1.2");
  EXPECT_TRUE(perhaps.passes);
  EXPECT_EQ(perhaps.verdict,
            "It leaves through v4_bob0, protected. Not followed: table inet fw, chain c, rule 4 may drop it.");
}

TEST_F(ToTheWire, ComingInTheFirewallIsAskedToo) {
  EXPECT_TRUE(coming("10.0.1.2", "10.0.0.1").passes);
  world.platform.ruleset_json = chain("input", kEsp);
  const auto about = coming("10.0.1.2", "10.0.0.1");
  EXPECT_FALSE(about.passes);
  EXPECT_EQ(about.reason, "firewall");
}

TEST_F(ToTheWire, AStrictReversePathFilterIsNamed) {
  world.platform.sysctls["net/ipv4/conf/v4_bob0/rp_filter"] = "1";
  EXPECT_TRUE(coming("10.0.1.2", "10.0.0.1").passes);
  world.platform.others_add_route(world.foreign_route("10.0.1.2/32"));
  EXPECT_TRUE(coming("10.0.1.2", "10.0.0.1").passes) << "the guard's table is asked first: the way back is the tunnel";
  world.platform.others_remove_rule();
  const auto about = explain("10.0.1.2", "10.0.0.1", "v4_bob0", true);
  EXPECT_FALSE(about.passes);
  EXPECT_EQ(about.reason, "rp_filter");
}

TEST_F(ToTheWire, SendsThatFailAreSaidWithTheirErrno) {
  auto& counters = *world.engine->dataplane().shared().publisher.get()->links->all()[0]->counters[0];
  const auto second = [&] {
    world.clock.advance(Seconds(1));
    world.engine->tick();
  };
  second();
  counters.drops_out[static_cast<size_t>(DropReason::send_refused)].add(3);
  counters.send_error = EPERM;
  second();
  const auto about = explain("10.0.0.1", "10.0.1.2");
  EXPECT_EQ(about.reason, "send_failed");
  EXPECT_THAT(about.verdict, HasSubstr("Operation not permitted (EPERM)"));
  const auto links = world.engine->links().show_link("v4_bob0");
  ASSERT_TRUE(links);
  EXPECT_EQ(links->front().state, "failing");
  EXPECT_THAT(links->front().why_down, HasSubstr("(EPERM)"));
  const auto events = world.engine->events().notable();
  EXPECT_EQ(std::ranges::count(events, EventKind::link_send_failed, &LogEvent::kind), 1);
  counters.opackets.add();
  second();
  EXPECT_TRUE(explain("10.0.0.1", "10.0.1.2").passes);
  EXPECT_EQ(world.engine->links().show_link("v4_bob0")->front().state, "up");
}

// What a daemon's sockets and devices lost is in the sums of the link and of what has none.
TEST_F(ToTheWire, WhatTheDeviceLostIsCounted) {
  world.platform.links.at("v4_bob0").info.counters.lost = 17;
  const auto info = world.engine->links().show_link("v4_bob0")->front();
  EXPECT_EQ(info.oerrors, 17u);
  EXPECT_THAT(info.drops_out, ::testing::Contains(std::pair<std::string, uint64_t>("tun_backlog", 17)));
  world.platform.wires[0]->overflow = 23;
  EXPECT_EQ(world.engine->dataplane().socket_backlog(), 23u);
}

}  // namespace
}  // namespace adit::engine
