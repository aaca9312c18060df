// The guard's tables in a kernel, without traffic: what stands, what is seen when somebody touches it.
#include "linux/guard/layers/guard_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "linux/process/testing/own_namespace.h"

namespace adit::platform {
namespace {

using net::Prefix;

Prefix prefix(const std::string& text) {
  return *Prefix::parse(text);
}

class GuardTableTest : public OwnNamespace {
 protected:
  void SetUp() override {
    OwnNamespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    table = open(GuardTable::Kind::lasting);
    owned = open(GuardTable::Kind::owned);
  }
  std::unique_ptr<GuardTable> open(GuardTable::Kind kind) {
    auto made = GuardTable::open(kind, generation);
    EXPECT_TRUE(made);
    return std::make_unique<GuardTable>(std::move(*made));
  }
  static GuardPlan plan() {
    GuardPlan plan;
    plan.book = "/somewhere";
    plan.generation = 5'000'000'000;
    plan.mark = kOuterMark;
    plan.closed = {{prefix("10.0.1.0/24"), {7, 9}},
                   {prefix("10.0.0.0/8"), {}},
                   {prefix("0.0.0.0/0"), {7}},
                   {prefix("2001:db8:1::/48"), {7}},
                   {prefix("::/0"), {}}};
    plan.inside = {prefix("192.0.2.0/24")};
    plan.flows = {{*net::Address::parse("1.2.3.4"), *net::Address::parse("5.6.7.8")},
                  {*net::Address::parse("2001:db8::1"), *net::Address::parse("2001:db8::2")}};
    return plan;
  }
  void replace(GuardTable& one, const GuardContent& content) {
    const auto done = one.replace(content, true);
    ASSERT_TRUE(done) << done.error().text;
    EXPECT_EQ(fault(one, content), "");
  }
  static std::string fault(GuardTable& one, const GuardContent& content) {
    const auto fault = one.fault(content);
    return fault ? *fault : "error: " + fault.error().text;
  }
  using Standing = std::pair<GuardShape, GuardElements>;
  static Standing standing(const GuardTable& one) {
    auto nfnetlink = Netlink::open(NETLINK_NETFILTER);
    EXPECT_TRUE(nfnetlink);
    const auto shape = read_guard_shape(*nfnetlink, one.name());
    EXPECT_TRUE(shape && *shape) << one.name();
    if (!shape || !*shape) return {};
    Standing now{**shape, {}};
    for (const auto& [set, form] : now.first.sets) {
      auto elements = read_guard_elements(*nfnetlink, one.name(), set);
      EXPECT_TRUE(elements) << set;
      if (elements) now.second[set] = std::move(*elements);
      std::ranges::sort(now.second[set]);
    }
    return now;
  }
  NftGeneration generation;
  std::unique_ptr<GuardTable> table, owned;
};

TEST_F(GuardTableTest, IsMadeFoundListedAndRemoved) {
  const GuardContent content(plan());
  replace(*table, content);
  replace(*owned, content);
  const auto found = table->found();
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->book, "/somewhere");
  EXPECT_EQ((*found)->generation, 5'000'000'000u);
  EXPECT_EQ((*found)->networks.size(), 5u);
  EXPECT_TRUE(holds("nft list ruleset | grep -q 'leave it out when saving rules'"));
  EXPECT_TRUE(holds("nft list table inet adit-guard | grep -q 'comment .10.0.1.0/24.'"));
  ASSERT_TRUE(table->remove());
  ASSERT_TRUE(owned->remove());
  ASSERT_TRUE(owned->remove());
  EXPECT_EQ(output("nft list ruleset"), "");
  const auto none = table->found();
  EXPECT_TRUE(none && !*none);
}

TEST_F(GuardTableTest, RulesSavedAsTheManualSaysLoadWhileTheGuardStands) {
  const GuardContent content(plan());
  replace(*table, content);
  replace(*owned, content);
  run("nft add table ip mine && nft add chain ip mine c");
  const std::string saved = "/tmp/adit-saved-" + std::to_string(getpid());
  run("nft list ruleset > " + saved);
  EXPECT_FALSE(holds("nft -f " + saved)) << "with the owned table in it nothing loads";
  run("nft list tables | grep -v ' adit-\\(guard\\|own\\)$' | while read -r _ family name; do nft list table $family "
      "$name; done > " +
      saved);
  run("nft flush ruleset && nft -f " + saved + " && rm " + saved);
  EXPECT_TRUE(holds("nft list chain ip mine c"));
  EXPECT_EQ(fault(*owned, content), "");
}

TEST_F(GuardTableTest, AnyTouchOfTheLastingTableIsSeen) {
  const GuardContent content(plan());
  replace(*table, content);
  const std::string forward = "$(nft -a list chain inet adit-guard forward | sed -n 's/.*goto.*handle //p' | head -1)";
  for (const std::string& touch : std::vector<std::string>{
           ("nft flush ruleset"),
           ("nft delete table inet adit-guard"),
           ("nft add table inet adit-guard '{ flags dormant; }'"),
           ("nft flush chain inet adit-guard forward"),
           "nft replace rule inet adit-guard forward handle " + forward + " accept",
           "nft delete rule inet adit-guard forward handle " + forward,
           ("nft insert rule inet adit-guard forward accept"),
           ("nft add rule inet adit-guard input accept"),
           ("nft 'flush map inet adit-guard net4_24'"),
           ("nft 'flush set inet adit-guard hit4_8'"),
           ("nft 'add element inet adit-guard net4_24 { 1.2.3.0 : 0x0 . 0x1 }'"),
           ("nft 'add element inet adit-guard hit4_24 { 1.2.3.0 }'"),
           ("nft 'delete element inet adit-guard hit4_24 { 10.0.1.0 }; add element inet adit-guard hit4_24 { 10.0.2.0 "
            "}'"),
           ("nft 'delete element inet adit-guard net4_24 { 10.0.1.0 }; "
            "add element inet adit-guard net4_24 { 10.0.1.0 : 0x0 . 0x1 }'"),
           ("nft 'delete element inet adit-guard pass4_24 { 10.0.1.0 . 9 }; "
            "add element inet adit-guard pass4_24 { 10.0.1.0 . 1 }'"),
           ("nft add element inet adit-guard pass4_24 '{ 1.2.3.0 . 1 }'"),
           ("nft 'flush set inet adit-guard near4_24'"),
           ("nft 'delete element inet adit-guard near4_24 { 10.0.1.0 }; add element inet adit-guard near4_24 { "
            "10.0.2.0 }'"),
           ("nft 'delete element inet adit-guard sole4_24 { 10.0.1.0 . 9 }; "
            "add element inet adit-guard sole4_24 { 10.0.1.0 . 1 }'"),
           ("nft add element inet adit-guard sole4_24 '{ 10.0.1.0 . 1 }'"),
           ("nft add element inet adit-guard ports '{ 53 }'"),
           ("nft 'delete element inet adit-guard ports { 500 }; add element inet adit-guard ports { 53 }'"),
           ("nft 'delete element inet adit-guard flow4 { 1.2.3.4 . 5.6.7.8 }; "
            "add element inet adit-guard flow4 { 1.2.3.4 . 5.6.7.9 }'"),
           ("nft add chain inet adit-guard other '{ type filter hook forward priority -400; policy drop; }'"),
           ("nft 'add chain inet adit-guard forward { policy drop; }'"),
       }) {
    ASSERT_TRUE(holds(touch)) << touch << output(touch + " 2>&1");
    EXPECT_NE(fault(*table, content), "") << touch;
    replace(*table, content);
  }
}

TEST_F(GuardTableTest, WhatIsAsItShouldBeIsNotTouched) {
  GuardPlan now = plan();
  GuardContent content(now);
  replace(*table, content);
  GuardChange change;  // so that numbers are not what a fresh count would give
  change.generation = now.generation + 1;
  change.open = {prefix("10.0.1.0/24")};
  change.close[prefix("10.0.0.0/24")] = {9};
  const ElementStep step = content.change(change);
  ASSERT_TRUE(table->change(step, content, true));
  advance(now, change);
  const auto everything = [] { return output("nft -a list table inet adit-guard"); };
  const std::string before = everything();
  const auto later = open(GuardTable::Kind::lasting);  // another process's
  const auto numbers = later->numbers();
  ASSERT_TRUE(numbers);
  const GuardContent again(now, *numbers);
  ASSERT_TRUE(later->replace(again, true));
  EXPECT_EQ(everything(), before);
  EXPECT_EQ(fault(*later, again), "");
  EXPECT_EQ(output("nft list tables"), "table inet adit-guard\n");
}

TEST_F(GuardTableTest, BaseChainsStayHookedWhileRulesAndElementsAreMended) {
  GuardContent content(plan());
  replace(*table, content);
  const auto chains = [] { return output("nft -a list table inet adit-guard | grep 'chain.*# handle'"); };
  const std::string before = chains();
  for (const std::string touch : {
           "nft flush chain inet adit-guard forward",
           "nft insert rule inet adit-guard forward accept",
           "nft add rule inet adit-guard out4_24 accept",
           "nft 'flush map inet adit-guard net4_24'",
           "nft add element inet adit-guard ports '{ 53 }'",
           "nft 'add chain inet adit-guard other; add rule inet adit-guard input jump other'",
           "nft 'add map inet adit-guard m { type ipv4_addr : verdict; }; add chain inet adit-guard other; "
           "add element inet adit-guard m { 1.1.1.1 : jump other }; add rule inet adit-guard input ip saddr vmap @m'",
       }) {
    run(touch);
    EXPECT_NE(fault(*table, content), "") << touch;
    replace(*table, content);
    EXPECT_EQ(chains(), before) << touch;
  }
}

TEST_F(GuardTableTest, NumbersThatMakeNoSenseAreLeftOut) {
  const GuardNumbers numbers{{prefix("10.0.1.0/24"), 5},
                             {prefix("10.0.0.0/8"), 5},                 // taken
                             {prefix("0.0.0.0/0"), 7},                  // not marked as wide
                             {prefix("2001:db8:1::/48"), 0x7fffffff}};  // the next would be marked so
  const auto given = GuardContent(plan(), numbers).numbers();
  std::set<uint32_t> different;
  for (const auto& [network, number] : given) {
    const uint32_t plain = number & ~(kWideNetwork | kAroundLink);
    different.insert(plain);
    EXPECT_EQ((number & kWideNetwork) != 0, network.length() <= 1) << network.str();
    EXPECT_LT(plain, 100u);
  }
  EXPECT_EQ(different.size(), given.size());
  EXPECT_EQ(plan().closed.size(), given.size());
}

TEST_F(GuardTableTest, NobodyElseCanTouchTheOwnedTable) {
  const GuardContent content(plan());
  replace(*owned, content);
  for (const char* touch :
       {"nft delete table inet adit-own", "nft flush table inet adit-own",
        "nft add table inet adit-own '{ flags dormant; }'", "nft insert rule inet adit-own forward accept",
        "nft add element inet adit-own pass4_24 '{ 1.2.3.0 . 1 }'", "nft flush chain inet adit-own forward"})
    EXPECT_FALSE(holds(touch)) << touch;
  EXPECT_TRUE(holds("nft flush ruleset"));
  EXPECT_EQ(fault(*owned, content), "");
  const auto second = open(GuardTable::Kind::owned)->replace(content, false);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EPERM);
  owned.reset();
  EXPECT_EQ(output("nft list ruleset"), "") << "it goes with its owner";
}

// Whoever touches the name while no guardian lives leaves a table without an owner: it is no reason not to stand.
TEST_F(GuardTableTest, AnOwnedTableThatNobodyHoldsIsTakenOver) {
  const GuardContent content(plan());
  for (const char* left : {"nft add table inet adit-own '{ flags dormant; }'",
                           "nft add table inet adit-own && nft add chain inet adit-own forward '{ type filter hook "
                           "forward priority 0; policy accept; }'"}) {
    ASSERT_TRUE(holds(left));
    replace(*owned, content);
    EXPECT_FALSE(holds("nft delete table inet adit-own")) << "it is ours";
    owned = open(GuardTable::Kind::owned);
  }
}

TEST_F(GuardTableTest, AnothersGuardIsNotReplaced) {
  replace(*table, GuardContent(plan()));
  GuardPlan other = plan();
  other.book = "/elsewhere";
  const auto done = open(GuardTable::Kind::lasting)->replace(GuardContent(other), false);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, EBUSY);
  EXPECT_NE(done.error().text.find("/somewhere"), std::string::npos);
}

