// The one door out of the guard's book: everything that once opened a closed network and was no command to open it, and
// the commands that may.
#include <sys/stat.h>

#include "engine/testing/engine_world.h"
#include "namespaces/namespaces.h"

namespace adit::engine {
namespace {

constexpr const char* kRule =
    "{ tunnel t0 negotiate tunnel raddr 10.0.1.0/24 } ipsec { encr_algs aes-gcm sa shared }\n";

bool told(const EngineWorld& world, const std::string& kind, const std::string& part = "") {
  return std::ranges::any_of(world.engine->events().since(0), [&](const LogEvent& event) {
    return name_of(event.kind) == kind && event.text.find(part) != std::string::npos;
  });
}

// t0, secured, with an address and 10.0.1.0/24 routed over it.
void with_route(EngineWorld& world) {
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.create_address("t0"));
  const auto report = world.add_route({"10.0.1.0/24", "10.0.1.1"});
  ASSERT_TRUE(report && !report->failed());
  ASSERT_TRUE(world.carrier("t0"));
}
void with_rule(EngineWorld& world) {
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.load_policy(kRule));
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.closed("10.0.1.0/24"));
}

std::vector<int> carriers(const EngineWorld& world, const char* network) {
  return world.platform.guard->closed.at(prefix_of(network));
}

TEST(OneDoor, ARouteThatCannotBePutBackOpensNothing) {
  EngineWorld world;
  with_route(world);
  for (int round = 0; round < 20; ++round) {
    world.platform.fail_call("add_route", 1, round % 2 ? EBUSY : EIO);
    world.platform.others_set_link("t0", false);
    world.run_until_quiet();
    world.engine->tick();
    ASSERT_TRUE(world.engine->guard().guards(prefix_of("10.0.1.0/24"))) << round;
    ASSERT_TRUE(world.engine->guard().guards(prefix_of("10.0.1.1/32"))) << round;
    ASSERT_FALSE(world.leak("10.0.1.9")) << *world.leak("10.0.1.9");
  }
  EXPECT_FALSE(told(world, "guard.opened"));
}

// Of the three files one refuses what the others took: the command failed, and opens nothing later.
TEST(OneDoor, AnOpeningThatOneFileRefusesOpensNothingAtTheNextStart) {
  for (const char* refusing : {"/etc/adit/guard.book.copy", "/run/guard.book"}) {
    SCOPED_TRACE(refusing);
    EngineWorld world;
    with_route(world);
    ASSERT_TRUE(world.engine->guard().close(prefix_of("10.7.0.0/24"), "t0"));
    const std::string path = world.root + refusing, aside = path + ".aside";
    std::filesystem::rename(path, aside);
    std::filesystem::create_directories(path + "/in the way");
    ASSERT_FALSE(world.engine->guard().open(prefix_of("10.7.0.0/24")));
    ASSERT_TRUE(world.engine->guard().guards(prefix_of("10.7.0.0/24")));
    world.kill();
    std::filesystem::remove_all(path);
    std::filesystem::rename(aside, path);
    ASSERT_TRUE(world.start());
    EXPECT_TRUE(world.closed("10.7.0.0/24"));
    EXPECT_FALSE(world.leak("10.7.0.9"));
    EXPECT_TRUE(world.engine->guard().open(prefix_of("10.7.0.0/24"))) << "asked again, it opens";
  }
}

TEST(OneDoor, AnAddressThatCannotBePutBackOpensNothing) {
  EngineWorld world;
  with_route(world);
  world.platform.fail_call("add_address", 1, EACCES);
  world.platform.others_remove_address("t0", prefix_of("10.0.0.1/32"));
  world.run_until_quiet();
  EXPECT_TRUE(world.closed("10.0.1.1/32"));
  EXPECT_FALSE(world.leak("10.0.1.1"));
  EXPECT_FALSE(told(world, "guard.opened"));
}

TEST(OneDoor, ACommandThatFailsTakesBackWhatItClosedAndNoMore) {
  EngineWorld world;
  with_route(world);
  world.platform.fail_call("add_route", 1, EIO);
  const auto refused = world.add_route({"10.9.0.0/16", "10.0.1.1"});
  ASSERT_TRUE(refused && refused->failed());
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.9.0.0/16")));
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.8.0.0/16"), "t0"));
  world.platform.fail_call("add_route", 1, EIO);
  ASSERT_TRUE(world.add_route({"10.8.0.0/16", "10.0.1.1"}));
  EXPECT_TRUE(world.closed("10.8.0.0/16")) << "it was closed before";
}

TEST(OneDoor, ADeviceOutOfItsGroupIsStillOursAndComesUpAgain) {
  EngineWorld world;
  with_route(world);
  world.platform.links.at("t0").info.ours = false;  // ip link set t0 group 0
  world.platform.others_set_link("t0", false);
  world.run_until_quiet();
  EXPECT_TRUE(world.platform.links.at("t0").info.up);
  EXPECT_FALSE(world.leak("10.0.1.9"));
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
}

