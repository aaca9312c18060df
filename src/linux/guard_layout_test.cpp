#include "linux/guard_layout.h"

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

GuardLayout closing(const std::vector<std::string>& networks) {
  GuardLayout layout;
  LayoutStep step;
  for (const auto& network : networks) layout.close(prefix(network), step);
  return layout;
}

std::string shown(const GuardLayout& layout, Family family) {
  std::string text;
  for (const auto& range : layout.ranges(family))
    text += range.first.str() + "-" + range.last.str() + " " + range.network.str() + "\n";
  return text;
}

TEST(GuardLayout, TheMostSpecificNetworkDecides) {
  EXPECT_EQ(shown(closing({"10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32"}), Family::v4),
            "10.0.0.0-10.0.255.255 10.0.0.0/8\n"
            "10.1.0.0-10.1.2.2 10.1.0.0/16\n"
            "10.1.2.3-10.1.2.3 10.1.2.3/32\n"
            "10.1.2.4-10.1.255.255 10.1.0.0/16\n"
            "10.2.0.0-10.255.255.255 10.0.0.0/8\n");
}

TEST(GuardLayout, ADefaultRouteClosesIpv4LinkLocalAndWiderMulticastButNothingOfTheLink) {
  EXPECT_EQ(shown(closing({"0.0.0.0/0"}), Family::v4),
            "1.0.0.0-126.255.255.255 0.0.0.0/0\n"
            "128.0.0.0-223.255.255.255 0.0.0.0/0\n"
            "224.0.1.0-255.255.255.254 0.0.0.0/0\n");
  EXPECT_EQ(shown(closing({"::/0"}), Family::v6),
            "::2-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::/0\n"
            "fec0::-ff00:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::/0\n"
            "ff03::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::/0\n");
}

TEST(GuardLayout, OfEqualLengthTheClosedNetworkWins) {
  GuardLayout layout = closing({"10.0.1.0/24"});
  LayoutStep step;
  layout.add_inside(prefix("10.0.1.0/24"), step);
  EXPECT_TRUE(step.gone.empty() && step.come.empty());
  layout.add_inside(prefix("10.0.1.128/25"), step);
  EXPECT_EQ(shown(layout, Family::v4), "10.0.1.0-10.0.1.127 10.0.1.0/24\n");
}

TEST(GuardLayout, OneNetworkMoreTouchesOnlyWhatItCuts) {
  GuardLayout layout;
  LayoutStep many, one;
  layout.close(prefix("10.0.0.0/8"), many);
  for (int i = 0; i < 10000; ++i)
    layout.close(Prefix(Address::v4(0x0a000000 | static_cast<uint32_t>(i) << 10), 24), many);
  layout.close(prefix("10.200.0.0/24"), one);
  EXPECT_EQ(one.gone.size(), 1u);
  EXPECT_EQ(one.come.size(), 3u);
  layout.open(prefix("10.200.0.0/24"), one);
  EXPECT_TRUE(one.gone.empty() && one.come.empty()) << "a step that undoes itself is none";
}

TEST(GuardLayout, TheLastAddressThereIsBelongsToItsNetwork) {
  EXPECT_EQ(shown(closing({"ff00::/8", "8000::/1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"}), Family::v6),
            "8000::-fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff 8000::/1\n"
            "fec0::-feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 8000::/1\n"
            "ff00::-ff00:ffff:ffff:ffff:ffff:ffff:ffff:ffff ff00::/8\n"
            "ff03::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe ff00::/8\n"
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128\n");
  EXPECT_FALSE(address_behind(*Address::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
  EXPECT_FALSE(address_behind(*Address::parse("255.255.255.255")));
}

// What the plain definition says of a whole set of networks, by another way than the steps go.
std::vector<ClosedRange> by_definition(const std::set<Prefix>& closed, const std::set<Prefix>& inside, Family family,
                                       uint32_t base) {
  std::vector<ClosedRange> ranges;
  for (uint32_t low = 0; low < 256; ++low) {
    Address address = Address::v4(base | low);
    if (family == Family::v6) {
      std::array<uint8_t, 16> bytes{0x20, 0x01, 0x0d, 0xb8};
      bytes[15] = static_cast<uint8_t>(low);
      address = Address::from_v6(bytes.data());
    }
    std::optional<Prefix> best, best_inside;
    for (const auto& one : closed)
      if (one.contains(address) && (!best || one.length() > best->length())) best = one;
    for (const auto& one : inside)
      if (one.contains(address) && (!best_inside || one.length() > best_inside->length())) best_inside = one;
    if (!best || (best_inside && best_inside->length() > best->length())) continue;
    const bool joins =
        !ranges.empty() && ranges.back().network == *best && address_behind(ranges.back().last) == address;
    if (joins)
      ranges.back().last = address;
    else
      ranges.push_back({address, address, *best});
  }
  return ranges;
}

TEST(GuardLayout, StepsOfAnyOrderLeadToWhatTheDefinitionSays) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    const Family family = round % 2 == 0 ? Family::v4 : Family::v6;
    GuardLayout layout;
    std::set<Prefix> closed, inside;
    std::set<ClosedRange> standing;
    for (int act = 0; act < 60; ++act) {
      const auto some = [&] {
        std::array<uint8_t, 16> bytes{0x20, 0x01, 0x0d, 0xb8};
        bytes[15] = static_cast<uint8_t>(random());
        const auto length = static_cast<uint8_t>(24 + random() % 9);
        return family == Family::v4
                   ? Prefix(Address::v4(0x0a000000 | bytes[15]), length).masked()
                   : Prefix(Address::from_v6(bytes.data()), static_cast<uint8_t>(length + 96)).masked();
      };
      LayoutStep step;
      for (unsigned i = 0; i <= random() % 3; ++i) {
        const Prefix network = some();
        switch (random() % 5) {
          case 0:
          case 1:
            layout.close(network, step), closed.insert(network);
            break;
          case 2:
            layout.open(network, step), closed.erase(network);
            break;
          case 3:
            layout.add_inside(network, step), inside.insert(network);
            break;
          default:
            layout.remove_inside(network, step), inside.erase(network);
        }
      }
      for (const auto& range : step.gone) ASSERT_EQ(standing.erase(range), 1u) << range.first.str();
      for (const auto& range : step.come) ASSERT_TRUE(standing.insert(range).second) << range.first.str();
      const auto ranges = layout.ranges(family);
      ASSERT_EQ(std::vector(standing.begin(), standing.end()), ranges);
      ASSERT_EQ(ranges, by_definition(closed, inside, family, 0x0a000000)) << "round " << round << " act " << act;
    }
  }
}

}  // namespace
}  // namespace adit::platform