TEST_F(GuardTableTest, ChangesLeadToWhatAWholeReplacementMakes) {
  GuardPlan now = plan();
  GuardContent content(now);
  replace(*table, content);
  replace(*owned, content);
  GuardChange change;
  change.generation = now.generation + 1;
  change.close = {{prefix("10.0.1.128/25"), {9}}, {prefix("10.0.1.0/24"), {9, 12}}, {prefix("8000::/1"), {9}}};
  change.open = {prefix("10.0.0.0/8"), prefix("::/0")};
  change.inside = {prefix("10.9.0.0/16")};
  change.not_inside = now.inside;
  change.flows = {{*net::Address::parse("1.2.3.4"), *net::Address::parse("5.6.7.9")}};
  change.not_flows = now.flows;
  const ElementStep step = content.change(change);
  for (auto* one : {table.get(), owned.get()}) {
    const auto done = one->change(step, content, true);
    ASSERT_TRUE(done) << done.error().text;
    EXPECT_EQ(fault(*one, content), "");
  }
  advance(now, change);
  auto sorted = content.all(), fresh = GuardContent(now).all();
  for (const auto& [set, elements] : sorted) EXPECT_EQ(elements.size(), fresh[set].size()) << set;
}

// One network after another, each of a length that none had, in any order: near ones of others come last, and first.
TEST_F(GuardTableTest, ATableGrownNetworkByNetworkIsTheTableBuiltWhole) {
  std::vector<std::string> order{"10.0.1.0/24", "2001:db8:1::/48",   "10.0.0.0/8",   "10.0.1.16/28",      "::/0",
                                 "10.0.0.0/20", "2001:db8:1:7::/64", "224.0.0.0/4",  "2001:db8::1/128",   "0.0.0.0/0",
                                 "10.0.0.0/16", "2001:db8::/32",     "10.0.1.17/32", "2001:db8:4000::/36"};
  std::mt19937 random(5);
  for (int run = 0; run < 6; ++run, std::ranges::shuffle(order, random)) {
    GuardPlan now = plan();
    now.closed = {{prefix(order.front()), {7}}};
    GuardContent content(now);
    for (auto* one : {table.get(), owned.get()}) replace(*one, content);
    int device = 7;
    for (const auto& network : order) {
      GuardChange change;
      change.generation = now.generation + 1;
      change.close[prefix(network)] = {device++, 7};
      const ElementStep step = content.change(change);
      for (auto* one : {table.get(), owned.get()}) ASSERT_TRUE(one->change(step, content, true)) << network;
      advance(now, change);
      for (auto* one : {table.get(), owned.get()}) ASSERT_EQ(fault(*one, content), "") << network << " " << run;
    }
    const Standing grown[] = {standing(*table), standing(*owned)};
    const GuardContent whole(now, content.numbers());
    for (auto* one : {table.get(), owned.get()}) {
      ASSERT_TRUE(one->remove());
      replace(*one, whole);
      EXPECT_TRUE(standing(*one) == grown[one == owned.get()]) << one->name() << " " << run;
      ASSERT_TRUE(one->remove());
    }
  }
}

