// The fake keeps the kernel's rules that LAB.md measured; the engine's tests stand on them.
#include "linux/platform/testing/fake_platform.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace adit::platform {
namespace {

using net::Address;
using net::Prefix;

Prefix prefix(const char* text) {
  return *Prefix::parse(text);
}
Address at(const char* text) {
  return *Address::parse(text);
}

struct Machine : ::testing::Test {
  FakePlatform fake;
  std::vector<std::unique_ptr<datapath::TunPort>> ports;
  void SetUp() override {
    fake.add_interface("eth0");
    ASSERT_TRUE(fake.add_address("eth0", prefix("192.0.2.1/24"), std::nullopt));
    ports = std::move(*fake.open_tun("t0", 1, DeviceName::fresh));
    ASSERT_TRUE(fake.set_link_up("t0", true));
    ASSERT_TRUE(fake.add_route({.destination = prefix("10.0.1.0/24"), .unreachable = true, .metric = kGuardMetric}));
    ASSERT_TRUE(fake.add_route({.destination = prefix("10.0.1.0/24"), .interface_index = tunnel()}));
  }
  int tunnel() { return fake.interface("t0")->index; }
};

TEST_F(Machine, LinkDownLosesRoutesAndTheUnreachableOneCatches) {
  EXPECT_EQ(fake.lookup_route(at("10.0.1.5"), 0)->interface_index, tunnel());
  fake.others_set_link("t0", false);
  EXPECT_EQ(fake.lookup_route(at("10.0.1.5"), 0).error().code, EHOSTUNREACH);
  fake.others_set_link("t0", true);
  EXPECT_FALSE(fake.lookup_route(at("10.0.1.5"), 0)) << "the kernel does not bring a route back";
}

TEST_F(Machine, CarrierOffKeepsRoutesAndCrashTurnsItOff) {
  ASSERT_TRUE(fake.set_carrier("t0", true));
  ports.clear();
  fake.crash();
  EXPECT_FALSE(fake.interface("t0")->carrier);
  EXPECT_TRUE(fake.interface("t0")->up);
  EXPECT_TRUE(fake.lookup_route(at("10.0.1.5"), 0));
  EXPECT_TRUE(fake.open_tun("t0", 2, DeviceName::fresh)) << "adopted";
}

TEST_F(Machine, BusyForeignAndDeletedDevices) {
  EXPECT_EQ(fake.open_tun("t0", 1, DeviceName::fresh).error().code, EBUSY);
  EXPECT_EQ(fake.open_tun("eth0", 1, DeviceName::fresh).error().code, EEXIST);
  EXPECT_TRUE(fake.delete_tun("t0", DeviceName::fresh));
  EXPECT_EQ(fake.lookup_route(at("10.0.1.5"), 0).error().code, EHOSTUNREACH);
  EXPECT_TRUE(fake.delete_tun("t0", DeviceName::fresh));
}

TEST_F(Machine, TheNthCallFailsAndDoesNothing) {
  fake.fail_call("add_route", 2, ENOBUFS, "no room");
  EXPECT_TRUE(fake.add_route({.destination = prefix("10.0.2.0/24"), .interface_index = tunnel()}));
  const auto failed = fake.add_route({.destination = prefix("10.0.3.0/24"), .interface_index = tunnel()});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ENOBUFS);
  EXPECT_EQ(failed.error().text, "no room");
  EXPECT_FALSE(fake.lookup_route(at("10.0.3.1"), 0));
  EXPECT_EQ(fake.journal.back(), "add_route 10.0.3.0/24 t0 !");
  EXPECT_TRUE(fake.add_route({.destination = prefix("10.0.3.0/24"), .interface_index = tunnel()}));
}

TEST_F(Machine, TheGuardsTableComesFirstAndThrowsPeersBack) {
  ASSERT_TRUE(fake.add_route({.destination = prefix("0.0.0.0/0"), .gateway = at("192.0.2.254"), .metric = 5}));
  ASSERT_TRUE(fake.add_route({.destination = prefix("0.0.0.0/0"), .interface_index = tunnel(), .table = kGuardTable}));
  GuardPlan plan;
  plan.closed[prefix("198.51.100.0/24")] = {};
  plan.peers = {at("8.8.8.8")};
  ASSERT_TRUE(fake.replace_guard(plan));
  EXPECT_EQ(fake.lookup_route(at("8.8.4.4"), 0)->interface_index, tunnel());
  EXPECT_EQ(fake.lookup_route(at("8.8.8.8"), 0)->gateway, at("192.0.2.254"));
  EXPECT_FALSE(fake.lookup_route(at("198.51.100.7"), 0));
  fake.others_remove_rule();
  EXPECT_EQ(fake.lookup_route(at("8.8.4.4"), 0)->gateway, at("192.0.2.254"));
}

TEST_F(Machine, ChangesAreReportedAndTheDescriptorWakes) {
  (void)fake.poll_changes();
  pollfd wait{*fake.change_fd(), POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 0), 0);
  ASSERT_TRUE(fake.apply_firewall({}));
  fake.others_flush_nftables();
  EXPECT_EQ(poll(&wait, 1, 0), 1);
  const auto seen = fake.poll_changes();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].what, Change::What::nftables);
  EXPECT_EQ(fake.firewall_stands(), false);
}

TEST_F(Machine, ARebootLeavesTheEthernets) {
  fake.reboot();
  EXPECT_TRUE(fake.interface("eth0"));
  EXPECT_FALSE(fake.interface("t0"));
  EXPECT_FALSE(fake.lookup_route(at("10.0.1.5"), 0));
}

}  // namespace
}  // namespace adit::platform
