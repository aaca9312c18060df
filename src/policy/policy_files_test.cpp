// The policy service over a whole engine: what a refresh keeps, says and refuses.
#include <gmock/gmock.h>

#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class PolicyFiles : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(world.start()); }

  Policy& policy() { return world.engine->policy(); }
  std::vector<uint64_t> indexes(const std::string& head) {
    std::vector<uint64_t> list;
    if (const auto found = policy().heads()->find(head))
      for (const auto& rule : found->rules()) list.push_back(rule.index);
    return list;
  }
  std::vector<std::string> sentences(const PolicyDiff& diff) {
    std::vector<std::string> list;
    for (const auto& tunnel : diff.tunnels) list.push_back(tunnel.sentence);
    return list;
  }
  void write(const std::string& name, const std::string& text) { world.write("/etc/inet/ipsecinit.d/" + name, text); }
  static std::string under_tunnel() { return "{ negotiate tunnel } ipsec { encr_algs aes-gcm }\n"; }

  EngineWorld world;
};

TEST_F(PolicyFiles, TheSameFilesAgainChangeNothing) {
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0") + "{ lport 53 } bypass {}\n"));
  const auto before = policy().heads();
  const uint64_t generation = policy().database().generation();
  const uint64_t events = world.engine->events().last_sequence();
  const auto again = policy().load_files();
  ASSERT_TRUE(again);
  EXPECT_THAT(again->progress, ElementsAre("0 policy rules added, 0 removed, 8 kept."));
  EXPECT_EQ(policy().heads(), before);
  EXPECT_EQ(policy().database().generation(), generation);
  EXPECT_EQ(world.engine->events().last_sequence(), events);
}

