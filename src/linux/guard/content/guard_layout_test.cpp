#include "linux/guard/content/guard_layout.h"

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

std::string shown(const GuardLayout& layout) {
  std::string text;
  for (const auto& one : layout.keys())
    text += one.key.str() + (one.closed ? " closed by " : " inside ") + one.network.str() + "\n";
  return text;
}

TEST(GuardLayout, ANetworkIsAtMostEightKeysOfALengthThatFourDivides) {
  EXPECT_EQ(shown(closing({"10.0.0.0/8", "10.1.2.3/32"})),
            "10.0.0.0/8 closed by 10.0.0.0/8\n10.1.2.3/32 closed by 10.1.2.3/32\n");
  EXPECT_EQ(shown(closing({"10.0.2.0/23"})), "10.0.2.0/24 closed by 10.0.2.0/23\n10.0.3.0/24 closed by 10.0.2.0/23\n");
  EXPECT_EQ(closing({"0.0.0.0/1"}).keys().size(), 8u);
  EXPECT_EQ(shown(closing({"0.0.0.0/0", "::/0"})), "0.0.0.0/0 closed by 0.0.0.0/0\n::/0 closed by ::/0\n");
  EXPECT_EQ(shown(closing({"2001:db8::/126"})),
            "2001:db8::/128 closed by 2001:db8::/126\n2001:db8::1/128 closed by 2001:db8::/126\n"
            "2001:db8::2/128 closed by 2001:db8::/126\n2001:db8::3/128 closed by 2001:db8::/126\n");
}

TEST(GuardLayout, OfNetworksWithTheSameKeyTheMostSpecificDecides) {
  GuardLayout layout = closing({"10.0.2.0/23", "10.0.3.0/24"});
  EXPECT_EQ(shown(layout), "10.0.2.0/24 closed by 10.0.2.0/23\n10.0.3.0/24 closed by 10.0.3.0/24\n");
  LayoutStep step;
  layout.open(prefix("10.0.3.0/24"), step);
  EXPECT_EQ(shown(layout), "10.0.2.0/24 closed by 10.0.2.0/23\n10.0.3.0/24 closed by 10.0.2.0/23\n");
}

TEST(GuardLayout, WhatIsInsideHasKeysOnlyInAClosedNetworkAndNeverWinsOverAClosedOneOfItsLength) {
  GuardLayout layout;
  LayoutStep step;
  layout.add_inside(prefix("10.0.1.0/24"), step);
  EXPECT_EQ(shown(layout), "");
  layout.close(prefix("10.0.0.0/8"), step);
  EXPECT_EQ(shown(layout), "10.0.0.0/8 closed by 10.0.0.0/8\n10.0.1.0/24 inside 10.0.1.0/24\n");
  layout.close(prefix("10.0.1.0/24"), step);
  EXPECT_EQ(shown(layout), "10.0.0.0/8 closed by 10.0.0.0/8\n10.0.1.0/24 closed by 10.0.1.0/24\n");
  layout.open(prefix("10.0.1.0/24"), step);
  layout.open(prefix("10.0.0.0/8"), step);
  EXPECT_EQ(shown(layout), "");
  EXPECT_TRUE(step.gone.empty() && step.come.empty()) << "a step that undoes itself is none";
}

TEST(GuardLayout, OneNetworkMoreTakesNothingAway) {
  GuardLayout layout;
  LayoutStep many, one;
  layout.close(prefix("10.0.0.0/8"), many);
  for (int i = 0; i < 10000; ++i)
    layout.close(Prefix(Address::v4(0x0a000000 | static_cast<uint32_t>(i) << 10), 24), many);
  layout.close(prefix("10.200.0.0/24"), one);
  EXPECT_EQ(one.gone.size(), 0u);
  EXPECT_EQ(one.come.size(), 1u);
}

TEST(GuardLayout, OnlyNetworksAroundWhatNeverLeavesALinkAreMarkedSo) {
  for (const char* around : {"0.0.0.0/0", "0.0.0.0/1", "224.0.0.0/4", "::/0", "fe00::/8", "ff00::/8"})
    EXPECT_TRUE(covers_link_network(prefix(around))) << around;
  for (const char* beside : {"10.0.0.0/8", "127.0.0.0/8", "224.0.0.0/24", "239.0.0.0/8", "fe80::/10", "2000::/3"})
    EXPECT_FALSE(covers_link_network(prefix(beside))) << beside;
}

Address numbered(Family family, uint8_t low) {
  if (family == Family::v4) return Address::v4(0x0a000000 | low);
  std::array<uint8_t, 16> bytes{0x20, 0x01, 0x0d, 0xb8};
  bytes[15] = low;
  return Address::from_v6(bytes.data());
}

std::optional<Prefix> longest(const std::set<Prefix>& networks, const Address& address) {
  std::optional<Prefix> best;
  for (const auto& one : networks)
    if (one.contains(address) && (!best || one.length() > best->length())) best = one;
  return best;
}

// By which network an address is closed, as the definition says, and as the look-ups of a packet find it.
std::optional<Prefix> by_definition(const std::set<Prefix>& closed, const std::set<Prefix>& inside,
                                    const Address& address) {
  const auto best = longest(closed, address), out = longest(inside, address);
  return best && out && out->length() > best->length() ? std::nullopt : best;
}
std::optional<Prefix> by_keys(const std::set<LaidKey>& keys, const Address& address) {
  const LaidKey* best = nullptr;
  for (const auto& one : keys)
    if (one.key.contains(address) && (!best || one.key.length() > best->key.length())) best = &one;
  return best && best->closed ? std::optional(best->network) : std::nullopt;
}

TEST(GuardLayout, StepsOfAnyOrderLeadToWhatTheDefinitionSays) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    const Family family = round % 2 == 0 ? Family::v4 : Family::v6;
    GuardLayout layout;
    std::set<Prefix> closed, inside;
    std::set<LaidKey> standing;
    for (int act = 0; act < 60; ++act) {
      const auto some = [&] {
        const int longest_length = net::address_bits(family);
        const auto length = static_cast<uint8_t>(longest_length - static_cast<int>(random() % 9));
        return Prefix(numbered(family, static_cast<uint8_t>(random())), length).masked();
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
      for (const auto& key : step.gone) ASSERT_EQ(standing.erase(key), 1u) << key.key.str();
      for (const auto& key : step.come) ASSERT_TRUE(standing.insert(key).second) << key.key.str();
      ASSERT_EQ(standing, layout.keys());
      for (unsigned low = 0; low < 256; ++low) {
        const Address address = numbered(family, static_cast<uint8_t>(low));
        ASSERT_EQ(by_keys(standing, address), by_definition(closed, inside, address))
            << address.str() << ", round " << round << " act " << act;
      }
    }
  }
}

}  // namespace
}  // namespace adit::platform
