// Policy as a property of the tunnel, deletion with all that stands on it, renaming with policy: one lifecycle.
#include <gmock/gmock.h>

#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

using ::testing::HasSubstr;

constexpr const char* kBlock = "{encr_algs aes-gcm(256) sa shared}";
constexpr const char* kToBob = "{ negotiate tunnel raddr 10.0.1.0/24 } ipsec { encr_algs aes-gcm(256) sa shared }";

class Lifecycle : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(world.start()); }

  Result<Outcome> create(const std::string& policy, bool secured = true, bool temporary = false) {
    return links().create({.name = "t0",
                           .local = "1.2.3.4",
                           .remote = "5.6.7.8",
                           .temporary = temporary,
                           .secured = secured,
                           .properties = {{"ipsec", policy}}});
  }
  Links& links() { return world.engine->links(); }
  Policy& policy() { return world.engine->policy(); }
  size_t rules(const std::string& tunnel) {
    const auto head = policy().heads()->find(tunnel);
    return head ? head->rules().size() : 0;
  }
  std::string shown(bool persistent = false) {
    const auto rows = links().show_properties("t0", {"ipsec"}, persistent);
    return rows && rows->size() == 1 ? rows->front().value : "?";
  }
  void restart() {
    world.kill();
    ASSERT_TRUE(world.start());
  }
  void whole() {
    ASSERT_TRUE(create(kToBob));
    ASSERT_TRUE(world.create_address("t0"));
    const auto report = world.add_route({"10.0.1.0/24", "10.0.1.1"});
    ASSERT_TRUE(report && !report->failed());
  }

  // delete-iptun -r whose daemon dies when the mark is on disk.
  void begin_deletion() {
    set_crash_hook([](std::string_view point) {
      if (point == "delete:marked") throw Killed{};
    });
    EXPECT_THROW((void)links().remove("t0", false, false, true), Killed);
    set_crash_hook(nullptr);
    world.kill();
  }
  bool route_added(const char* network) {
    const auto report = world.add_route({network, "10.0.1.1"});
    return report && !report->failed();
  }

  EngineWorld world;
};

TEST_F(Lifecycle, ATunnelIsBornWithItsPolicyAndGoesWithIt) {
  const auto made = create(kBlock);
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_EQ(rules("t0"), 4u) << "both directions, both families";
  for (const auto& rule : policy().heads()->find("t0")->rules()) {
    EXPECT_EQ(rule.name_space, kPropertyNamespace);
    EXPECT_EQ(rule.origin.file, "dladm t0");
  }
  EXPECT_EQ(shown(), "{encr_algs aes-gcm(256) sa shared}");
  EXPECT_EQ(shown(true), shown());
  ASSERT_TRUE(links().remove("t0", false, false));
  EXPECT_EQ(policy().heads()->find("t0"), nullptr);
}

TEST_F(Lifecycle, WholeRulesAndCommentsAreShownOnOneLine) {
  ASSERT_TRUE(create("# to Bob\n{ negotiate tunnel\n  raddr 10.0.1.0/24 } ipsec { encr_algs aes }  # end\n"));
  EXPECT_EQ(shown(), "{negotiate tunnel raddr 10.0.1.0/24} ipsec {encr_algs aes}");
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
}

TEST_F(Lifecycle, AnErrorPointsIntoThePropertyAndMakesNothing) {
  const std::string before = world.file("/etc/dladm/datalink.conf");
  const auto made = create("{encr_algs nonesuch}");
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().text, HasSubstr("ipsec:1:12: error"));
  EXPECT_THAT(made.error().text, HasSubstr("\n    {encr_algs nonesuch}\n               ^"));
  EXPECT_FALSE(world.has_device("t0"));
  EXPECT_EQ(rules("t0"), 0u);
  EXPECT_EQ(world.file("/etc/dladm/datalink.conf"), before);
  EXPECT_FALSE(create("{tunnel t1 negotiate tunnel} ipsec {encr_algs aes}")) << "another tunnel's";
  EXPECT_FALSE(create("  # nothing"));
  EXPECT_FALSE(create("{encr_algs aes"));
  EXPECT_FALSE(create("{}"));
  EXPECT_FALSE(create("}{"));
  EXPECT_EQ(create(std::string(20000, ' ') + kBlock).error().code, EFBIG);
}

