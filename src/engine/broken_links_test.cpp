// A start, and a life, with tunnels whose devices cannot be: each is closed, told and tried again; the others serve.
#include <gmock/gmock.h>

#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

using ::testing::HasSubstr;

class BrokenLinks : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(world.start());
    for (const char* name : {"t0", "t1", "t2"}) {
      const std::string remote = fmt::format("5.6.7.{}", name[1]);
      ASSERT_TRUE(world.create(name, true, remote.c_str()));
    }
    ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0") + EngineWorld::protect_all("t1") +
                                  "{ tunnel t2 negotiate tunnel raddr 10.0.2.0/24 } ipsec { encr_algs aes-gcm }\n"));
  }
  std::string why(const std::string& name) { return world.engine->links().why_closed(name); }
  size_t alerts(const std::string& link) {
    size_t count = 0;
    for (const auto& event : world.engine->events().since(0))
      count += name_of(event.kind) == "link.failed" && event.subject == link ? 1 : 0;
    return count;
  }
  // Somebody else's interface stands under the tunnel's name.
  void take_name(const std::string& name) {
    world.platform.links.erase(name);
    world.platform.add_interface(name);
  }
  void seconds(int count) {
    for (int i = 0; i < count; ++i) {
      world.clock.advance(Seconds(1));
      world.run_until_quiet();
      world.engine->tick();
    }
  }
  EngineWorld world;
};

TEST_F(BrokenLinks, AStartServesTheOthersAndClosesEachBrokenOne) {
  world.kill();
  take_name("t0");
  world.platform.fail_call("open_tun", 2, EBUSY, "t1: another process has this tunnel");
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.carrier("t2"));
  EXPECT_THAT(why("t0"), HasSubstr("cannot be made: t0: there is an interface"));
  EXPECT_THAT(why("t1"), HasSubstr("another process has this tunnel"));
  EXPECT_EQ(alerts("t0"), 1u);
  EXPECT_EQ(alerts("t1"), 1u);
  EXPECT_EQ(world.published("t1"), "down head");
}

TEST_F(BrokenLinks, AllOfThemBrokenIsStillADaemon) {
  world.kill();
  for (int nth = 1; nth <= 3; ++nth) world.platform.fail_call("open_tun", nth, ENOENT, "no /dev/net/tun");
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.closed("10.0.2.0/24"));
  EXPECT_FALSE(world.leak("10.0.2.9"));
  EXPECT_TRUE(world.engine->links().remove("t1", false, false));
}

TEST_F(BrokenLinks, ItIsTriedAgainWithPatienceAndToldOnce) {
  world.kill();
  for (int nth = 1; nth < 40; ++nth) world.platform.fail_call("open_tun", nth, EBUSY, "taken");
  ASSERT_TRUE(world.start());
  world.platform.journal.clear();
  seconds(120);
  const auto tries = std::ranges::count_if(world.platform.journal, [](auto& call) { return call == "open_tun t0 !"; });
  EXPECT_GE(tries, 5);
  EXPECT_LE(tries, 10) << "not each second";
  EXPECT_EQ(alerts("t0"), 1u);
}

TEST_F(BrokenLinks, WhatWasInTheWayGoesAndTheTunnelOpens) {
  world.kill();
  take_name("t0");
  ASSERT_TRUE(world.start());
  seconds(60);
  EXPECT_EQ(world.published("t0"), "down head");
  world.platform.others_delete_link("t0");
  seconds(2);
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_EQ(why("t0"), "");
}

TEST_F(BrokenLinks, ATunnelIsDeletedThoughItsNameIsSomethingElses) {
  world.kill();
  take_name("t0");
  ASSERT_TRUE(world.start());
  const auto gone = world.engine->links().remove("t0", false, true);
  EXPECT_TRUE(gone) << gone.error().text;
  EXPECT_TRUE(world.has_device("t0")) << "that is not ours";
}

// `ip link set t2 group 0` by anybody: the name in our files counts, not what others can write on the device.
TEST_F(BrokenLinks, ADeviceInAnotherGroupIsStillTheTunnels) {
  world.platform.others_change_group("t2");
  world.run_until_quiet();
  EXPECT_TRUE(world.carrier("t2"));
  world.kill();
  world.platform.others_change_group("t1");
  world.platform.others_change_group("t2");
  ASSERT_TRUE(world.start());
  EXPECT_EQ(why("t2"), "");
  EXPECT_TRUE(world.carrier("t2"));
  EXPECT_TRUE(world.platform.links.at("t2").info.ours) << "its group is set again";
  EXPECT_TRUE(world.engine->links().remove("t1", false, false));
  EXPECT_FALSE(world.has_device("t1"));
}