class LostFile : public ::testing::TestWithParam<const char*> {};

TEST_P(LostFile, AStartWithoutTheTunnelsRecordKeepsItsNetworksClosed) {
  EngineWorld world;
  with_route(world);
  world.kill();
  const std::string path = "/etc/dladm/datalink.conf", text = world.file(path), how = GetParam();
  if (how == "gone") std::filesystem::remove(world.root + path);
  if (how == "empty") world.write(path, "");
  if (how == "cut") world.write(path, text.substr(0, text.find('\n') + 1));
  std::filesystem::remove_all(world.root + "/run");
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_FALSE(world.leak("10.0.1.9"));
  EXPECT_TRUE(told(world, "guard.orphaned", "adit guard open"));
  world.reboot();
  ASSERT_TRUE(world.start());
  EXPECT_FALSE(world.leak("10.0.1.9"));
  EXPECT_TRUE(world.engine->guard().open(prefix_of("10.0.1.0/24"))) << "the operator always can";
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.0.1.0/24")));
}

INSTANTIATE_TEST_SUITE_P(Datalink, LostFile, ::testing::Values("gone", "empty", "cut"),
                         [](const auto& info) { return std::string(info.param); });

class HurtCopy : public ::testing::TestWithParam<std::tuple<const char*, std::string>> {
 protected:
  static void hurt(EngineWorld& world, const std::string& path, const std::string& how) {
    const std::string file = world.root + path;
    std::string text = world.file(path);
    if (how == "line") world.write(path, text.insert(text.find('\n') + 1, "garbage\n"));
    if (how == "header") world.write(path, "#" + text);
    if (how == "folder" || how == "pipe") std::filesystem::remove(file);
    if (how == "folder") std::filesystem::create_directories(file + "/x");
    if (how == "pipe") ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  }
};

TEST_P(HurtCopy, ThatCannotBeReadIsAsLostAndTheOtherIsEnough) {
  const auto& [path, how] = GetParam();
  EngineWorld world;
  with_route(world);
  world.reboot();
  hurt(world, path, how);
  const auto started = world.start();
  ASSERT_TRUE(started) << started.error().text;
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_FALSE(world.leak("10.0.1.9"));
  EXPECT_TRUE(told(world, "guard.failed", "other copies"));
}

INSTANTIATE_TEST_SUITE_P(Book, HurtCopy,
                         ::testing::Combine(::testing::Values("/etc/adit/guard.book", "/etc/adit/guard.book.copy"),
                                            ::testing::Values("line", "header", "folder", "pipe")));

TEST(Book, LostInAllItsCopiesItIsTakenFromWhatTheKernelCloses) {
  EngineWorld world;
  with_route(world);
  world.kill();
  for (const char* path : {"/etc/adit/guard.book", "/etc/adit/guard.book.copy", "/run/guard.book"})
    std::filesystem::remove(world.root + path);
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_FALSE(world.leak("10.0.1.9"));
}

TEST(Book, LostEverywhereAndTheTunnelsTooItIsKeptClosedAndTold) {
  EngineWorld world;
  with_rule(world);
  world.kill();
  for (const char* path : {"/etc/adit", "/run", "/etc/dladm", "/etc/inet"})
    std::filesystem::remove_all(world.root + path);
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_TRUE(told(world, "guard.adopted", "10.0.1.0/24"));
}

TEST(Book, OlderThanTheKernelItIsCompleted) {
  EngineWorld world;
  with_rule(world);
  std::map<std::string, std::string> before;
  for (const char* path : {"/etc/adit/guard.book", "/etc/adit/guard.book.copy", "/run/guard.book"})
    before[path] = world.file(path);
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.77.0.0/16"), "t0"));
  world.kill();
  for (const auto& [path, text] : before) world.write(path, text);
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.closed("10.77.0.0/16"));
}

TEST(Book, OneCopyIsEnough) {
  for (const char* left : {"/etc/adit/guard.book", "/etc/adit/guard.book.copy"}) {
    EngineWorld world;
    with_route(world);
    world.kill();
    for (const char* path : {"/etc/adit/guard.book", "/etc/adit/guard.book.copy", "/run/guard.book"})
      if (std::string_view(path) != left) std::filesystem::remove(world.root + path);
    std::filesystem::remove_all(world.root + "/etc/dladm");
    world.platform.reboot();
    ASSERT_TRUE(world.start());
    EXPECT_TRUE(world.closed("10.0.1.0/24")) << left;
  }
}

