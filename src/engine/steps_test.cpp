// The steps that the engine logs are those that the model knows, in an order that it allows; and an engine that does
// them in another order is found out.
#include <gmock/gmock.h>

#include "engine/testing/engine_world.h"
#include "engine/testing/model_check.h"
#include "host/testing/fake_host.h"

namespace adit::engine {
namespace {

using ::testing::HasSubstr;

class Steps : public ::testing::Test {
 protected:
  void SetUp() override {
    world.trace = trace;
    ASSERT_TRUE(world.start());
  }
  void TearDown() override { std::filesystem::remove(trace); }
  void whole() {
    ASSERT_TRUE(world.create("t0", true));
    ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
    ASSERT_TRUE(world.create_address("t0"));
    const auto report = world.add_route({"10.0.1.0/24", "10.0.1.1"});
    ASSERT_TRUE(report && !report->failed());
  }
  [[nodiscard]] std::string logged() const {
    std::ifstream file(trace);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string refused() { return refused_by_model({trace}); }

  std::string trace = trace_file("test");
  EngineWorld world;
};

TEST_F(Steps, OfALifeWithEverythingAreAllowedAndAllOfThemAreThere) {
  whole();
  EXPECT_EQ(refused(), "");
  world.kill();
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.engine->routes().remove(std::vector<std::string>{"10.0.1.0/24", "10.0.1.1"}, true));
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.7.0.0/24"), "t0"));
  ASSERT_TRUE(world.engine->policy().flush_global());
  ASSERT_TRUE(world.engine->links().remove("t0", false, true, true));
  ASSERT_TRUE(world.engine->guard().open(prefix_of("10.7.0.0/24")));
  world.engine->stop();
  EXPECT_EQ(refused(), "");
  for (const char* step : {"by=aditd start\n",
                           "book missing\n",
                           "book intact\n",
                           "loaded 10.0.1.0/24 t0 operator route\n",
                           "started\n",
                           "layer rule up\n",
                           "writes 10.0.1.0/24 t0 operator route\n",
                           "book+ 10.0.1.0/24 t0 operator route\n",
                           "layer owned up 10.0.1.0/24\n",
                           "device+ t0 ",
                           "pass+ t0 ",
                           "policy t0 on\n",
                           "carrier t0 on\n",
                           "route+ 10.0.1.0/24 t0\n",
                           "route- 10.0.1.0/24 t0\n",
                           " release 10.0.1.0/24 t0 operator route\n",
                           "layer lasting opens 10.0.1.0/24\n",
                           "book- 10.0.1.0/24 t0 operator route record=g",
                           "carrier t0 off\n",
                           "policy t0 off\n",
                           "device- t0 ",
                           "pass- t0 ",
                           " open 10.7.0.0/24 ",
                           "stop\n"})
    EXPECT_THAT(logged(), HasSubstr(step));
}

TEST_F(Steps, OfACreationThatTheGuardianDoesNotTakeAreAllowed) {
  whole();
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0") +
                                "{ tunnel t1 negotiate tunnel raddr 10.7.0.0/24 } ipsec { encr_algs aes-gcm }\n"));
  world.platform.fail_call("change_guard", 2, EIO);
  ASSERT_FALSE(world.create("t1", true, "5.6.7.9"));
  EXPECT_EQ(refused(), "") << "a device that is gone is let pass no more";
}

TEST_F(Steps, OfATemporaryHoldWhoseLineAKillSwallowedAreAllowedAfterABoot) {
  ASSERT_TRUE(world.create("t0", true, "5.6.7.8", true));
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.6.0.0/24"), "t0")) << "which makes the files";
  set_crash_hook([](std::string_view point) {
    if (point == "guard.run:synced") throw Killed{};
  });
  EXPECT_THROW((void)world.engine->guard().close(prefix_of("10.7.0.0/24"), "t0"), Killed);
  set_crash_hook(nullptr);
  world.kill();
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.engine->guard().guards(prefix_of("10.7.0.0/24")));
  world.reboot();
  ASSERT_TRUE(world.start());
  EXPECT_EQ(refused(), "");
}

