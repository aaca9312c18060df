#include "links/links.h"

#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

class LinksTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(world.start()) << "start"; }
  int code(const Result<Outcome>& outcome) { return outcome ? 0 : outcome.error().code; }
  LinkInfo show(const std::string& name) {
    const auto links = world.engine->links().show_link(name);
    return links ? links->front() : LinkInfo{};
  }
  EngineWorld world;
};

TEST_F(LinksTest, ASecuredTunnelIsDownFromBirthWithRoomForEsp) {
  ASSERT_TRUE(world.create("v4_bob0", true));
  EXPECT_FALSE(world.carrier("v4_bob0"));
  EXPECT_EQ(show("v4_bob0").state, "down");
  EXPECT_EQ(show("v4_bob0").mtu, 1402u);
  EXPECT_NE(show("v4_bob0").why_down.find("policy"), std::string::npos) << show("v4_bob0").why_down;
  EXPECT_EQ(world.engine->links().show_iptun("v4_bob0", false)->front().flags, "--S");
}

TEST_F(LinksTest, AClearTunnelIsUpAndLarger) {
  ASSERT_TRUE(world.create("t0", false));
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_EQ(show("t0").mtu, 1480u);
  EXPECT_EQ(world.engine->links().show_iptun("t0", false)->front().flags, "---");
}

TEST_F(LinksTest, PolicyOpensASecuredTunnelAndItsLossClosesIt) {
  ASSERT_TRUE(world.create("v4_bob0", true));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0")));
  EXPECT_TRUE(world.carrier("v4_bob0"));
  EXPECT_EQ(world.published("v4_bob0"), "up head");
  EXPECT_EQ(world.engine->links().show_iptun("v4_bob0", false)->front().flags, "s-S");
  EXPECT_EQ(show("v4_bob0").mtu, 1402u);
  world.platform.journal.clear();
  ASSERT_TRUE(world.engine->policy().flush_global());
  EXPECT_FALSE(world.carrier("v4_bob0"));
  EXPECT_EQ(world.published("v4_bob0"), "down");
}

TEST_F(LinksTest, PolicyMayComeFirst) {
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("v4_bob0")));
  ASSERT_TRUE(world.create("v4_bob0", true));
  EXPECT_TRUE(world.carrier("v4_bob0"));
  EXPECT_EQ(world.platform.journal.back(), "set_carrier v4_bob0 on") << "the carrier comes last";
}

TEST_F(LinksTest, AhAndEspAreReservedWhenPolicyAsksForBoth) {
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(
      world.load_policy("{ tunnel t0 negotiate tunnel } ipsec { auth_algs sha256 encr_algs aes-gcm sa shared }\n"));
  EXPECT_EQ(show("t0").mtu, 1358u);
}

TEST_F(LinksTest, BadRequestsAreRefusedByTheirErrno) {
  ASSERT_TRUE(world.create("t0", false));
  auto& links = world.engine->links();
  const auto make = [&](const char* name, std::optional<std::string> local, std::optional<std::string> remote) {
    return code(links.create({name, tunnel::Type::ipv4, std::move(local), std::move(remote)}));
  };
  EXPECT_EQ(make("t0", "1.2.3.4", "9.9.9.9"), EEXIST);
  EXPECT_EQ(make("net0", "1.2.3.4", "9.9.9.9"), EEXIST);
  EXPECT_EQ(make("tunnel", "1.2.3.4", "9.9.9.9"), EINVAL) << "must end in a digit";
  EXPECT_EQ(make("abcdefghijklmno1", "1.2.3.4", "9.9.9.9"), EINVAL) << "16 characters";
  EXPECT_EQ(make("t1", "2001:db8::1", "9.9.9.9"), EINVAL) << "family";
  EXPECT_EQ(make("t1", "1.2.3.4", "0.0.0.0"), EADDRNOTAVAIL);
  EXPECT_EQ(make("t1", "1.2.3.4", "224.0.0.1"), EADDRNOTAVAIL);
  EXPECT_EQ(make("t1", "1.2.3.4", "255.255.255.255"), EADDRNOTAVAIL);
  EXPECT_EQ(make("t1", "4.4.4.4", "9.9.9.9"), EADDRNOTAVAIL) << "not of this host";
  EXPECT_EQ(make("t1", "1.2.3.4", "1.2.3.4"), EINVAL);
  EXPECT_EQ(make("t1", "1.2.3.4", "5.6.7.8"), EADDRINUSE) << "t0 has the pair";
  EXPECT_EQ(code(links.modify("t9", {}, "9.9.9.9", false)), ENOENT);
  EXPECT_EQ(code(links.remove("t9", false, false)), ENOENT);
  EXPECT_EQ(links.show_iptun("", false)->size(), 1u);
  EXPECT_FALSE(world.has_device("t1"));
}