TEST(Book, ABrokenLineNamesItselfAndNothingOpens) {
  EngineWorld world;
  with_route(world);
  world.kill();
  for (const char* path : {"/etc/adit/guard.book", "/etc/adit/guard.book.copy", "/run/guard.book"}) {
    std::string text = world.file(path);
    text[text.find("10.0.1") + 3] = '7';
    world.write(path, text);
  }
  const auto started = world.start();
  ASSERT_FALSE(started) << "no copy is whole";
  EXPECT_NE(started.error().text.find("guard.book:"), std::string::npos) << started.error().text;
  world.engine.reset();
  EXPECT_FALSE(world.leak("10.0.1.9"));
}

TEST(OtherRoot, ASecondAditInTheSameNamespaceTouchesNothingAndSaysWhose) {
  EngineWorld world;
  with_route(world);
  const std::string first = world.root;
  world.kill();
  world.root = first + "/other";
  std::filesystem::create_directories(world.root);
  const auto started = world.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, EBUSY);
  EXPECT_NE(started.error().text.find(first), std::string::npos) << started.error().text;
  world.engine.reset();
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_FALSE(world.leak("10.0.1.9"));
  world.root = first;
}

TEST(NamesProveNothing, AnUnsecuredTunnelOfTheOldNameCarriesNothing) {
  EngineWorld world;
  with_route(world);
  ASSERT_TRUE(world.engine->links().remove("t0", false, true, true));
  ASSERT_TRUE(world.load_policy(""));
  ASSERT_TRUE(world.create("t0", false));
  ASSERT_TRUE(world.carrier("t0"));
  EXPECT_TRUE(carriers(world, "10.0.1.0/24").empty());
  ASSERT_TRUE(world.engine->links().remove("t0", false, false)) << "deleting the namesake";
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
}

TEST(NamesProveNothing, AnEthernetOfTheOldNameCarriesNothing) {
  EngineWorld world;
  with_route(world);
  ASSERT_TRUE(world.engine->links().remove("t0", false, true, true));
  ASSERT_TRUE(world.platform.rename_link("net0", "t0"));
  world.run_until_quiet();
  EXPECT_TRUE(carriers(world, "10.0.1.0/24").empty());
  EXPECT_FALSE(world.leak("10.0.1.9"));
}

TEST(NamesProveNothing, AnUnsecuredTunnelRenamedOntoARestingOneCarriesNothing) {
  EngineWorld world;
  with_rule(world);
  ASSERT_TRUE(world.engine->links().remove("t0", true, false));  // -t: back at the next start
  ASSERT_TRUE(world.load_policy(""));
  ASSERT_TRUE(world.create("u0", false, "5.6.7.9"));
  ASSERT_TRUE(world.engine->links().rename("u0", "t0"));
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_TRUE(carriers(world, "10.0.1.0/24").empty());
}

TEST(RulesThatGo, WhatARuleClosedStaysClosedWhenThePolicyGoesAndWhenAnotherComes) {
  EngineWorld world;
  with_rule(world);
  ASSERT_TRUE(world.engine->services().disable({"ipsec/policy"}, false).errors.empty());
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_TRUE(told(world, "guard.rule-gone", "adit guard open 10.0.1.0/24"));
  const spd::Owner other{"svc:/other:default", false};
  PolicyCaller caller;
  caller.owner = other;
  auto entries = world.engine->policy().read_property(
      "t0", "{ negotiate tunnel raddr 192.0.2.1 } ipsec { encr_algs aes-gcm sa shared }", "test");
  ASSERT_TRUE(entries);
  for (auto& rules : entries->adds) ASSERT_TRUE(world.engine->policy().add_rules(caller, "t0", rules));
  EXPECT_TRUE(world.closed("10.0.1.0/24")) << "another's rule opens nothing";
  ASSERT_TRUE(
      world.load_policy("{ tunnel t0 negotiate tunnel raddr 192.0.2.7 } ipsec { encr_algs aes-gcm sa shared }\n"));
  EXPECT_TRUE(world.closed("10.0.1.0/24")) << "files that name something else open nothing";
  ASSERT_TRUE(world.engine->guard().open(prefix_of("10.0.1.0/24")));
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.0.1.0/24")));
}

TEST(RulesThatGo, AFileThatLostARuleOpensNothing) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  const std::string second = "{ tunnel t0 negotiate tunnel raddr 10.0.2.0/24 } ipsec { encr_algs aes-gcm sa shared }\n";
  ASSERT_TRUE(world.load_policy(kRule + second));
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.load_policy(second));
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_TRUE(told(world, "guard.rule-gone"));
}

