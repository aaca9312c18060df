#include "linux/guard/content/guard_content.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <ranges>

namespace adit::platform {
namespace {

using net::Address;
using net::Family;
using net::Prefix;

Prefix prefix(const std::string& text) {
  return *Prefix::parse(text);
}

GuardPlan closing(const std::map<std::string, std::vector<int>>& networks) {
  GuardPlan plan;
  plan.book = "/somewhere";
  for (const auto& [network, devices] : networks) plan.closed[prefix(network)] = devices;
  return plan;
}

// What stands in the kernel's sets, and whether the rules let a packet pass: as guard_chains.cpp writes them.
class Sets {
 public:
  Sets(const GuardElements& elements, GuardLengths lengths) : lengths_(std::move(lengths)) { put(elements); }

  void put(const GuardElements& elements) {
    for (const auto& [set, those] : elements)
      for (const auto& one : those)
        EXPECT_TRUE(sets_[set].emplace(one.key, one.data).second) << set << " has it already";
  }
  void take(const GuardElements& elements) {
    for (const auto& [set, those] : elements)
      for (const auto& one : those) EXPECT_EQ(sets_[set].erase(one.key), 1u) << set << " has it not";
  }
  // As a table grows: sets of lengths that were not in use before are empty.
  void follow(const ElementStep& step, const GuardLengths& lengths) {
    take(step.gone);
    put(step.come);
    lengths_ = lengths;
  }
  [[nodiscard]] const std::map<std::vector<uint8_t>, std::vector<uint8_t>>& of(const std::string& set) {
    return sets_[set];
  }

  bool passes(const Address& address, int device, bool carried_first) {
    const auto& lengths = lengths_[address.is_v4() ? 0 : 1];
    if (lengths.empty()) return true;
    const Family family = address.family();
    const uint8_t length = near_length(family, lengths);
    const bool carried = has(sole_set_name(family, length), address, length, device);
    if (carried_first && carried) return true;
    const bool near = has(near_set_name(family, length), address, length);
    if (near && carried) return true;
    for (const uint8_t one : std::views::reverse(lengths)) {
      if (!near && one >= length) continue;
      if (!has(hit_set_name(family, one), address, one)) continue;
      if (has(pass_set_name(family, one), address, one, device)) return true;
      const auto& numbers = sets_[net_map_name(family, one)];
      const auto at = numbers.find(key(address, one, {}));
      return at != numbers.end() && std::ranges::all_of(at->second, [](uint8_t byte) { return byte == 0; });
    }
    return true;
  }

 private:
  static std::vector<uint8_t> key(const Address& address, uint8_t length, std::optional<int> device) {
    const Address first = Prefix(address, length).masked().address();
    std::vector<uint8_t> key(first.bytes().begin(), first.bytes().end());
    if (!device) return key;
    const auto* own = reinterpret_cast<const uint8_t*>(&*device);
    key.insert(key.end(), own, own + sizeof *device);
    return key;
  }
  bool has(const std::string& set, const Address& address, uint8_t length, std::optional<int> device = {}) {
    return sets_[set].contains(key(address, length, device));
  }

