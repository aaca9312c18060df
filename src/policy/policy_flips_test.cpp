// Transactions of policy as the engine holds them: refused, waiting, undone, and left behind by a killed daemon.
#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

PolicyCaller caller(const char* name_space = "") {
  return {.owner = {name_space, false}};
}

class PolicyFlipsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(world.start());
    ASSERT_TRUE(world.create("t0", true));
  }
  Policy& policy() { return world.engine->policy(); }
  // A draft with one rule that protects `network` over a tunnel.
  spd::Draft draft_of(const char* network, const char* tunnel = "t0", const char* name_space = "",
                      spd::Verb verb = spd::Verb::ipsec) {
    spd::Draft draft = policy().database().empty_draft(name_space);
    spd::RuleSpec spec{.inbound = true, .outbound = true, .mode = spd::Mode::tunnel};
    spec.selector.remote = prefix_of(network);
    spec.actions = {{.verb = verb}};
    if (verb == spd::Verb::ipsec) spec.actions[0].encr = spd::Cipher{crypto::EncrAlg::aes_gcm16, {256, 256}};
    EXPECT_TRUE(policy().database().add(draft, tunnel, spd::expand(spec)));
    return draft;
  }
  std::vector<std::string> told(const std::string& kind) {
    std::vector<std::string> texts;
    for (const auto& event : world.engine->events().since(0))
      if (name_of(event.kind) == kind) texts.push_back(event.text);
    return texts;
  }
  EngineWorld world;
};

TEST_F(PolicyFlipsTest, AFlipThatCannotTakeEffectCostsTheClientNothing) {
  spd::Draft draft = draft_of("10.7.0.0/24");
  world.platform.fail_call("change_guard", 1, EIO);
  EXPECT_EQ(policy().flip(caller(), draft, {}, {.confirm_seconds = 5}).error().code, EIO);
  EXPECT_EQ(draft.size(), 2u);
  EXPECT_EQ(policy().head_of("t0"), nullptr);
  ASSERT_TRUE(policy().flip(caller(), draft, {}, {})) << "the same draft, not forced, nothing waiting";
  ASSERT_NE(policy().head_of("t0"), nullptr);
  EXPECT_EQ(policy().head_of("t0")->rules().size(), 2u);
}

TEST_F(PolicyFlipsTest, ARefusedFlipCostsTheClientNothing) {
  spd::Draft draft = draft_of("10.7.0.0/24");
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  EXPECT_EQ(policy().flip(caller(), draft, {}, {}).error().code, EAGAIN);
  EXPECT_EQ(draft.size(), 2u);
  EXPECT_TRUE(policy().flip(caller(), draft, {}, {.force = true}));
}

TEST_F(PolicyFlipsTest, NobodyChangesWhatAFlipWaitsOver) {
  spd::Draft draft = draft_of("10.7.0.0/24");
  ASSERT_TRUE(policy().flip(caller(), draft, {}, {.confirm_seconds = 5}));
  EXPECT_EQ(policy().flush_rules(caller(), {}).error().code, EBUSY);
  EXPECT_EQ(policy().remove_rule(caller(), "t0", 1).error().code, EBUSY);
  EXPECT_EQ(policy().add_rules(caller(), "t0", {}).error().code, EBUSY);
  EXPECT_TRUE(policy().add_rules(caller("svc:/other"), "t1", {})) << "of another namespace";
  ASSERT_TRUE(policy().undo_flip(caller()));
  EXPECT_EQ(policy().head_of("t0"), nullptr);
  EXPECT_TRUE(policy().flush_rules(caller(), {}));
}

TEST_F(PolicyFlipsTest, TheServiceComesOverAFlipThatWaits) {
  spd::Draft draft = draft_of("10.7.0.0/24");
  ASSERT_TRUE(policy().flip(caller(), draft, {}, {.confirm_seconds = 5}));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  EXPECT_EQ(told("policy.superseded").size(), 1u);
  world.clock.advance(Seconds(10));
  world.engine->tick();
  ASSERT_NE(policy().head_of("t0"), nullptr);
  EXPECT_TRUE(world.carrier("t0")) << "what the service loaded stands";
}

TEST_F(PolicyFlipsTest, AnUndoThatOpensSaysSo) {
  ASSERT_TRUE(world.create("u0", false, "5.6.7.9"));
  spd::Draft draft = draft_of("10.7.0.0/24", "u0");
  ASSERT_TRUE(policy().flip(caller(), draft, {}, {.confirm_seconds = 5}));
  world.clock.advance(Seconds(6));
  world.engine->tick();
  EXPECT_EQ(policy().head_of("u0"), nullptr);
  ASSERT_EQ(told("policy.undone").size(), 1u);
  EXPECT_NE(told("policy.undone")[0].find("u0 is OPEN"), std::string::npos);
}

TEST_F(PolicyFlipsTest, AnUndoToRulesThatPassSaysSo) {
  spd::Draft passing = draft_of("10.7.0.0/24", "t0", "", spd::Verb::pass);
  ASSERT_TRUE(policy().flip(caller(), passing, {}, {}));
  spd::Draft closing = draft_of("10.7.0.0/24");
  ASSERT_TRUE(policy().flip(caller(), closing, {}, {.confirm_seconds = 5}));
  ASSERT_TRUE(policy().undo_flip(caller()));
  EXPECT_NE(told("policy.undone").at(0).find("t0 has rules again that let clear text pass"), std::string::npos);
}