struct Delegated : ::testing::Test {
  EngineWorld world;
  PolicyCaller caller;
  void SetUp() override {
    with_route(world);
    ASSERT_TRUE(world.create("vpn0", true, "5.6.7.9"));
    ASSERT_TRUE(world.engine->namespaces().create(
        "svc:/vpn:default", {.users = {1000}, .tunnels = {"vpn*"}, .networks = {prefix_of("10.50.0.0/16")}}));
    caller.owner = {"svc:/vpn:default", false};
    caller.uid = 1000;
  }
  void add(const std::string& network) {
    auto entries = world.engine->policy().read_property(
        "vpn0", "{ negotiate tunnel raddr " + network + " } ipsec { encr_algs aes-gcm sa shared }", "test");
    ASSERT_TRUE(entries);
    for (auto& rules : entries->adds) ASSERT_TRUE(world.engine->policy().add_rules(caller, "vpn0", rules));
  }
};

TEST_F(Delegated, ItClosesNothingBesideWhatIsDelegatedToIt) {
  add("8.0.0.0/5");
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("8.0.0.0/5")));
  EXPECT_TRUE(told(world, "guard.not-delegated", "8.0.0.0/5"));
  add("10.0.1.0/25");
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.0.1.0/25"))) << "it cuts nothing out of the operator's";
  add("10.0.1.0/24");
  EXPECT_EQ(carriers(world, "10.0.1.0/24"), std::vector<int>{world.platform.links.at("t0").info.index})
      << "and carries nothing of the operator's";
  add("10.50.7.0/24");
  EXPECT_TRUE(world.closed("10.50.7.0/24"));
}

TEST_F(Delegated, ItGoesWithItsNamespace) {
  add("10.50.7.0/24");
  const auto deleted = world.engine->namespaces().remove("svc:/vpn:default", true);
  ASSERT_TRUE(deleted);
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.50.7.0/24")));
  EXPECT_TRUE(std::ranges::any_of(deleted->notes, [](const auto& note) { return note.starts_with("10.50.7.0/24"); }));
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
}

TEST(WhatIsClosed, LinkLocalAndMulticastNetworksOfCloudVpnsAreGuarded) {
  EngineWorld world;
  with_route(world);
  for (const char* network : {"169.254.44.0/30", "239.1.0.0/16", "ff15::/16"}) {
    if (std::string_view(network).find(':') != std::string_view::npos) {
      EXPECT_TRUE(world.engine->guard().close(prefix_of(network), "t0"));
    } else {
      const auto report = world.add_route({network, "10.0.1.1"});
      ASSERT_TRUE(report && !report->failed()) << network;
    }
    EXPECT_TRUE(world.closed(network));
  }
  EXPECT_FALSE(world.leak("169.254.44.1"));
  EXPECT_FALSE(world.engine->guard().close(prefix_of("224.0.0.5/32"), "t0")) << "that never leaves its link";
}

TEST(DefaultRoute, ALateOrHostileLanIsClosedUntilTheOperatorCallsItInside) {
  EngineWorld world;
  with_route(world);
  const auto report = world.add_route({"default", "10.0.1.1"});
  ASSERT_TRUE(report && !report->failed());
  EXPECT_TRUE(world.platform.guard->inside.contains(prefix_of("10.0.0.0/24"))) << "the LAN that was there";
  EXPECT_FALSE(world.platform.guard->inside.contains(prefix_of("1.2.3.0/24"))) << "the underlay's is not inside";
  ASSERT_TRUE(world.platform.add_address("net0", prefix_of("10.0.1.77/24"), {}));   // a hostile lease
  ASSERT_TRUE(world.platform.add_address("net1", prefix_of("172.17.0.1/16"), {}));  // a container bridge, later
  world.run_until_quiet();
  EXPECT_FALSE(world.leak("10.0.1.80"));
  EXPECT_FALSE(world.leak("172.17.0.2"));
  EXPECT_TRUE(told(world, "guard.cut-off", "adit guard inside net1"));
  ASSERT_TRUE(world.engine->guard().set_inside("net1", true));
  EXPECT_TRUE(world.platform.guard->inside.contains(prefix_of("172.17.0.0/16")));
  world.kill();
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.platform.guard->inside.contains(prefix_of("172.17.0.0/16"))) << "the book remembers";
  ASSERT_TRUE(world.engine->guard().set_inside("net1", false));
  EXPECT_FALSE(world.platform.guard->inside.contains(prefix_of("172.17.0.0/16")));
}

TEST(DefaultRoute, ARoutingDaemonsHalfOfEverythingIsToldAndClosesNothing) {
  EngineWorld world;
  with_route(world);
  platform::Route half;
  half.destination = prefix_of("0.0.0.0/1");
  half.interface_index = world.platform.links.at("t0").info.index;
  half.protocol = 186;
  world.platform.others_add_route(half);
  world.run_until_quiet();
  world.platform.others_remove_route(half);
  world.run_until_quiet();
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("0.0.0.0/1")));
  EXPECT_TRUE(told(world, "guard.not-closed", "0.0.0.0/1"));
}