TEST_F(Lifecycle, EveryTruncationOfATextIsAPolicyOrRefused) {
  const std::string text = std::string(kToBob) + " or ipsec { encr_algs aes }";
  for (size_t length = 0; length < text.size(); ++length) {
    const auto made = create(text.substr(0, length));
    EXPECT_EQ(made.has_value(), world.has_device("t0")) << length;
    if (made) ASSERT_TRUE(links().remove("t0", false, false));
    EXPECT_EQ(rules("t0"), 0u);
  }
}

TEST_F(Lifecycle, AFullDiskMakesNeitherTunnelNorPolicy) {
  const std::string in_the_way = world.root + "/etc/dladm/datalink.conf.new";
  std::filesystem::create_directories(in_the_way);
  EXPECT_FALSE(create(kToBob));
  EXPECT_FALSE(world.has_device("t0"));
  EXPECT_EQ(rules("t0"), 0u);
  EXPECT_FALSE(world.closed("10.0.1.0/24"));
  std::filesystem::remove_all(in_the_way);
  ASSERT_TRUE(create(kBlock));
  std::filesystem::create_directories(in_the_way);
  const auto before = policy().heads()->find("t0");
  EXPECT_FALSE(links().set_properties("t0", {{"ipsec", kToBob}}, false));
  EXPECT_EQ(policy().heads()->find("t0"), before);
  EXPECT_EQ(shown(), kBlock);
  EXPECT_FALSE(links().remove("t0", false, false));
  EXPECT_TRUE(world.carrier("t0"));
}

TEST_F(Lifecycle, ThePolicyServiceNeverTakesThePropertysRules) {
  ASSERT_TRUE(create(kToBob));
  ASSERT_TRUE(world.load_policy("{ tunnel t0 negotiate tunnel raddr 10.0.2.0/24 } ipsec { encr_algs aes }\n"));
  EXPECT_EQ(rules("t0"), 4u);
  ASSERT_TRUE(policy().flush_global());
  EXPECT_EQ(rules("t0"), 2u);
  EXPECT_TRUE(world.carrier("t0"));
  const PolicyCaller caller{.owner = {.name_space = kPropertyNamespace}};
  EXPECT_EQ(policy().permit(caller, "t0", true).error().code, EPERM) << "PF_POLICY changes no property";
}

TEST_F(Lifecycle, APropertyStandsBeforeTheFilesInEveryLife) {
  ASSERT_TRUE(create(kBlock));
  EXPECT_FALSE(world.load_policy("{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes }\n")) << "decided already";
  EXPECT_EQ(rules("t0"), 4u);
  restart();
  EXPECT_EQ(rules("t0"), 4u);
  EXPECT_EQ(policy().heads()->find("t0")->rules().front().name_space, kPropertyNamespace);
  EXPECT_TRUE(world.carrier("t0"));
}

TEST_F(Lifecycle, SettingItIsOneSwapAndSurvivesTheDaemonAndTheBoot) {
  ASSERT_TRUE(world.create("t0", true));
  EXPECT_FALSE(world.carrier("t0"));
  ASSERT_TRUE(links().set_properties("t0", {{"ipsec", kBlock}, {"mtu", "1300"}}, false));
  EXPECT_TRUE(world.carrier("t0"));
  ASSERT_TRUE(links().set_properties("t0", {{"ipsec", kToBob}}, false));
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  restart();
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_EQ(rules("t0"), 2u);
  world.reboot();
  EXPECT_FALSE(world.leak("10.0.1.9"));
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_EQ(rules("t0"), 2u);
  ASSERT_TRUE(links().set_properties("t0", {{"ipsec", kBlock}}, false));
  EXPECT_FALSE(world.closed("10.0.1.0/24")) << "no rule names it any more";
}