// A change that closes nothing is the first that the guardian takes again.
TEST_F(Steps, AfterTheGuardianWasAwayAreAllowedAndSayThatItIsBack) {
  whole();
  world.platform.guardian = false;
  world.platform.kill_guardian();
  world.platform.others_remove_rule();
  world.engine->tick();
  world.platform.guardian = true;
  ASSERT_TRUE(world.create("u0", false, "5.6.7.10"));
  ASSERT_TRUE(world.engine->links().remove("t0", false, true, true));
  EXPECT_EQ(refused(), "");
}

TEST_F(Steps, AfterALayerCouldNotBePutBackAreAllowedAndSayThatItStands) {
  whole();
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0") + EngineWorld::protect_all("t1")));
  ASSERT_TRUE(world.create("t1", true, "5.6.7.9"));
  ASSERT_TRUE(world.create_address("t1", "10.0.2.1"));
  world.platform.fail_call("put_back_lasting", 1, EIO);
  world.platform.others_flush_nftables();
  world.platform.others_remove_rule();
  world.engine->tick();
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.7.0.0/24"), "t0"));
  world.platform.others_delete_link("t1");
  world.run_until_quiet();
  world.clock.advance(Seconds(5));
  world.engine->tick();
  EXPECT_EQ(refused(), "");
}

// ---- planted wrong orders: parts of the engine whose neighbour does not do what it says

// A guard that says "closed" and closes nothing.
TEST_F(Steps, OfARouteBeforeItsGuardAreRefused) {
  FakeHost host;
  host.steps = StepLog(trace, "aditd", host.clock);
  Routes routes(host.context, host.links, host.guard);
  host.steps.device_added("v4_bob0", 7, true);
  (void)host.platform.add_address("v4_bob0", prefix("10.0.0.1/32"), address("10.0.1.1"));
  const auto report = routes.add(std::vector<std::string>{"10.0.1.0/24", "10.0.1.1"}, false, false);
  ASSERT_TRUE(report && !report->failed());
  EXPECT_THAT(refused(), HasSubstr("route-before-book"));
}

// The real guard closes, but after the route: its door is opened later than it says.
TEST_F(Steps, OfAGuardThatComesAfterTheRouteAreRefused) {
  struct LateDoor final : GuardDoor {
    Guard& guard;
    std::vector<std::function<void()>> later;
    explicit LateDoor(Guard& real) : guard(real) {}
    Result<bool> protect(const net::Prefix& network, const std::string& tunnel, GuardSource source) override {
      later.push_back([this, network, tunnel, source] { (void)guard.protect(network, tunnel, source); });
      return true;
    }
    Result<bool> release(const net::Prefix& network, const std::string& tunnel, GuardSource source) override {
      return guard.release(network, tunnel, source);
    }
    bool guards(const net::Prefix& network) const override { return guard.guards(network); }
    bool covers(const net::Prefix& network) const override { return guard.covers(network); }
  };
  whole();
  FakeHost host;
  host.steps = StepLog(trace, "aditd", host.clock);
  (void)host.platform.add_address("v4_bob0", prefix("10.0.0.1/32"), address("10.0.1.1"));
  ASSERT_TRUE(host.platform.rename_link("v4_bob0", "t0"));
  host.links.all["t0"] = host.links.all.at("v4_bob0");
  host.links.all.erase("v4_bob0");
  LateDoor door(world.engine->guard());
  Routes routes(host.context, host.links, door);
  ASSERT_TRUE(routes.add(std::vector<std::string>{"10.5.0.0/16", "10.0.1.1"}, false, false));
  for (const auto& step : door.later) step();
  EXPECT_THAT(logged(), HasSubstr("book+ 10.5.0.0/16 t0 operator route"));
  EXPECT_THAT(refused(), HasSubstr("route-before-book"));
}

// A start that believes a lost book: everything that knew it is gone.
TEST_F(Steps, OfAStartThatHasLostTheBookAreRefused) {
  whole();
  world.kill();
  for (const char* book : {"/etc/adit/guard.book", "/etc/adit/guard.book.copy", "/run/guard.book"})
    std::filesystem::remove(world.root + book);
  world.platform.guard.reset();
  ASSERT_TRUE(world.start());
  EXPECT_THAT(refused(), HasSubstr("start-dropped"));
}

}  // namespace
}  // namespace adit::engine