// One hop into a secured tunnel among others: packets are spread, and those of the other hops would leave in the clear.
TEST(OthersRoutes, AnyHopIntoASecuredTunnelClosesWhileItStands) {
  EngineWorld world;
  with_route(world);
  platform::Route spread = world.foreign_route("10.7.0.0/16");
  spread.protocol = 186;
  spread.more_hops = {{.gateway = {}, .interface_index = world.platform.links.at("t0").info.index, .linkdown = false}};
  world.platform.others_add_route(spread);
  world.run_until_quiet();
  EXPECT_TRUE(world.closed("10.7.0.0/16"));
  EXPECT_EQ(carriers(world, "10.7.0.0/16"), std::vector<int>{world.platform.links.at("t0").info.index});
  EXPECT_FALSE(world.leak("10.7.0.1"));
  world.clock.advance(Seconds(10));  // its device did not just come or go
  world.platform.others_remove_route(spread);
  world.run_until_quiet();
  world.clock.advance(Seconds(5));
  world.engine->tick();
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.7.0.0/16")));
}

// Whether a route was withdrawn or went with its device cannot be told here: it stays closed, and the operator opens
// it.
TEST(OthersRoutes, WhatIsInDoubtStaysClosedAndTheOperatorOpensIt) {
  EngineWorld world;
  with_route(world);
  platform::Route bgp;
  bgp.destination = prefix_of("10.7.0.0/16");
  bgp.interface_index = world.platform.links.at("t0").info.index;
  bgp.protocol = 186;
  world.platform.others_add_route(bgp);
  world.run_until_quiet();
  ASSERT_TRUE(world.closed("10.7.0.0/16"));
  const auto refused = world.engine->guard().open(prefix_of("10.7.0.0/16"));
  ASSERT_FALSE(refused) << "the route stands";
  EXPECT_NE(refused.error().text.find("somebody's route into the secured tunnel t0"), std::string::npos)
      << refused.error().text;
  world.clock.advance(Seconds(10));
  world.platform.others_remove_route(bgp);
  world.platform.others_set_link("t0", false);
  world.run_until_quiet();
  world.platform.others_set_link("t0", true);
  world.run_until_quiet();
  for (int i = 0; i < 10; ++i) {
    world.clock.advance(Seconds(1));
    world.engine->tick();
  }
  EXPECT_TRUE(world.closed("10.7.0.0/16"));
  const auto opened = world.engine->guard().open(prefix_of("10.7.0.0/16"));
  ASSERT_TRUE(opened) << opened.error().text;
  world.run_until_quiet();
  EXPECT_FALSE(world.closed("10.7.0.0/16"));
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.7.0.0/16")));
  world.platform.others_add_route(bgp);
  world.run_until_quiet();
  EXPECT_TRUE(world.closed("10.7.0.0/16")) << "it comes again";
}

// What was withdrawn while the book could not be written is let go when it can.
TEST(OthersRoutes, WhatCannotBeLetGoIsTriedAgain) {
  EngineWorld world;
  with_route(world);
  platform::Route bgp = world.foreign_route("10.7.0.0/16");
  bgp.interface_index = world.platform.links.at("t0").info.index;
  bgp.gateway.reset();
  world.platform.others_add_route(bgp);
  world.run_until_quiet();
  ASSERT_TRUE(world.closed("10.7.0.0/16"));
  const std::string path = world.root + "/etc/adit/guard.book.copy", aside = path + ".aside";
  std::filesystem::rename(path, aside);
  std::filesystem::create_directories(path + "/in the way");
  world.clock.advance(Seconds(10));  // its device did not just come or go
  world.platform.others_remove_route(bgp);
  world.run_until_quiet();
  world.clock.advance(Seconds(5));
  world.engine->tick();
  EXPECT_TRUE(world.closed("10.7.0.0/16"));
  std::filesystem::remove_all(path);
  std::filesystem::rename(aside, path);
  world.engine->tick();
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.7.0.0/16")));
}

// A prefix that the operator names stays closed, whatever a routing daemon announces inside it and takes back.
TEST(OthersRoutes, InsideAPrefixThatTheOperatorNamedNothingOpensWithARouteThatIsWithdrawn) {
  EngineWorld world;
  with_route(world);
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.64.0.0/10"), "t0"));
  EXPECT_TRUE(world.closed("10.64.0.0/10")) << "before any route";
  platform::Route bgp;
  bgp.destination = prefix_of("10.70.0.0/16");
  bgp.interface_index = world.platform.links.at("t0").info.index;
  bgp.protocol = 186;
  for (int i = 0; i < 2; ++i) {
    world.platform.others_add_route(bgp);
    world.run_until_quiet();
    EXPECT_EQ(carriers(world, "10.70.0.0/16"), std::vector<int>{bgp.interface_index});
    world.clock.advance(Seconds(10));  // its device did not just come or go
    world.platform.others_remove_route(bgp);
    world.run_until_quiet();
    world.clock.advance(Seconds(5));
    world.engine->tick();
    EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.70.0.0/16"))) << "its own entry went with it";
    EXPECT_FALSE(world.leak("10.70.0.1")) << "and it is closed all the same";
  }
  ASSERT_TRUE(world.engine->guard().open(prefix_of("10.64.0.0/10")));
  EXPECT_TRUE(world.leak("10.70.0.1")) << "the operator's word opens it";
}