TEST_F(Lifecycle, ATemporaryTunnelKeepsItsPolicyOverTheDaemonsRestart) {
  ASSERT_TRUE(create(kToBob, true, true));
  restart();
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_EQ(rules("t0"), 2u);
  world.reboot();
  ASSERT_TRUE(world.start());
  EXPECT_EQ(rules("t0"), 0u);
}

TEST_F(Lifecycle, ATemporaryChangeEndsWithTheBoot) {
  ASSERT_TRUE(create(kBlock));
  ASSERT_TRUE(links().set_properties("t0", {{"ipsec", kToBob}}, true));
  EXPECT_EQ(shown(true), kBlock);
  restart();
  EXPECT_EQ(rules("t0"), 2u);
  world.reboot();
  ASSERT_TRUE(world.start());
  EXPECT_EQ(rules("t0"), 4u);
}

TEST_F(Lifecycle, ResettingClosesASecuredTunnelAndAnUnsecuredOneOnlyByForce) {
  ASSERT_TRUE(create(kBlock));
  ASSERT_TRUE(links().reset_properties("t0", {}, false)) << "all properties but the policy";
  EXPECT_TRUE(world.carrier("t0"));
  ASSERT_TRUE(links().reset_properties("t0", {"ipsec"}, false));
  EXPECT_FALSE(world.carrier("t0"));
  ASSERT_TRUE(links().remove("t0", false, false));
  ASSERT_TRUE(create(kBlock, false));
  EXPECT_EQ(links().reset_properties("t0", {"ipsec"}, false).error().code, EPERM);
  EXPECT_EQ(rules("t0"), 4u);
  const Consequences::Watch watch(&world.engine->consequences());
  ASSERT_TRUE(links().reset_properties("t0", {"ipsec"}, false, true));
  EXPECT_THAT(watch.sentences().at(0), HasSubstr("clear text"));
}

TEST_F(Lifecycle, RulesThatCannotBeReadAtAStartKeepTheTunnelClosed) {
  for (const bool secured : {true, false}) {
    ASSERT_TRUE(create(kBlock, secured));
    world.kill();
    std::string conf = world.file("/etc/dladm/datalink.conf");
    conf.replace(conf.find("aes-gcm"), 7, "nonesuc");
    world.write("/etc/dladm/datalink.conf", conf);
    std::filesystem::remove(world.root + "/run/links.cache");
    ASSERT_TRUE(world.start());
    EXPECT_FALSE(world.carrier("t0"));
    const auto link = links().show_link("t0");
    ASSERT_TRUE(link);
    EXPECT_THAT(link->front().why_down, HasSubstr("nonesuc"));
    ASSERT_TRUE(links().set_properties("t0", {{"ipsec", kBlock}}, false));
    EXPECT_TRUE(world.carrier("t0"));
    ASSERT_TRUE(links().remove("t0", false, false));
  }
}

TEST_F(Lifecycle, AtAStartNoNetworkOfAPropertyIsLetGoWhileTheFilesAreRead) {
  ASSERT_TRUE(create(kToBob));
  ASSERT_TRUE(world.load_policy("{ tunnel t0 negotiate tunnel raddr 10.0.2.0/24 } ipsec { encr_algs aes }\n"));
  world.kill();
  world.platform.journal.clear();
  ASSERT_TRUE(world.start());
  for (const auto& line : world.platform.journal)
    EXPECT_THAT(line, ::testing::Not(HasSubstr("remove_route 10.0.1.0/24")));
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_TRUE(world.closed("10.0.2.0/24"));
}

// ---- delete-iptun -r

TEST_F(Lifecycle, WithoutRItSaysWhatStandsInTheWay) {
  whole();
  const auto refused = links().remove("t0", false, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EBUSY);
  EXPECT_THAT(refused.error().text, HasSubstr("link busy"));
  EXPECT_THAT(refused.error().text, HasSubstr("'ipadm delete-addr t0/v4'"));
  EXPECT_THAT(refused.error().text, HasSubstr("'adit route -p delete 10.0.1.0/24 10.0.1.1'"));
  EXPECT_THAT(refused.error().text, HasSubstr("'dladm delete-iptun -r t0'"));
}

