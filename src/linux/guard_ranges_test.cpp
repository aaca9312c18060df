#include "linux/guard_ranges.h"

#include <gtest/gtest.h>

#include <random>

namespace adit::platform {
namespace {

using net::Address;
using net::Family;
using net::Prefix;

Prefix prefix(const std::string& text) {
  return *Prefix::parse(text);
}

std::string shown(const Firewall& firewall, Family family) {
  std::string text;
  for (const auto& range : guard_ranges(firewall, family)) {
    text += range.first.str() + "-" + range.last.str();
    for (const auto& tunnel : range.tunnels) text += " " + tunnel;
    text += "\n";
  }
  return text;
}

TEST(GuardRanges, TheMostSpecificNetworkDecides) {
  Firewall firewall;
  firewall.guarded = {{prefix("10.0.0.0/8"), {"a0"}}, {prefix("10.1.0.0/16"), {"b0"}}, {prefix("10.1.2.3/32"), {"c0"}}};
  EXPECT_EQ(shown(firewall, Family::v4),
            "10.0.0.0-10.0.255.255 a0\n"
            "10.1.0.0-10.1.2.2 b0\n"
            "10.1.2.3-10.1.2.3 c0\n"
            "10.1.2.4-10.1.255.255 b0\n"
            "10.2.0.0-10.255.255.255 a0\n");
}

TEST(GuardRanges, NetworksThatTouchStayApartAndOneNetworkMayHaveSeveralTunnels) {
  Firewall firewall;
  firewall.guarded = {
      {prefix("10.0.1.0/24"), {"b0"}}, {prefix("10.0.0.5/24"), {"a0"}}, {prefix("10.0.0.0/24"), {"c0", "a0"}}};
  EXPECT_EQ(shown(firewall, Family::v4), "10.0.0.0-10.0.0.255 a0 c0\n10.0.1.0-10.0.1.255 b0\n");
}

TEST(GuardRanges, ADefaultRouteLeavesTheHostsOwnSubnetsAndTheLinkScope) {
  Firewall firewall;
  firewall.guarded = {{prefix("0.0.0.0/0"), {"t0"}}};
  firewall.local_networks = {prefix("192.0.2.1/24")};
  EXPECT_EQ(shown(firewall, Family::v4),
            "1.0.0.0-126.255.255.255 t0\n"
            "128.0.0.0-169.253.255.255 t0\n"
            "169.255.0.0-192.0.1.255 t0\n"
            "192.0.3.0-223.255.255.255 t0\n"
            "240.0.0.0-255.255.255.254 t0\n");
  firewall.guarded = {{prefix("::/0"), {"t0"}}};
  EXPECT_EQ(shown(firewall, Family::v4), "");
  EXPECT_EQ(shown(firewall, Family::v6),
            "::2-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff t0\nfec0::-feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff t0\n");
}

TEST(GuardRanges, ALocalSubnetOpensNothingInAnEqualOrNarrowerProtectedNetwork) {
  Firewall firewall;
  firewall.guarded = {{prefix("10.0.1.0/24"), {"t0"}}, {prefix("10.0.2.128/25"), {"t0"}}};
  firewall.local_networks = {prefix("10.0.1.0/24"), prefix("10.0.2.0/24")};
  EXPECT_EQ(shown(firewall, Family::v4), "10.0.1.0-10.0.1.255 t0\n10.0.2.128-10.0.2.255 t0\n");
}

TEST(GuardRanges, TheLastAddressThereIsBelongsToItsNetwork) {
  Firewall firewall;
  firewall.guarded = {{prefix("ff00::/8"), {"a0"}},
                      {prefix("::/0"), {"b0"}},
                      {prefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"), {"c0"}}};
  const auto ranges = guard_ranges(firewall, Family::v6);
  ASSERT_EQ(ranges.size(), 4u);
  EXPECT_EQ(ranges[2].tunnels[0], "a0");
  EXPECT_EQ(ranges[3].first, ranges[3].last);
  EXPECT_EQ(ranges[3].tunnels[0], "c0");
}

// Against the plain definition, address by address.
TEST(GuardRanges, AgreeWithLongestPrefixMatchOnRandomNetworks) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Firewall firewall;
    const auto some = [&] {
      return Prefix(Address::v4(0x0a000000 | (random() & 0xff)), static_cast<uint8_t>(24 + random() % 9)).masked();
    };
    for (int i = 0; i < 6; ++i) firewall.guarded.push_back({some(), {"t" + std::to_string(random() % 4)}});
    for (int i = 0; i < 2; ++i) firewall.local_networks.push_back(some());
    const auto ranges = guard_ranges(firewall, Family::v4);
    for (size_t i = 1; i < ranges.size(); ++i) ASSERT_LT(ranges[i - 1].last, ranges[i].first);
    for (uint32_t low = 0; low < 256; ++low) {
      const Address address = Address::v4(0x0a000000 | low);
      int best = -1, best_local = -1;
      for (const auto& one : firewall.guarded)
        if (one.network.contains(address)) best = std::max<int>(best, one.network.length());
      for (const auto& one : firewall.local_networks)
        if (one.contains(address)) best_local = std::max<int>(best_local, one.length());
      const GuardRange* found = nullptr;
      for (const auto& range : ranges)
        if (range.first <= address && address <= range.last) found = &range;
      ASSERT_EQ(found != nullptr, best >= 0 && best >= best_local) << address.str();
      if (found) {
        ASSERT_EQ(found->network.length(), best);
      }
    }
  }
}

}  // namespace
}  // namespace adit::platform