TEST(WhoPasses, PeersAreThrownBackButForThoseBehindAnotherTunnel) {
  EngineWorld world;
  with_route(world);
  EXPECT_TRUE(world.platform.guard->peers.contains(address_of("5.6.7.8")));
  EXPECT_TRUE(world.platform.guard->flows.contains({address_of("1.2.3.4"), address_of("5.6.7.8")}));
  ASSERT_TRUE(world.create("u0", false, "10.0.1.2"));  // an unsecured tunnel whose far end is behind t0
  EXPECT_FALSE(world.platform.guard->peers.contains(address_of("10.0.1.2")));
  ASSERT_TRUE(world.engine->links().remove("u0", false, false));
  EXPECT_FALSE(world.platform.guard->flows.contains({address_of("1.2.3.4"), address_of("10.0.1.2")}));
  ASSERT_TRUE(world.engine->links().modify("t0", {}, "5.6.7.9", false));
  EXPECT_TRUE(world.platform.guard->flows.contains({address_of("1.2.3.4"), address_of("5.6.7.9")}));
  EXPECT_FALSE(world.platform.guard->flows.contains({address_of("1.2.3.4"), address_of("5.6.7.8")}));
}

TEST(WhoPasses, OnlyTheDeviceThatIsThereAndByItsIndex) {
  EngineWorld world;
  with_route(world);
  const int before = world.platform.links.at("t0").info.index;
  EXPECT_EQ(carriers(world, "10.0.1.0/24"), std::vector<int>{before});
  world.platform.others_delete_link("t0");
  world.run_until_quiet();
  const int after = world.platform.links.at("t0").info.index;
  EXPECT_NE(before, after);
  EXPECT_EQ(carriers(world, "10.0.1.0/24"), std::vector<int>{after});
}

TEST(Guardian, WhileItIsAwayNothingOpensAndNothingIsMade) {
  EngineWorld world;
  with_route(world);
  world.platform.guardian = false;
  world.platform.kill_guardian();
  world.run_until_quiet();
  const auto report = world.add_route({"10.9.0.0/16", "10.0.1.1"});
  EXPECT_TRUE(!report || report->failed());
  EXPECT_FALSE(world.engine->guard().open(prefix_of("10.0.1.0/24")));
  EXPECT_FALSE(world.leak("10.0.1.9"));
  world.kill();
  ASSERT_TRUE(world.start()) << "the daemon runs, closed";
  EXPECT_FALSE(world.carrier("t0"));
  EXPECT_TRUE(told(world, "guard.failed", "no tunnel opens"));
  world.platform.guardian = true;
  for (int second = 0; second < 3; ++second) {
    world.clock.advance(Seconds(60));  // a device that could not be made waits with growing patience
    world.engine->tick();
  }
  std::string told;
  for (const auto& event : world.engine->events().since(0)) told += event.text + "\n";
  EXPECT_TRUE(world.carrier("t0")) << world.engine->links().why_closed("t0") << told;
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
}

TEST(NetworksInNetworks, WhatOnlyARuleNamesInsideARoutedNetworkGoesTheSameWay) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(
      world.load_policy(EngineWorld::protect_all("t0") +
                        "{ tunnel t0 negotiate tunnel raddr 10.8.1.0/24 } ipsec { encr_algs aes-gcm sa shared }\n"));
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.create_address("t0"));
  ASSERT_TRUE(world.add_route({"10.8.0.0/16", "10.0.1.1"}));
  const auto way = world.platform.lookup_route(address_of("10.8.1.9"), 0);
  ASSERT_TRUE(way) << way.error().text;
  EXPECT_EQ(way->interface_index, world.platform.links.at("t0").info.index);
  const std::vector<std::string> words = {"10.8.0.0/16", "10.0.1.1"};
  ASSERT_TRUE(world.engine->routes().remove(words, true));
  EXPECT_FALSE(world.platform.lookup_route(address_of("10.8.1.9"), 0)) << "the rule's network stays closed";
}