  GuardLengths lengths_;
  std::map<std::string, std::map<std::vector<uint8_t>, std::vector<uint8_t>>> sets_;
};

bool passes_by(const GuardPlan& plan, const Address& address, int device) {
  std::optional<Prefix> closed, inside;
  for (const auto& [network, devices] : plan.closed)
    if (network.contains(address) && (!closed || network.length() > closed->length())) closed = network;
  for (const auto& network : plan.inside)
    if (network.contains(address) && (!inside || network.length() > inside->length())) inside = network;
  if (!closed || (inside && inside->length() > closed->length())) return true;
  const auto& devices = plan.closed.at(*closed);
  return std::ranges::find(devices, device) != devices.end();
}

TEST(GuardContent, MostPacketsAreDecidedByOneLookUp) {
  const GuardContent content(closing({{"10.0.1.0/24", {7, 9}}, {"10.0.2.0/24", {7}}, {"10.0.2.16/28", {9}}}));
  Sets sets(content.all(), content.lengths());
  EXPECT_EQ(sets.of("near4_24").size(), 2u);
  EXPECT_EQ(sets.of("sole4_24").size(), 2u) << "10.0.2.0/24 is not all one network's";
  EXPECT_EQ(sets.of("pass4_24").size(), 3u);
  EXPECT_EQ(sets.of("pass4_28").size(), 1u);
}

TEST(GuardContent, WhatIsNearIsOfALengthThatFewShare) {
  EXPECT_EQ(near_length(Family::v4, {}), 0);
  EXPECT_EQ(near_length(Family::v4, {0}), 0);
  EXPECT_EQ(near_length(Family::v4, {0, 8}), 8);
  EXPECT_EQ(near_length(Family::v4, {0, 8, 24, 32}), 24);
  EXPECT_EQ(near_length(Family::v6, {0, 4, 48, 64, 128}), 48);
}

// Any sequence of changes: the sets that follow them step by step are those that a new start makes, and for each
// address and device they say what the most specific network says.
TEST(GuardContent, StepsLeadToWhatAStartMakesAndTheSetsSayWhatTheNetworksSay) {
  std::mt19937 random(11);
  const std::vector<std::string> tops{"10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0"};
  const auto some = [&](unsigned below) { return static_cast<unsigned>(random() % below); };
  const auto address = [&](bool v4) {
    if (v4) return Address::v4(0x0a000000 | some(2) << 16 | some(3) << 8 | some(4) << 4 | some(2));
    std::array<uint8_t, 16> all{0x20, 0x01, 0x0d, 0xb8};
    all[5] = static_cast<uint8_t>(some(3));
    all[7] = static_cast<uint8_t>(some(2) << 4 | some(2));
    all[15] = static_cast<uint8_t>(some(2));
    return Address::from_bytes(Family::v6, all.data());
  };
  const auto network = [&] {
    if (some(12) == 0) return prefix(tops[some(4)]);
    const bool v4 = some(3) != 0;
    const std::vector<uint8_t> lengths =
        v4 ? std::vector<uint8_t>{14, 16, 22, 23, 24, 25, 28, 32} : std::vector<uint8_t>{40, 48, 60, 63, 64, 128};
    return Prefix(address(v4), lengths[some(static_cast<unsigned>(lengths.size()))]).masked();
  };
  const auto devices = [&] {
    std::set<int> chosen;
    for (unsigned i = some(3); i > 0; --i) chosen.insert(7 + static_cast<int>(some(3)));
    return std::vector<int>(chosen.begin(), chosen.end());
  };
  for (int run = 0; run < 4; ++run) {
    GuardPlan plan = closing({{"10.0.1.0/24", {7}}});
    GuardContent content(plan);
    Sets sets(content.all(), content.lengths());
    int grown = 0;
    for (int i = 0; i < 40; ++i) {
      GuardChange change;
      change.generation = plan.generation + 1;
      for (unsigned n = some(3); n > 0; --n) change.close[network()] = devices();
      for (unsigned n = some(3); n > 0; --n) change.inside.insert(network());
      for (const auto& [closed, those] : plan.closed)
        if (some(8) == 0 && !change.close.contains(closed)) change.open.insert(closed);
      for (const auto& inside : plan.inside)
        if (some(6) == 0 && !change.inside.contains(inside)) change.not_inside.insert(inside);
      const GuardLengths before = content.lengths();
      const ElementStep step = content.change(change);
      advance(plan, change);
      sets.follow(step, content.lengths());
      grown += content.lengths() != before;
      Sets whole(content.all(), content.lengths());
      for (const auto& [set, elements] : content.all()) ASSERT_EQ(sets.of(set), whole.of(set)) << set << " " << i;
      const GuardContent fresh(plan);
      Sets again(fresh.all(), fresh.lengths());
      if (fresh.lengths() == content.lengths())
        for (const auto& [set, elements] : content.all())
          if (set.starts_with("near") || set.starts_with("sole") || set.starts_with("pass") || set.starts_with("hit")) {
            ASSERT_EQ(sets.of(set), again.of(set)) << set << " " << i;
          }
      for (int packet = 0; packet < 30; ++packet) {
        const Address to = address(some(3) != 0);
        const int device = 7 + static_cast<int>(some(3));
        for (const bool carried_first : {false, true}) {
          ASSERT_EQ(sets.passes(to, device, carried_first), passes_by(plan, to, device)) << to.str() << " " << device;
          ASSERT_EQ(again.passes(to, device, carried_first), passes_by(plan, to, device)) << to.str() << " " << device;
        }
      }
    }
    EXPECT_GT(grown, 2);
  }
}

}  // namespace
}  // namespace adit::platform