// Whose a device is tells the file, not the group: anybody can give his own ours.
TEST_F(BrokenLinks, ADeviceInOurGroupThatNoFileKnowsIsNotTakenAway) {
  (void)world.platform.open_tun("t7", 1, platform::DeviceName::fresh);
  ASSERT_TRUE(world.platform.links.at("t7").info.ours);
  const auto refused = world.create("t7", true, "5.6.7.17");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EEXIST);
  EXPECT_TRUE(world.has_device("t7"));
}

// What a start cannot take away it knows, and the next one, or a tunnel of that name, takes it away.
TEST_F(BrokenLinks, AHalfMadeDeviceThatCannotBeRemovedIsRemovedLater) {
  for (const bool by_command : {true, false}) {
    set_crash_hook([](std::string_view point) {
      if (point == "create:up") throw Killed{};
    });
    EXPECT_THROW((void)world.create("t8", true, "5.6.7.18"), Killed);
    set_crash_hook(nullptr);
    world.kill();
    world.platform.others_change_group("t8");
    world.platform.fail_call("delete_tun", 1, EBUSY);
    ASSERT_TRUE(world.start());
    ASSERT_TRUE(world.has_device("t8"));
    const int index = world.platform.links.at("t8").info.index;
    if (by_command) {
      ASSERT_TRUE(world.create("t8", true, "5.6.7.18"));
      EXPECT_NE(world.platform.links.at("t8").info.index, index) << "made anew";
      ASSERT_TRUE(world.engine->links().remove("t8", false, false));
    } else {
      world.kill();
      ASSERT_TRUE(world.start());
      EXPECT_FALSE(world.has_device("t8"));
    }
  }
}

TEST_F(BrokenLinks, ANameTakenInTheMiddleOfALifeClosesTheTunnel) {
  world.platform.others_delete_link("t2");
  world.platform.add_interface("t2");
  world.run_until_quiet();
  EXPECT_EQ(world.published("t2"), "down head");
  EXPECT_THAT(why("t2"), HasSubstr("cannot be made"));
  EXPECT_FALSE(world.leak("10.0.2.9"));
  world.platform.others_delete_link("t2");
  seconds(2);
  EXPECT_TRUE(world.carrier("t2"));
}

// Whoever has the tunnel's name when aditd starts, or takes it later, gets none of its addresses: they would stay there
// when the name is given back, and lead the tunnel's networks away from it.
TEST_F(BrokenLinks, AnotherDeviceOfTheNameGetsNoAddresses) {
  ASSERT_TRUE(world.engine->addresses().create_address({.object = "t2/v4", .local = "10.9.0.1", .remote = "10.9.0.2"}));
  const auto on = [&](int index) {
    return std::ranges::any_of(world.platform.address_list,
                               [&](const auto& address) { return address.interface_index == index; });
  };
  for (const bool at_a_start : {false, true}) {
    if (at_a_start) world.kill();
    world.platform.others_delete_link("t2");
    const int foreign = world.platform.add_interface("t2");
    if (at_a_start) {
      ASSERT_TRUE(world.start());
    }
    world.run_until_quiet();
    seconds(2);
    EXPECT_FALSE(on(foreign)) << at_a_start;
    EXPECT_FALSE(world.leak("10.9.0.2"));
    world.platform.others_delete_link("t2");
    seconds(2);
    EXPECT_TRUE(on(world.platform.links.at("t2").info.index)) << at_a_start;
  }
}

// A LAN that claims the tunnel's inner peer while the tunnel is away does not get the routes that lead there.
TEST_F(BrokenLinks, ALeaseDoesNotGetTheTunnelsRoutes) {
  ASSERT_TRUE(world.engine->addresses().create_address({.object = "t2/v4", .local = "10.9.0.1", .remote = "10.9.0.2"}));
  ASSERT_TRUE(world.add_route({"10.2.0.0/16", "10.9.0.2"}));
  const auto leads_to = [&](const std::string& device) {
    return std::ranges::any_of(world.platform.route_list, [&](const auto& route) {
      return route.destination.str() == "10.2.0.0/16" &&
             route.interface_index == world.platform.links.at(device).info.index;
    });
  };
  for (const bool at_a_start : {false, true}) {
    if (at_a_start) world.kill();
    world.platform.others_delete_link("t2");
    world.platform.add_interface("t2");
    ASSERT_TRUE(world.platform.add_address("net0", *net::Prefix::parse("10.9.0.77/24"), {}));
    if (at_a_start) {
      ASSERT_TRUE(world.start());
    }
    seconds(2);
    EXPECT_FALSE(leads_to("net0")) << at_a_start;
    world.platform.others_delete_link("t2");
    seconds(2);
    EXPECT_TRUE(leads_to("t2")) << at_a_start;
  }
}

}  // namespace
}  // namespace adit::engine