TEST(Book, AFileThatIsTakenAwayOrCutWhileTheDaemonRunsIsWrittenAgain) {
  EngineWorld world;
  with_route(world);
  for (const char* path : {"/etc/adit/guard.book", "/etc/adit/guard.book.copy", "/run/guard.book"}) {
    std::filesystem::remove(world.root + path);
    EXPECT_TRUE(world.engine->guard().close(prefix_of("10.70.0.0/16"), "t0")) << path;
    EXPECT_NE(world.file(path).find("10.0.1.0/24"), std::string::npos) << path;
    std::filesystem::resize_file(world.root + path, 30);
    EXPECT_TRUE(world.engine->guard().open(prefix_of("10.70.0.0/16"))) << path;
    EXPECT_NE(world.file(path).find("10.0.1.0/24"), std::string::npos) << path;
  }
}

TEST(Book, AStartMendsTheCopyThatIsHurtSoThatTheNextLossOpensNothing) {
  EngineWorld world;
  with_route(world);
  world.kill();
  world.write("/etc/adit/guard.book", "");
  ASSERT_TRUE(world.start());
  world.kill();
  std::filesystem::remove(world.root + "/etc/adit/guard.book.copy");
  std::filesystem::remove_all(world.root + "/etc/dladm");
  world.reboot();
  EXPECT_FALSE(world.leak("10.0.1.9"));
  ASSERT_TRUE(world.start());
  EXPECT_FALSE(world.leak("10.0.1.9"));
}

TEST(Guardian, AClosingThatTheLayersNeverTookIsNotCalledDone) {
  EngineWorld world;
  with_route(world);
  world.kill();
  world.platform.guardian = false;
  ASSERT_TRUE(world.start());
  EXPECT_FALSE(world.engine->guard().close(prefix_of("10.71.0.0/16"), "t0"));
  EXPECT_FALSE(world.engine->guard().close(prefix_of("10.71.0.0/16"), "t0")) << "nor the second time";
  const auto report = world.add_route({"10.0.1.0/24", "10.0.1.1"});
  EXPECT_TRUE(!report || report->failed());
}

TEST(Guardian, OfAChangeThatFailedTheLayersMayHaveDoneAPartAndAreToldAllAgain) {
  EngineWorld world;
  with_route(world);
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.71.0.0/16"), "t0"));
  world.platform.fail_call("change_guard", 1, EIO);
  ASSERT_FALSE(world.engine->guard().open(prefix_of("10.71.0.0/16")));
  world.platform.guard->closed.erase(prefix_of("10.71.0.0/16"));
  world.engine->tick();
  EXPECT_TRUE(world.closed("10.71.0.0/16")) << "the opening failed";
  world.platform.fail_call("change_guard", 1, EIO);
  ASSERT_FALSE(world.engine->guard().close(prefix_of("10.72.0.0/16"), "t0"));
  world.platform.guard->closed[prefix_of("10.72.0.0/16")] = {};
  world.engine->tick();
  EXPECT_FALSE(world.closed("10.72.0.0/16")) << "the closing failed";
}

TEST(Guardian, AfterAnOpeningThatItDidNotTakeNoCarrierGoesOnBeforeItHasAllOfTheBook) {
  EngineWorld world;
  with_route(world);
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.71.0.0/16"), "t0"));
  ASSERT_TRUE(world.engine->policy().flush_global());
  ASSERT_FALSE(world.carrier("t0"));
  world.platform.guardian = false;
  ASSERT_FALSE(world.engine->guard().open(prefix_of("10.71.0.0/16")));
  (void)world.load_policy(EngineWorld::protect_all("t0"));
  EXPECT_FALSE(world.carrier("t0"));
  world.platform.guardian = true;
  world.clock.advance(Seconds(2));
  world.run_until_quiet();
  world.engine->tick();
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_TRUE(world.closed("10.71.0.0/16"));
}

TEST(NamesProveNothing, ARouteIntoAnUnsecuredTunnelOpensNoLayer) {
  EngineWorld world;
  with_route(world);
  ASSERT_TRUE(world.create("u0", false, "5.6.7.9"));
  ASSERT_TRUE(
      world.engine->addresses().create_address({.object = "u0/v4", .local = "10.0.0.1", .remote = "10.60.0.1"}));
  ASSERT_TRUE(world.add_route({"10.0.1.0/26", "10.60.0.1"}));
  for (const auto& route : world.platform.route_list)
    if (route.destination == prefix_of("10.0.1.0/26")) EXPECT_EQ(route.table, 254u);
  ASSERT_TRUE(world.add_route({"5.0.0.0/8", "10.60.0.1"}));  // holds its peer: stands before main
  ASSERT_TRUE(world.engine->guard().close(prefix_of("5.0.0.0/8"), "t0"));
  world.run_until_quiet();
  for (const auto& route : world.platform.route_list)
    if (route.destination == prefix_of("5.0.0.0/8")) EXPECT_EQ(route.table, 254u);
}

