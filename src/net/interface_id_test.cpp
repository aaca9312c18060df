#include "net/interface_id.h"

#include <gtest/gtest.h>

namespace adit::net {
namespace {

Address address(const char* text) {
  return *Address::parse(text);
}

TEST(InterfaceId, LinkLocalOfAnIpv4Tunnel) {
  EXPECT_EQ(link_local(interface_id(address("1.2.3.4"))).str(), "fe80::102:304");
  EXPECT_EQ(link_local(interface_id(address("5.6.7.8"))).str(), "fe80::506:708");
}

TEST(InterfaceId, LinkLocalOfAnIpv6TunnelHasTheLowHalf) {
  EXPECT_EQ(link_local(interface_id(address("2001:db8::a:b:c:d"))).str(), "fe80::a:b:c:d");
}

}  // namespace
}  // namespace adit::net
