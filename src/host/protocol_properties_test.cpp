#include "host/protocol_properties.h"

#include <gtest/gtest.h>

#include "host/testing/fake_host.h"

namespace adit::engine {
namespace {

struct PropertiesTest : ::testing::Test {
  FakeHost host;
  FakeFirewall firewall;
  ProtocolProperties properties{host.context, firewall};

  static platform::Firewall contributed(const ProtocolProperties& from) {
    platform::Firewall result;
    from.contribute(result);
    return result;
  }
};

TEST_F(PropertiesTest, StrongGoesIntoTheFirewallAndTheFile) {
  ASSERT_TRUE(properties.set("ipv4", "hostmodel", "strong", false));
  EXPECT_EQ(firewall.applied, 1);
  EXPECT_EQ(contributed(properties).model_v4, platform::HostModel::strong);
  EXPECT_EQ(contributed(properties).model_v6, platform::HostModel::weak);
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf"), "_protocol=ipv4;hostmodel=strong;\n");
  ProtocolProperties again{host.context, firewall};
  again.restore();
  EXPECT_EQ(contributed(again).model_v4, platform::HostModel::strong);
}

TEST_F(PropertiesTest, TemporaryIsNotWrittenAndResetGoesBack) {
  const auto refused = properties.set("ipv6", "hostmodel", "src-priority", true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOTSUP);
  ASSERT_TRUE(properties.set("ipv6", "hostmodel", "strong", true));
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf"), "");
  ASSERT_TRUE(properties.set("ipv6", "hostmodel", "strong", false));
  ASSERT_TRUE(properties.reset("ipv6", "hostmodel", false));
  EXPECT_EQ(properties.list("ipv6", "hostmodel")->front().current, "weak");
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf"), "");
}

TEST_F(PropertiesTest, WhenTheFirewallRefusesNothingIsLeft) {
  firewall.refuse = Error{EIO, "nft failed"};
  EXPECT_FALSE(properties.set("ipv4", "hostmodel", "strong", false));
  EXPECT_EQ(contributed(properties).model_v4, platform::HostModel::weak);
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf"), "");
}

TEST_F(PropertiesTest, AddressesAndPropertiesShareTheFile) {
  Addresses addresses{host.context, host.links, host.guard};
  ASSERT_TRUE(properties.set("ipv4", "hostmodel", "strong", false));
  ASSERT_TRUE(addresses.create_address({.object = "v4_bob0/v4", .local = "10.0.0.1", .remote = "10.0.1.1"}));
  ASSERT_TRUE(properties.set("ipv6", "hostmodel", "strong", false));
  const std::string text = host.file("/etc/ipadm/ipadm.conf");
  EXPECT_NE(text.find("_protocol=ipv4;hostmodel=strong;"), std::string::npos);
  EXPECT_NE(text.find("_protocol=ipv6;hostmodel=strong;"), std::string::npos);
  EXPECT_NE(text.find("_ipv4addr=10.0.0.1,10.0.1.1;"), std::string::npos);
}

TEST_F(PropertiesTest, ForwardingAndTtlAreKernelSettings) {
  ASSERT_TRUE(properties.set("ipv4", "forwarding", "on", false));
  EXPECT_EQ(host.platform.sysctls.at("net/ipv4/ip_forward"), "1");
  ASSERT_TRUE(properties.set("ipv4", "ttl", "128", true));
  EXPECT_EQ(host.platform.sysctls.at("net/ipv4/ip_default_ttl"), "128");
  const ProtocolProperty row = properties.list("ipv4", "forwarding")->front();
  EXPECT_EQ(row.current + "|" + row.persistent + "|" + row.fallback + "|" + row.possible, "on|on|off|on,off");
}

TEST_F(PropertiesTest, InterfacePropertiesAreOfThatInterface) {
  host.platform.sysctls["net/ipv4/conf/net1/forwarding"] = "0";
  ASSERT_TRUE(properties.set_interface("net1", "ipv4", "forwarding", "on", false));
  EXPECT_EQ(host.platform.sysctls.at("net/ipv4/conf/net1/forwarding"), "1");
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf"), "_ifname=net1;_protocol=ipv4;forwarding=on;\n");
  EXPECT_EQ(properties.set_interface("v4_bob0", "ipv4", "mtu", "1400", false).error().code, ENOTSUP);
  EXPECT_EQ(properties.set_interface("nolink0", "ipv4", "mtu", "1400", false).error().code, ENOENT);
}

TEST_F(PropertiesTest, BadInputChangesNothing) {
  for (const auto& [protocol, property, value] : {std::tuple("ipv4", "hostmodel", "stronger"),
                                                  {"ipv5", "hostmodel", "strong"},
                                                  {"ipv4", "hostmood", "strong"},
                                                  {"ipv4", "ttl", "0"},
                                                  {"ipv4", "ttl", "256"},
                                                  {"ipv4", "ttl", "64x"},
                                                  {"ipv4", "forwarding", "1"}})
    EXPECT_FALSE(properties.set(protocol, property, value, false)) << protocol << property << value;
  EXPECT_EQ(firewall.applied, 0);
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf"), "");
}

}  // namespace
}  // namespace adit::engine