TEST_F(PolicyFlipsTest, AnUndoThatFailsIsTriedAgain) {
  ASSERT_TRUE(world.load_policy("{ tunnel t0 negotiate tunnel raddr 10.7.0.0/24 } ipsec { encr_algs aes-gcm }\n"));
  spd::Draft draft = draft_of("10.8.0.0/24");
  ASSERT_TRUE(policy().flip(caller(), draft, {}, {.confirm_seconds = 5}));
  world.platform.fail_call("change_guard", 1, EIO);
  world.clock.advance(Seconds(6));
  world.engine->tick();
  EXPECT_EQ(told("policy.failed").size(), 1u);
  EXPECT_EQ(protected_networks(policy().head_of("t0").get()).at(0), prefix_of("10.8.0.0/24"));
  world.clock.advance(Seconds(11));
  world.engine->tick();
  EXPECT_EQ(told("policy.undone").size(), 1u);
  EXPECT_EQ(protected_networks(policy().head_of("t0").get()).at(0), prefix_of("10.7.0.0/24"));
}

TEST_F(PolicyFlipsTest, AnUndoDoesNotOpenWhatAnotherProtectsMeanwhile) {
  spd::Draft passing = draft_of("10.7.0.0/24", "t0", "", spd::Verb::pass);
  ASSERT_TRUE(policy().flip(caller(), passing, {}, {}));
  spd::Draft nothing = policy().database().empty_draft("");
  ASSERT_TRUE(policy().flip(caller(), nothing, {}, {.confirm_seconds = 5}));
  spd::Draft theirs = draft_of("10.7.0.0/24", "t0", "svc:/other");
  ASSERT_TRUE(policy().flip(caller("svc:/other"), theirs, {}, {}));
  world.clock.advance(Seconds(6));
  world.engine->tick();
  ASSERT_EQ(policy().head_of("t0")->rules().size(), 2u);
  EXPECT_EQ(policy().head_of("t0")->rules()[0].actions[0].verb, spd::Verb::ipsec);
  EXPECT_EQ(told("policy.failed").size(), 1u);
  ASSERT_TRUE(policy().flush_rules(caller("svc:/other"), {}));
  world.clock.advance(Seconds(11));
  world.engine->tick();
  EXPECT_EQ(told("policy.undone").size(), 1u);
}

TEST_F(PolicyFlipsTest, ADeletedTunnelsRulesDoNotComeBackByAnUndo) {
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0") + EngineWorld::protect_all("t1")));
  spd::Draft draft = draft_of("10.7.0.0/24", "t1");
  ASSERT_TRUE(policy().flip(caller(), draft, {}, {.confirm_seconds = 5}));
  ASSERT_TRUE(world.engine->links().remove("t0", false, false));
  ASSERT_TRUE(policy().undo_flip(caller()));
  EXPECT_EQ(policy().head_of("t0"), nullptr);
  EXPECT_NE(policy().head_of("t1"), nullptr);
}

TEST_F(PolicyFlipsTest, ARestartedDaemonSaysWhatWasUnconfirmed) {
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  spd::Draft draft = draft_of("10.7.0.0/24", "t0", "svc:/site/vpn:default");
  ASSERT_TRUE(policy().flip(caller("svc:/site/vpn:default"), draft, {}, {.confirm_seconds = 60}));
  world.kill();
  ASSERT_TRUE(world.start());
  ASSERT_EQ(told("policy.undone").size(), 1u);
  EXPECT_NE(told("policy.undone")[0].find("svc:/site/vpn:default"), std::string::npos);
  EXPECT_TRUE(world.carrier("t0")) << "by the files' policy";
  world.kill();
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(told("policy.undone").empty()) << "said once";
}

TEST_F(PolicyFlipsTest, AFlipThatCannotBeNotedIsRefused) {
  spd::Draft draft = draft_of("10.7.0.0/24");
  std::filesystem::create_directories(world.root + "/run/policy.unconfirmed");  // a directory where the file would be
  const auto flipped = policy().flip(caller(), draft, {}, {.confirm_seconds = 5});
  ASSERT_FALSE(flipped);
  EXPECT_EQ(policy().head_of("t0"), nullptr);
  EXPECT_EQ(draft.size(), 2u);
}

TEST_F(PolicyFlipsTest, AChangeIsToldWithWhatCameAndWent) {
  spd::Draft draft = draft_of("10.7.0.0/24", "t0", "svc:/a");
  ASSERT_TRUE(policy().flip(caller("svc:/a"), draft, {}, {}));
  ASSERT_TRUE(policy().remove_rule(caller("svc:/a"), "t0", policy().head_of("t0")->rules()[0].index));
  ASSERT_TRUE(world.engine->links().remove("t0", false, false));
  EXPECT_EQ(told("policy.changed"),
            (std::vector<std::string>{"the policy of t0 changed: 2 rules added, 0 removed, 2 in force (svc:/a)",
                                      "the policy of t0 changed: 0 rules added, 1 removed, 1 in force (svc:/a)",
                                      "the policy of t0 changed: 0 rules added, 1 removed, 0 in force (svc:/a)"}));
}

TEST(EventNumbers, GoOnInTheNextLife) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.create("t0", true));
  const uint64_t last = world.engine->events().last_sequence();
  const std::string instance = world.engine->events().instance();
  ASSERT_GT(last, 0u);
  world.kill();
  ASSERT_TRUE(world.start());
  const auto resumed = world.engine->events().resume(last, instance);
  EXPECT_TRUE(resumed.restarted);
  ASSERT_FALSE(resumed.events.empty());
  EXPECT_GT(resumed.events.front().sequence, last);
}

}  // namespace
}  // namespace adit::engine