TEST_F(Lifecycle, WithRAddressesRoutesPolicyAndGuardGoAlongInTheModelsOrder) {
  whole();
  world.platform.journal.clear();
  ASSERT_TRUE(links().remove("t0", false, false, true));
  EXPECT_FALSE(world.has_device("t0"));
  EXPECT_EQ(world.file("/etc/inet/static_routes").find("10.0.1.0"), std::string::npos);
  EXPECT_EQ(world.file("/etc/ipadm/ipadm.conf").find("t0"), std::string::npos);
  EXPECT_EQ(world.file("/etc/dladm/datalink.conf").find("t0"), std::string::npos);
  EXPECT_FALSE(world.closed("10.0.1.0/24"));
  EXPECT_FALSE(world.closed("10.0.1.0/24"));
  EXPECT_EQ(rules("t0"), 0u);
  const auto& journal = world.platform.journal;
  const auto place = [&](const std::string& begin) {
    return std::ranges::find_if(journal, [&](const auto& line) { return line.starts_with(begin); });
  };
  ASSERT_NE(place("set_carrier t0 off"), journal.end());
  EXPECT_LT(place("set_carrier t0 off"), place("remove_route 10.0.1.0/24"));
  EXPECT_LT(place("remove_route 10.0.1.0/24"), place("remove_address"));
  EXPECT_LT(place("remove_address"), place("delete_tun t0"));
  EXPECT_LT(place("delete_tun t0"), place("change_guard"));
}

TEST_F(Lifecycle, WithRAndKTheNetworksStayClosed) {
  whole();
  const auto gone = links().remove("t0", false, true, true);
  ASSERT_TRUE(gone);
  EXPECT_FALSE(world.has_device("t0"));
  EXPECT_FALSE(world.leak("10.0.1.9"));
  world.reboot();
  EXPECT_FALSE(world.leak("10.0.1.9"));
}

TEST_F(Lifecycle, ADeletionThatFailsPutsEverythingBack) {
  for (const char* step : {"delete_tun", "remove_address", "remove_route"}) {
    SCOPED_TRACE(step);
    EngineWorld other;
    ASSERT_TRUE(other.start());
    ASSERT_TRUE(other.create("t0", true));
    ASSERT_TRUE(other.load_policy(EngineWorld::protect_all("t0")));
    ASSERT_TRUE(other.create_address("t0"));
    const auto report = other.add_route({"10.0.1.0/24", "10.0.1.1"});
    ASSERT_TRUE(report && !report->failed());
    const std::string routes = other.file("/etc/inet/static_routes"), addresses = other.file("/etc/ipadm/ipadm.conf");
    other.platform.fail_call(step, 1, EIO);
    EXPECT_FALSE(other.engine->links().remove("t0", false, false, true));
    EXPECT_TRUE(other.carrier("t0"));
    EXPECT_EQ(other.file("/etc/inet/static_routes"), routes);
    EXPECT_EQ(other.file("/etc/ipadm/ipadm.conf"), addresses);
    EXPECT_EQ(other.file("/etc/dladm/datalink.conf").find("deleting"), std::string::npos);
    EXPECT_FALSE(other.leak("10.0.1.9"));
    const auto rows = other.engine->routes().table(net::Family::v4, false);
    ASSERT_TRUE(rows);
    EXPECT_TRUE(
        std::ranges::any_of(*rows, [](const auto& row) { return row.destination == "10.0.1.0/24" && row.ours; }));
  }
}

TEST_F(Lifecycle, ADeletionThatTheNextStartCannotFinishEatsNothingThatIsPromisedLater) {
  whole();
  begin_deletion();
  world.platform.fail_call("delete_tun", 1, EBUSY);
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.carrier("t0")) << "it stays: " << links().why_closed("t0");
  EXPECT_TRUE(std::ranges::any_of(world.engine->events().since(0), [](const LogEvent& event) {
    return name_of(event.kind) == "link.undone" && event.severity == Severity::alert;
  })) << "and that is told";
  EXPECT_EQ(world.file("/etc/dladm/datalink.conf").find("deleting"), std::string::npos);
  EXPECT_FALSE(world.leak("10.0.1.9")) << "its route is back";
  ASSERT_TRUE(route_added("10.9.9.0/24"));
  restart();
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_FALSE(world.leak("10.9.9.9"));
  EXPECT_FALSE(world.leak("10.0.1.9"));
  ASSERT_TRUE(links().remove("t0", false, false, true)) << "asked again, it goes";
  EXPECT_FALSE(world.has_device("t0"));
}

