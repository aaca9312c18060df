// Facts of the host that arrive late, leave, come back and move while the daemon runs (ARCHITECTURE.md has the table).
#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

class HostFacts : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(world.start());
    ASSERT_TRUE(world.create("t0", true));
    ASSERT_TRUE(
        world.load_policy("{ tunnel t0 negotiate tunnel raddr 10.0.1.0/24 } ipsec { encr_algs aes-gcm sa shared }\n"));
    world.run_until_quiet();
    ASSERT_TRUE(world.carrier("t0"));
  }
  uint32_t mtu() { return world.engine->links().show_link("t0")->front().mtu; }
  void restart_without_address() {
    world.kill();
    (void)world.platform.remove_address("net0", prefix_of("1.2.3.4/24"), {});
    ASSERT_TRUE(world.start());
  }
  void give(const char* device, const char* address) {
    (void)world.platform.add_address(device, prefix_of(address), {});
    world.run_until_quiet();
  }
  void take(const char* device, const char* address) {
    world.platform.others_remove_address(device, prefix_of(address));
    world.run_until_quiet();
  }
  EngineWorld world;
};

TEST_F(HostFacts, TheOuterAddressComesLateLeavesComesBackAndMoves) {
  restart_without_address();
  EXPECT_FALSE(world.carrier("t0"));
  EXPECT_FALSE(world.leak("10.0.1.9"));
  for (const char* device : {"net0", "net0", "net1"}) {  // late, back again, moved
    give(device, "1.2.3.4/24");
    EXPECT_TRUE(world.carrier("t0")) << device;
    take(device, "1.2.3.4/24");
    EXPECT_FALSE(world.carrier("t0")) << device;
    EXPECT_FALSE(world.leak("10.0.1.9"));
  }
}

TEST_F(HostFacts, TheMtuOfTheUnderlayFollowsItsInterfaceAndItsRoute) {
  EXPECT_EQ(mtu(), 1402u);
  auto& net0 = world.platform.links.at("net0").info;
  for (const uint32_t size : {9000u, 1400u, 1500u}) {
    net0.mtu = size;
    world.platform.others_set_link("net1", false);  // the kernel says that a link changed
    world.platform.others_set_link("net1", true);
    world.run_until_quiet();
    EXPECT_EQ(mtu(), size - 98) << size;
  }
  const int large = world.platform.add_interface("net2");
  world.platform.links.at("net2").info.mtu = 9000;
  world.run_until_quiet();
  auto route = world.foreign_route("5.6.7.0/24");
  route.interface_index = large;
  world.platform.others_add_route(route);  // the way to the peer moves
  world.run_until_quiet();
  EXPECT_EQ(mtu(), 9000u - 98);
  world.platform.others_remove_route(route);
  world.run_until_quiet();
  EXPECT_EQ(mtu(), 1402u);
}

TEST_F(HostFacts, KeysServeWhateverAddressesCome) {
  restart_without_address();
  world.write("/etc/inet/secret/ipseckeys",
              "add esp spi 0x1002 src 5.6.7.8 dst 1.2.3.4 encr_alg aes-gcm encrkey "
              "0123456789abcdef0123456789abcdef01234567\n");
  ASSERT_TRUE(world.engine->keys().load_file());
  const sad::SaName name{sad::SaType::esp, sad::Spi{0x1002}, address_of("1.2.3.4")};
  const auto shown = [&] { return (*world.engine->keys().keys().get(name, {}))->shown_inbound; };
  EXPECT_FALSE(shown());
  for (const char* device : {"net0", "net0", "net1"}) {
    give(device, "1.2.3.4/24");
    EXPECT_TRUE(shown()) << device;
    take(device, "1.2.3.4/24");
    EXPECT_FALSE(shown()) << device;
  }
  EXPECT_TRUE((*world.engine->keys().keys().get(name, {}))->spec.inbound) << "packets ask no address";
}

TEST_F(HostFacts, TheSubnetsOfAnInsideInterfaceFollowItsAddresses) {
  ASSERT_TRUE(world.create("t9", true, "5.6.7.99"));
  ASSERT_TRUE(world.engine->guard().close(prefix_of("0.0.0.0/0"), "t9"));
  ASSERT_TRUE(world.engine->guard().set_inside("net1", true));
  const auto inside = [&](const char* network) { return world.platform.guard->inside.contains(prefix_of(network)); };
  for (int round = 0; round < 2; ++round) {
    EXPECT_FALSE(inside("192.0.2.0/24"));
    give("net1", "192.0.2.1/24");
    EXPECT_TRUE(inside("192.0.2.0/24"));
    take("net1", "192.0.2.1/24");
  }
  EXPECT_FALSE(inside("192.0.2.0/24"));
}

}  // namespace
}  // namespace adit::engine