// ---- the session of who gives the command

TEST(OwnSession, WhatWouldEndItIsRefusedAndChangesNothing) {
  EngineWorld world;
  with_route(world);
  Guard& guard = world.engine->guard();
  const std::string book = world.file("/etc/adit/guard.book");
  Guard::Session own(guard, address_of("203.0.113.9"));
  const auto closed = guard.close(prefix_of("203.0.113.0/24"), "t0");
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, kEndsSession);
  EXPECT_NE(own.refused().find("203.0.113.0/24 holds 203.0.113.9, from where your own session comes"),
            std::string::npos);
  const auto routed = world.add_route({"203.0.113.0/24", "10.0.1.1"});
  EXPECT_TRUE(!routed || routed->failed());
  EXPECT_FALSE(guard.guards(prefix_of("203.0.113.0/24")));
  EXPECT_EQ(world.file("/etc/adit/guard.book"), book);
  EXPECT_TRUE(world.leak("203.0.113.9")) << "the session lives";
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0"))) << "the same rules again";
  const auto loaded =
      world.load_policy("{ tunnel t0 negotiate tunnel raddr 203.0.0.0/16 } ipsec { encr_algs aes-gcm }\n");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, kEndsSession);
}

TEST(OwnSession, WhatLeavesItAloneIsDoneAndSoIsEverythingWhereNobodyAsked) {
  EngineWorld world;
  with_route(world);
  Guard& guard = world.engine->guard();
  {
    Guard::Session own(guard, address_of("203.0.113.9"));
    EXPECT_TRUE(guard.close(prefix_of("198.51.100.0/24"), "t0"));
    EXPECT_EQ(own.refused(), "");
  }
  {
    Guard::Session own(guard, address_of("10.0.0.7"));  // of the LAN, which is inside
    EXPECT_TRUE(guard.close(prefix_of("10.0.0.0/8"), "t0"));
  }
  {
    Guard::Session own(guard, address_of("10.0.1.9"));  // it comes by the tunnel
    EXPECT_TRUE(guard.close(prefix_of("10.0.1.8/29"), "t0"));
  }
  EXPECT_TRUE(guard.close(prefix_of("203.0.113.0/24"), "t0"));
  Guard::Session own(guard, address_of("203.0.113.9"));
  EXPECT_TRUE(guard.close(prefix_of("203.0.0.0/16"), "t0")) << "it is cut off already";
}

TEST(OwnSession, AskingClosesNothing) {
  EngineWorld world;
  with_route(world);
  Guard& guard = world.engine->guard();
  const auto asked = [&](const char* from, const char* network, const char* tunnel) {
    return guard.would_cut(address_of(from), {{prefix_of(network), tunnel, GuardSource::policy}});
  };
  EXPECT_NE(asked("203.0.113.9", "203.0.113.0/24", "t0"), "");
  EXPECT_EQ(asked("203.0.113.9", "198.51.100.0/24", "t0"), "");
  EXPECT_EQ(asked("203.0.113.9", "203.0.113.0/24", "nothing0"), "");
  EXPECT_FALSE(guard.guards(prefix_of("203.0.113.0/24")));
}

TEST(OwnSession, ARefusedRefreshPutsNoServiceIntoMaintenance) {
  EngineWorld world;
  with_route(world);
  world.write("/etc/inet/ipsecinit.conf",
              "{ tunnel t0 negotiate tunnel raddr 203.0.113.0/24 } ipsec { encr_algs aes-gcm sa shared }\n");
  {
    Guard::Session own(world.engine->guard(), address_of("203.0.113.9"));
    EXPECT_FALSE(world.engine->services().refresh({"ipsec/policy"}).errors.empty());
    EXPECT_NE(own.refused(), "");
  }
  EXPECT_EQ(world.engine->services().state(kPolicyService), ServiceState::online);
  EXPECT_TRUE(world.engine->services().refresh({"ipsec/policy"}).errors.empty());
  EXPECT_TRUE(world.closed("203.0.113.0/24"));
}

TEST(OwnSession, AnInterfaceFromWhichItComesStaysInside) {
  EngineWorld world;
  with_route(world);
  Guard& guard = world.engine->guard();
  ASSERT_TRUE(guard.close(prefix_of("172.16.0.0/12"), "t0"));
  ASSERT_TRUE(world.platform.add_address("net1", prefix_of("172.17.0.1/16"), {}));
  world.run_until_quiet();
  ASSERT_TRUE(guard.set_inside("net1", true));
  Guard::Session own(guard, address_of("172.17.0.9"));
  EXPECT_EQ(guard.set_inside("net1", false).error().code, kEndsSession);
  EXPECT_TRUE(world.platform.guard->inside.contains(prefix_of("172.17.0.0/16")));
}

}  // namespace
}  // namespace adit::engine