// The list of tunnels cannot be written: the mark stays on disk, and a later start will finish the deletion.
TEST_F(Lifecycle, NothingIsPromisedForATunnelWhoseDeletionStillStandsOnDisk) {
  whole();
  ASSERT_TRUE(world.load_policy("{ tunnel t0 negotiate tunnel raddr 10.0.3.0/24 } ipsec { encr_algs aes }\n"));
  begin_deletion();
  const std::string in_the_way = world.root + "/etc/dladm/datalink.conf.new";
  std::filesystem::create_directory(in_the_way);
  ASSERT_TRUE(world.start());
  EXPECT_THAT(links().why_closed("t0"), HasSubstr("half deleted"));
  EXPECT_FALSE(route_added("10.9.9.0/24"));
  EXPECT_FALSE(route_added("10.0.1.0/24")) << "though the book has it";
  const auto refused = [](const auto& result) { return result ? 0 : result.error().code; };
  EXPECT_EQ(refused(world.engine->guard().close(prefix_of("10.9.9.0/24"), "t0")), EBUSY);
  EXPECT_EQ(
      refused(world.engine->addresses().create_address({.object = "t0/w4", .local = "10.0.0.1", .remote = "10.0.1.2"})),
      EBUSY);
  EXPECT_EQ(refused(policy().load_files()), EBUSY) << "rules that it has already";
  EXPECT_EQ(refused(world.load_policy("{ tunnel t0 negotiate tunnel raddr 10.0.2.0/24 } ipsec { encr_algs aes }\n")),
            EBUSY);
  EXPECT_FALSE(world.leak("10.0.1.9"));

  std::filesystem::remove(in_the_way);
  world.engine->tick();
  EXPECT_TRUE(world.carrier("t0")) << links().why_closed("t0");
  EXPECT_TRUE(route_added("10.9.9.0/24"));
  restart();
  EXPECT_FALSE(world.leak("10.9.9.9"));
  EXPECT_FALSE(world.leak("10.0.1.9"));
}

TEST_F(Lifecycle, ATunnelDeletedWithTComesBackThoughOthersWereMadeMeanwhile) {
  ASSERT_TRUE(create(kBlock));
  ASSERT_TRUE(links().remove("t0", true, false));
  ASSERT_TRUE(world.create("t1", true, "5.6.7.9"));
  EXPECT_EQ(links().remove("t1", true, false, true).error().code, EINVAL) << "-t and -r";
  restart();
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_TRUE(world.has_device("t1"));
}

// ---- rename-link

TEST_F(Lifecycle, RenamingCarriesTheRulesOfEveryNamespaceAlong) {
  ASSERT_TRUE(create(kToBob));
  ASSERT_TRUE(world.load_policy("{ tunnel t0 negotiate tunnel raddr 10.0.2.0/24 } ipsec { encr_algs aes }\n"));
  const PolicyCaller vpn{.owner = {.name_space = "svc:/vpn:default"}};
  spd::RuleSpec spec{.inbound = true, .outbound = true, .mode = spd::Mode::tunnel};
  spec.selector.remote = prefix_of("10.0.3.0/24");
  spec.actions = policy().heads()->find("t0")->rules().front().actions;
  ASSERT_TRUE(policy().add_rules(vpn, "t0", spd::expand(spec)));
  ASSERT_EQ(rules("t0"), 6u);
  const auto renamed = links().rename("t0", "t7");
  ASSERT_TRUE(renamed) << renamed.error().text;
  EXPECT_EQ(rules("t7"), 6u);
  EXPECT_EQ(policy().heads()->find("t0"), nullptr);
  EXPECT_TRUE(world.carrier("t7"));
  EXPECT_EQ(world.published("t7"), "up head");
  ASSERT_EQ(renamed->notes.size(), 2u);
  EXPECT_THAT(renamed->notes[0], HasSubstr("write 'tunnel t7' in " + world.root + "/etc/inet/ipsecinit.conf:1"));
  EXPECT_THAT(renamed->notes[1], HasSubstr("svc:/vpn:default"));
  for (const char* address : {"10.0.1.9", "10.0.2.9", "10.0.3.9"}) EXPECT_FALSE(world.leak(address)) << address;
  restart();
  EXPECT_EQ(rules("t7"), 2u) << "the property's";
  EXPECT_TRUE(world.carrier("t7"));
}