TEST_F(LinksTest, ACarrierThatCannotBeSwitchedOffIsShutByThePictureAndTriedAgain) {
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  ASSERT_TRUE(world.create("t0", true));
  world.platform.fail_call("set_carrier", 1, EIO);
  ASSERT_TRUE(world.engine->policy().flush_global());
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_EQ(world.published("t0"), "down");
  world.engine->tick();
  EXPECT_FALSE(world.carrier("t0"));
}

// What the guard lets pass goes with the tunnel, also with one that was never whole.
TEST_F(LinksTest, ATunnelThatCannotBeMadeLeavesNoDeviceThatMayPass) {
  ASSERT_TRUE(world.create("t1", true, "5.6.7.9"));
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.0.1.0/24"), "t1"));
  world.platform.guardian = false;
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  EXPECT_FALSE(world.create("t0", true));
  world.platform.guardian = true;
  world.engine->tick();
  EXPECT_EQ(world.platform.guard->flows.size(), 1u) << "t1's";
}

TEST_F(LinksTest, ATunnelWithoutAddressesBindsOnceModifyCompletesIt) {
  auto& links = world.engine->links();
  ASSERT_TRUE(links.create({"t0", tunnel::Type::ipv4, "1.2.3.4", {}}));
  EXPECT_EQ(show("t0").state, "down");
  EXPECT_FALSE(world.carrier("t0"));
  ASSERT_TRUE(links.modify("t0", {}, "5.6.7.8", false));
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_NE(world.file("/etc/dladm/datalink.conf").find("raddr=string,5.6.7.8"), std::string::npos);
}

TEST_F(LinksTest, ATunnelIsBusyWhileAnAddressIsOnIt) {
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.create_address("t0"));
  EXPECT_EQ(code(world.engine->links().remove("t0", false, false)), EBUSY);
  EXPECT_EQ(code(world.engine->links().rename("t0", "t1")), EBUSY);
  ASSERT_TRUE(world.engine->addresses().delete_interface("t0"));
  EXPECT_EQ(code(world.engine->links().remove("t0", false, false)), 0);
  EXPECT_FALSE(world.has_device("t0"));
  EXPECT_EQ(world.file("/etc/dladm/datalink.conf").find("t0"), std::string::npos);
}

TEST_F(LinksTest, DeletingTellsWhatIsOpenNowOrKeepsItClosed) {
  for (const bool keep : {false, true}) {
    ASSERT_TRUE(world.create("t0", true));
    ASSERT_TRUE(
        world.load_policy("{ tunnel t0 negotiate tunnel raddr 10.0.1.0/24 } ipsec { encr_algs aes-gcm sa shared }\n"));
    ASSERT_FALSE(world.leak("10.0.1.9"));
    const auto outcome = world.engine->links().remove("t0", false, keep);
    ASSERT_TRUE(outcome);
    ASSERT_EQ(outcome->notes.size(), 1u);
    EXPECT_NE(outcome->notes[0].find("10.0.1.0/24"), std::string::npos) << outcome->notes[0];
    EXPECT_NE(outcome->notes[0].find(keep ? "stays closed" : "in the clear"), std::string::npos) << outcome->notes[0];
    EXPECT_EQ(world.leak("10.0.1.9").has_value(), !keep);
  }
  ASSERT_TRUE(world.engine->guard().open(prefix_of("10.0.1.0/24")));
  EXPECT_TRUE(world.leak("10.0.1.9"));
  EXPECT_EQ(world.engine->guard().open(prefix_of("10.0.1.0/24")).error().code, ENOENT);
}

TEST_F(LinksTest, DeletingATunnelDestroysItsPolicy) {
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  ASSERT_TRUE(world.engine->links().remove("t0", false, false));
  ASSERT_TRUE(world.create("t0", true));
  EXPECT_FALSE(world.carrier("t0"));
}