TEST_F(PolicyFiles, WhatStaysKeepsItsIndexAndNewLinesShowInItsOrigin) {
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0")));
  EXPECT_THAT(indexes("v4_bob0"), ElementsAre(1, 2, 3, 4));
  const auto done = world.load_policy("# a comment\n\n" + EngineWorld::protect_all("v4_bob0") +
                                      "{ tunnel v4_bob0 negotiate tunnel lport 53 } drop {}\n");
  ASSERT_TRUE(done);
  EXPECT_THAT(indexes("v4_bob0"), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_EQ(policy().heads()->find("v4_bob0")->rules()[0].origin.line, 3u);
  EXPECT_THAT(done->progress, ElementsAre("4 policy rules added, 0 removed, 4 kept."));
}

TEST_F(PolicyFiles, ARuleThatComesLeavesOtherHeadsAlone) {
  write("tunnels/v4_bob0.conf", under_tunnel());
  ASSERT_TRUE(policy().load_files());
  const auto bob = policy().heads()->find("v4_bob0");
  write("00_dns.conf", "{ lport 53 } bypass {}\n");
  write("tunnels/v4_aaa0.conf", under_tunnel());
  ASSERT_TRUE(policy().load_files());
  EXPECT_EQ(policy().heads()->find("v4_bob0"), bob);
  EXPECT_EQ(policy().heads()->size(), 3u);
}

TEST_F(PolicyFiles, TheDiffSaysWhatARefreshWouldDoAndDoesNothing) {
  ASSERT_TRUE(world.create("v4_bob0", true));
  ASSERT_TRUE(world.create("v4_carol0", true, "5.6.7.9"));
  ASSERT_TRUE(world.create("v4_dave0", false, "5.6.7.10"));
  ASSERT_TRUE(world.create("v4_erin0", false, "5.6.7.11"));
  write("tunnels/v4_bob0.conf", under_tunnel());
  write("tunnels/v4_dave0.conf", under_tunnel());
  ASSERT_TRUE(policy().load_files());
  std::filesystem::remove(world.root + "/etc/inet/ipsecinit.d/tunnels/v4_bob0.conf");
  std::filesystem::remove(world.root + "/etc/inet/ipsecinit.d/tunnels/v4_dave0.conf");
  write("tunnels/v4_carol0.conf", under_tunnel());
  write("tunnels/v4_erin0.conf", under_tunnel());

  const uint64_t generation = policy().database().generation();
  const auto diff = policy().diff_files();
  ASSERT_TRUE(diff);
  EXPECT_EQ(diff->added, 8u);
  EXPECT_EQ(diff->removed, 8u);
  EXPECT_EQ(diff->kept, 0u);
  const std::vector<std::string> expected = {
      "v4_bob0 goes down: it requires security (-S) and no rule is left; its networks stay closed",
      "v4_carol0 goes up: it has rules now",
      "v4_dave0 stops being protected: no rule is left, it is not secured (-S), and it passes clear text",
      "v4_erin0 passed clear text and goes by rules now"};
  EXPECT_EQ(sentences(*diff), expected);
  EXPECT_EQ(policy().database().generation(), generation);
  EXPECT_TRUE(world.carrier("v4_bob0"));

  const auto done = policy().load_files();
  ASSERT_TRUE(done);
  EXPECT_THAT(done->progress, Contains(expected[0]));
  EXPECT_THAT(done->progress, Contains("8 policy rules added, 8 removed, 0 kept."));
  EXPECT_THAT(done->progress, Contains(expected[2]));
  EXPECT_FALSE(world.carrier("v4_bob0"));
  EXPECT_TRUE(world.carrier("v4_carol0"));
  EXPECT_FALSE(policy().diff_files()->changes_anything());
}

TEST_F(PolicyFiles, ATunnelThatRulesAloneDoNotOpenIsNotSaidToGoUp) {
  ASSERT_TRUE(world.create("v4_bob0", true));
  ASSERT_TRUE(world.engine->links().take_down());
  write("tunnels/v4_bob0.conf", under_tunnel());
  EXPECT_THAT(policy().diff_files()->tunnels, IsEmpty());
}

TEST_F(PolicyFiles, RulesOfAnotherNamespaceKeepATunnelProtected) {
  ASSERT_TRUE(world.create("v4_bob0", true));
  write("tunnels/v4_bob0.conf", under_tunnel());
  ASSERT_TRUE(policy().load_files());
  auto rules = policy().database().empty_draft("");
  policy().database().clone_all(rules);
  ASSERT_TRUE(policy().add_rules({.owner = {.name_space = "svc:/site/vpn:default", .override_others = true}}, "v4_bob0",
                                 rules.rules("v4_bob0")));
  std::filesystem::remove(world.root + "/etc/inet/ipsecinit.d/tunnels/v4_bob0.conf");
  const auto diff = policy().diff_files();
  ASSERT_TRUE(diff);
  EXPECT_THAT(diff->tunnels, IsEmpty());
  EXPECT_EQ(diff->removed, 4u);
  ASSERT_TRUE(policy().load_files());
  EXPECT_TRUE(world.carrier("v4_bob0"));
  EXPECT_EQ(indexes("v4_bob0").size(), 4u);
}

TEST_F(PolicyFiles, ARuleThatAnotherNamespaceRefusesIsNamedByDiffAndRefreshAlike) {
  write("tunnels/v4_bob0.conf", "\n" + under_tunnel());
  ASSERT_TRUE(policy().load_files());
  auto rules = policy().database().empty_draft("");
  policy().database().clone_all(rules);
  ASSERT_TRUE(policy().flush_global());
  ASSERT_TRUE(
      policy().add_rules({.owner = {.name_space = "svc:/site/vpn:default"}}, "v4_bob0", rules.rules("v4_bob0")));
  const auto before = policy().heads();
  for (const auto& error : {policy().diff_files().error(), policy().load_files().error()}) {
    EXPECT_THAT(error.text, HasSubstr("belongs to svc:/site/vpn:default"));
    EXPECT_THAT(error.text, HasSubstr("the rule of " + world.root + "/etc/inet/ipsecinit.d/tunnels/v4_bob0.conf:2 "));
  }
  EXPECT_EQ(policy().heads(), before);
}

TEST_F(PolicyFiles, WithOneErrorNothingChangesAndAllErrorsAreTold) {
  write("tunnels/v4_bob0.conf", under_tunnel());
  ASSERT_TRUE(world.create("v4_bob0", true));
  ASSERT_TRUE(policy().load_files());
  const auto before = policy().heads();
  std::filesystem::remove(world.root + "/etc/inet/ipsecinit.d/tunnels/v4_bob0.conf");
  write("a.conf", "{ lport x } drop {}\n");
  std::filesystem::create_symlink("nowhere", world.root + "/etc/inet/ipsecinit.d/b.conf");
  for (const auto& error : {policy().load_files().error(), policy().diff_files().error()}) {
    EXPECT_THAT(error.text, HasSubstr("a.conf:1:9: error: Bad Source Port"));
    EXPECT_THAT(error.text, HasSubstr("b.conf: error: leads to nowhere, which is not there"));
  }
  EXPECT_EQ(policy().heads(), before);
  EXPECT_TRUE(world.carrier("v4_bob0"));
  const auto outcome = world.engine->services().refresh({"ipsec/policy"});
  EXPECT_THAT(outcome.notes, Contains(HasSubstr("in maintenance")));
  EXPECT_EQ(policy().heads(), before);
}

TEST_F(PolicyFiles, SvcadmTellsWhatARefreshDid) {
  write("tunnels/v4_bob0.conf", under_tunnel());
  const auto outcome = world.engine->services().refresh({"ipsec/policy"});
  EXPECT_THAT(outcome.done, ElementsAre("Action refresh set for svc:/network/ipsec/policy:default.",
                                        "4 policy rules added, 0 removed, 0 kept."));
  EXPECT_THAT(world.engine->services().restart({"ipsec/policy"}).done,
              Contains("0 policy rules added, 0 removed, 4 kept."));
}

}  // namespace
}  // namespace adit::engine