TEST_F(GuardTableTest, WhileNobodyElseChangesTablesNoContentNeedsToBeRead) {
  GuardContent content(plan());
  replace(*table, content);
  auto nfnetlink = Netlink::open(NETLINK_NETFILTER);
  ASSERT_TRUE(nfnetlink);
  EXPECT_EQ(generation.undisturbed(*nfnetlink), false);
  generation.trust(*NftGeneration::now(*nfnetlink));
  replace(*owned, content);
  EXPECT_EQ(generation.undisturbed(*nfnetlink), true);
  run("nft add table ip other");
  EXPECT_EQ(generation.undisturbed(*nfnetlink), false);
}

TEST_F(GuardTableTest, OneNetworkBesideTenThousand) {
  GuardPlan many = plan();
  for (uint32_t i = 0; i < 10000; ++i) many.closed[Prefix(net::Address::v4(0x14000000 | i << 8), 24)] = {7};
  GuardContent content(many);
  auto start = std::chrono::steady_clock::now();
  const auto ms = [&] {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  replace(*table, content);
  replace(*owned, content);
  printf("replacing both, and reading them: %.0f ms\n", ms());
  start = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < 100; ++i) {
    GuardChange change;
    change.generation = many.generation + i + 1;
    change.close[Prefix(net::Address::v4(0x28000000 | i << 8), 24)] = {9};
    const ElementStep step = content.change(change);
    for (auto* one : {table.get(), owned.get()}) ASSERT_TRUE(one->change(step, content, true));
  }
  printf("one more in both: %.2f ms\n", ms() / 100);
  EXPECT_EQ(fault(*table, content), "");
  EXPECT_EQ(fault(*owned, content), "");
}

}  // namespace
}  // namespace adit::platform