TEST_F(LinksTest, PropertiesSetShowAndReset) {
  ASSERT_TRUE(world.create("t0", false));
  auto& links = world.engine->links();
  ASSERT_TRUE(links.set_properties("t0", {{"mtu", "1300"}, {"hoplimit", "9"}, {"mssclamp", "off"}}, false));
  EXPECT_EQ(world.platform.links.at("t0").info.mtu, 1300u);
  EXPECT_EQ(code(links.set_properties("t0", {{"hoplimit", "10"}, {"mtu", "1279"}}, false)), EINVAL);
  EXPECT_EQ(code(links.set_properties("t0", {{"encaplimit", "3"}}, false)), EINVAL) << "IPv6 outer only";
  EXPECT_EQ(code(links.set_properties("t0", {{"colour", "red"}}, false)), EINVAL);
  const auto hops = links.show_properties("t0", {"hoplimit"}, false);
  ASSERT_TRUE(hops);
  EXPECT_EQ(hops->front().value, "9") << "a list with one wrong value sets none";
  ASSERT_TRUE(links.reset_properties("t0", {}, false));
  EXPECT_EQ(world.platform.links.at("t0").info.mtu, 1480u);
}

TEST_F(LinksTest, PathMtuLowersTheLinkAndAges) {
  ASSERT_TRUE(world.create("t0", true));
  const auto id = *world.engine->links().id_of("t0");
  world.engine->links().handle(datapath::PathMtuChanged{id, 1400});
  EXPECT_EQ(show("t0").mtu, 1302u);
  EXPECT_EQ(world.platform.links.at("t0").info.mtu, 1302u);
  world.clock.advance(Seconds(601));
  world.engine->tick();
  EXPECT_EQ(show("t0").mtu, 1402u);
}

TEST_F(LinksTest, TemporaryTunnelsSurviveTheDaemonAndNotTheMachine) {
  ASSERT_TRUE(world.create("t0", true, "5.6.7.8", true));
  EXPECT_EQ(world.file("/etc/dladm/datalink.conf").find("t0"), std::string::npos);
  world.kill();
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.engine->links().show_iptun("", false)->size(), 1u);
  world.reboot();
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.engine->links().show_iptun("", false)->empty());
}

TEST_F(LinksTest, WhatOthersDoToADeviceIsPutBack) {
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  ASSERT_TRUE(world.create_address("t0"));
  ASSERT_TRUE(world.add_route({"10.0.1.0/24", "10.0.1.1"}));
  world.platform.others_set_link("t0", false);
  EXPECT_FALSE(world.leak("10.0.1.9"));
  world.run_until_quiet();
  EXPECT_TRUE(world.platform.links.at("t0").info.up);
  EXPECT_TRUE(world.carrier("t0"));
  world.platform.others_delete_link("t0");
  EXPECT_FALSE(world.leak("10.0.1.9"));
  world.run_until_quiet();
  EXPECT_TRUE(world.has_device("t0"));
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_TRUE(std::ranges::any_of(world.platform.route_list, [&](const auto& route) {
    return route.destination == prefix_of("10.0.1.0/24") &&
           route.interface_index == world.platform.links.at("t0").info.index;
  })) << "its route is back";
}

TEST_F(LinksTest, ATunnelWhoseLocalAddressGoesAwayGoesDownAndComesBack) {
  ASSERT_TRUE(world.create("t0", false));
  world.platform.others_remove_address("net0", prefix_of("1.2.3.4/24"));
  world.run_until_quiet();
  EXPECT_FALSE(world.carrier("t0"));
  ASSERT_TRUE(world.platform.add_address("net0", prefix_of("1.2.3.4/24"), {}));
  world.run_until_quiet();
  EXPECT_TRUE(world.carrier("t0"));
}

TEST_F(LinksTest, TheIptunServiceTakesEveryTunnelDownAndUp) {
  ASSERT_TRUE(world.create("t0", false));
  ASSERT_TRUE(world.engine->links().take_down());
  EXPECT_FALSE(world.carrier("t0"));
  EXPECT_NE(show("t0").why_down.find("svcadm enable"), std::string::npos);
  ASSERT_TRUE(world.engine->links().bring_up());
  EXPECT_TRUE(world.carrier("t0"));
}

bool alerted(const EngineWorld& world, const std::string& text) {
  return std::ranges::any_of(world.engine->events().since(0), [&](const auto& event) {
    return name_of(event.kind) == "link.unreadable" && event.severity == Severity::alert &&
           event.text.find(text) != std::string::npos;
  });
}

// Three secured tunnels with rules, of which t1's line is broken while no daemon runs.
struct BrokenLineWorld : EngineWorld {
  static constexpr const char* kPath = "/etc/dladm/datalink.conf";
  std::string good, broken;
  BrokenLineWorld() {
    EXPECT_TRUE(start());
    std::string policy;
    for (int i : {0, 1, 2}) {
      EXPECT_TRUE(create(fmt::format("t{}", i), true, fmt::format("5.6.7.{}", i + 1).c_str()));
      policy +=
          fmt::format("{{ tunnel t{0} negotiate tunnel raddr 10.0.{0}.0/24 }} ipsec {{ encr_algs aes-gcm }}\n", i);
    }
    EXPECT_TRUE(load_policy(policy));
    kill();
    std::string text = file(kPath);
    const size_t line = text.find("2\tname=string,t1;");
    good = text.substr(line, text.find('\n', line) + 1 - line);
    broken = good;
    broken.replace(broken.find("type=int,1;"), 11, "type=int,7;");
    text.replace(line, good.size(), broken);
    write(kPath, text);
  }
};