TEST_F(Lifecycle, TheNextRefreshTakesAwayWhatFilesHaveForTheOldNameAndCloses) {
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(links().rename("t0", "t7"));
  EXPECT_TRUE(world.carrier("t7"));
  ASSERT_TRUE(policy().load_files());
  EXPECT_FALSE(world.carrier("t7"));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t7")));
  EXPECT_TRUE(world.carrier("t7"));
}

TEST_F(Lifecycle, AFileOfATunnelsOwnIsToBeRenamed) {
  ASSERT_TRUE(world.create("t0", true));
  world.write("/etc/inet/ipsecinit.d/tunnels/t0.conf", "{ negotiate tunnel } ipsec { encr_algs aes-gcm }\n");
  ASSERT_TRUE(policy().load_files());
  const auto renamed = links().rename("t0", "t7");
  ASSERT_TRUE(renamed);
  ASSERT_EQ(renamed->notes.size(), 1u);
  const std::string directory = world.root + "/etc/inet/ipsecinit.d/tunnels/";
  EXPECT_THAT(renamed->notes[0], HasSubstr("mv " + directory + "t0.conf " + directory + "t7.conf"));
}

TEST_F(Lifecycle, AnUnsecuredTunnelIsNotRenamedAwayFromTheFilesThatProtectIt) {
  ASSERT_TRUE(world.create("t0", false));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  const auto refused = links().rename("t0", "t7");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EBUSY);
  EXPECT_THAT(refused.error().text, HasSubstr("ipsecinit.conf:1"));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0") + EngineWorld::protect_all("t7")));
  ASSERT_TRUE(links().rename("t0", "t7"));
  EXPECT_EQ(rules("t7"), 4u) << "those that the file has for the new name; the old ones ended";
  EXPECT_EQ(rules("t0"), 0u);
}

TEST_F(Lifecycle, ARenameThatFailsLeavesRulesAndNameAsTheyWere) {
  for (const char* step : {"rename_link", "change_guard", "set_carrier"}) {
    SCOPED_TRACE(step);
    EngineWorld other;
    ASSERT_TRUE(other.start());
    ASSERT_TRUE(other.create("t0", true));
    ASSERT_TRUE(other.load_policy("{ tunnel t0 negotiate tunnel raddr 10.0.1.0/24 } ipsec { encr_algs aes }\n"));
    other.platform.fail_call(step, 1, EIO);
    EXPECT_FALSE(other.engine->links().rename("t0", "t7"));
    EXPECT_NE(other.engine->policy().heads()->find("t0"), nullptr);
    EXPECT_EQ(other.engine->policy().heads()->find("t7"), nullptr);
    EXPECT_TRUE(other.has_device("t0"));
    EXPECT_FALSE(other.leak("10.0.1.9"));
  }
}

TEST_F(Lifecycle, RulesThatWouldMixModesKeepTheName) {
  ASSERT_TRUE(create(kBlock));
  ASSERT_TRUE(world.load_policy("{ tunnel t7 negotiate transport } ipsec { encr_algs aes }\n"));
  EXPECT_EQ(links().rename("t0", "t7").error().code, EBUSY);
  EXPECT_EQ(rules("t0"), 4u);
}

}  // namespace
}  // namespace adit::engine