TEST(LinksStart, ALineThatCannotBeReadClosesItsTunnelAndTheOthersServe) {
  BrokenLineWorld world;
  for (const bool booted : {false, true}) {
    if (booted) world.reboot();
    ASSERT_TRUE(world.start());
    EXPECT_TRUE(world.carrier("t0"));
    EXPECT_TRUE(world.carrier("t2"));
    EXPECT_EQ(world.published("t1"), "none");
    EXPECT_TRUE(world.closed("10.0.1.0/24"));
    EXPECT_FALSE(world.leak("10.0.1.9"));
    EXPECT_TRUE(alerted(world, world.root + world.kPath + ":3:")) << "file, line, column";
    EXPECT_TRUE(alerted(world, "type must be"));
    if (!booted) EXPECT_TRUE(world.has_device("t1")) << "nothing of it is undone";
  }
}

TEST(LinksStart, ALineThatCannotBeReadIsNeverLost) {
  BrokenLineWorld world;
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.create("t3", true, "5.6.7.9"));
  ASSERT_TRUE(world.engine->links().remove("t0", false, true));
  EXPECT_NE(world.file(world.kPath).find("\n" + world.broken), std::string::npos) << world.file(world.kPath);
  const auto again = world.create("t1", true, "5.6.7.8");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, EEXIST);
  EXPECT_FALSE(world.engine->links().rename("t2", "t1"));
  // Repaired, it comes back with its id, and what stood on its device still does.
  world.kill();
  std::string text = world.file(world.kPath);
  text.replace(text.find(world.broken), world.broken.size(), world.good);
  world.write(world.kPath, text);
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.carrier("t1"));
  EXPECT_TRUE(world.has_device("t3"));
  EXPECT_FALSE(world.leak("10.0.1.9"));
}

TEST(LinksStart, ALineThatCannotBeReadGoesByCommandAndOpensNothing) {
  BrokenLineWorld world;
  ASSERT_TRUE(world.start());
  const auto gone = world.engine->links().remove("t1", false, false);
  ASSERT_TRUE(gone);
  ASSERT_EQ(gone->notes.size(), 1u);
  EXPECT_NE(gone->notes[0].find("adit guard open"), std::string::npos);
  EXPECT_FALSE(world.has_device("t1"));
  EXPECT_EQ(world.file(world.kPath).find("t1"), std::string::npos);
  EXPECT_FALSE(world.leak("10.0.1.9"));
  EXPECT_TRUE(world.create("t1", true, "5.6.7.8"));
}

TEST(LinksStart, AnUnreadableLineOfTheRunDirectoryLetsNoTunnelPassThatHadRules) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.create("t0", false));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  world.kill();
  std::filesystem::remove_all(world.root + "/etc/inet");
  std::string text = world.file("/run/links.cache");
  text.replace(text.find("type=int,1;"), 11, "type=int,7;");
  world.write("/run/links.cache", text);
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(alerted(world, "links.cache:2:"));
  EXPECT_FALSE(world.carrier("t0")) << "it had rules, and they are gone";
}

TEST(LinksStart, AnotherDaemonOnTheSameRunDirectoryIsRefusedByPid) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  Engine second({.root = world.root, .run_dir = world.root + "/run", .workers = 1, .threads = false}, world.platform,
                world.clock);
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, EBUSY);
  EXPECT_NE(started.error().text.find(std::to_string(getpid())), std::string::npos) << started.error().text;
}

TEST(LinksStart, RequireSecurityMakesEveryTunnelSecured) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.create("t0", false));
  EXPECT_TRUE(world.carrier("t0"));
  world.kill();
  Settings settings{.root = world.root,
                    .run_dir = world.root + "/run",
                    .workers = 1,
                    .crypto = crypto::EngineKind::openssl,
                    .require_security = true,
                    .threads = false};
  world.engine = std::make_unique<Engine>(settings, world.platform, world.clock);
  ASSERT_TRUE(world.engine->start());
  EXPECT_FALSE(world.carrier("t0"));
  EXPECT_EQ(world.engine->links().show_iptun("t0", false)->front().flags, "--S");
}

}  // namespace
}  // namespace adit::engine
