#include "spd/rule_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spd/database.h"
#include "spd/testing/samples.h"

namespace adit::spd {
namespace {

using namespace samples;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Entry number `position` of a file, about one host: out and in.
std::vector<Rule> entry(uint32_t position, uint32_t host, Action action = gcm()) {
  RuleSpec spec =
      both_ways(std::move(action), Mode::tunnel, {.remote = net::Prefix::host(net::Address::v4(0x0a000000 | host))});
  spec.priority = priority_of(position, spec.actions);
  spec.origin = {"f.conf", position + 1};
  return expand(spec);
}

std::vector<Rule> file(const std::vector<uint32_t>& hosts) {
  std::vector<Rule> rules;
  for (uint32_t position = 0; position < hosts.size(); ++position)
    std::ranges::move(entry(position, hosts[position]), std::back_inserter(rules));
  return rules;
}

std::vector<Rule> numbered(std::vector<Rule> rules, uint64_t first = 1) {
  for (Rule& rule : rules) rule.index = first++;
  return rules;
}

std::vector<uint32_t> hosts(const std::vector<Rule>& rules) {
  std::vector<uint32_t> list;
  for (const Rule& rule : rules)
    if (rule.direction == Direction::out) list.push_back(rule.selector.remote->address().bytes()[3]);
  return list;
}

TEST(RuleChanges, TheSameFileChangesNothing) {
  const auto change = compare_rules("t0", numbered(file({1, 2, 3}), 41), file({1, 2, 3}));
  EXPECT_FALSE(change.changes_anything());
  EXPECT_THAT(hosts(change.kept), ElementsAre(1, 2, 3));
  EXPECT_EQ(change.kept.front().index, 41u);
}

TEST(RuleChanges, ALineInFrontKeepsTheRestWithItsIndexes) {
  const auto change = compare_rules("t0", numbered(file({1, 2})), file({9, 1, 2}));
  EXPECT_THAT(hosts(change.added), ElementsAre(9));
  EXPECT_THAT(change.removed, IsEmpty());
  EXPECT_THAT(hosts(change.kept), ElementsAre(1, 2));
  EXPECT_TRUE(change.renewed) << "their priorities and lines are others";
  EXPECT_EQ(change.kept[0].index, 1u);
  EXPECT_EQ(change.kept[0].origin.line, 2u);
}

TEST(RuleChanges, WhatMovedIsRemovedAndAdded) {
  const auto change = compare_rules("t0", numbered(file({1, 2, 3, 4})), file({4, 1, 2, 3}));
  EXPECT_THAT(hosts(change.added), ElementsAre(4));
  EXPECT_THAT(hosts(change.removed), ElementsAre(4));
  EXPECT_THAT(hosts(change.kept), ElementsAre(1, 2, 3));
}

TEST(RuleChanges, AnotherActionIsAnotherRule) {
  const auto change = compare_rules("t0", numbered(entry(0, 1)), entry(0, 1, cbc_sha512()));
  EXPECT_EQ(change.added.size(), 2u);
  EXPECT_EQ(change.removed.size(), 2u);
  EXPECT_THAT(change.kept, IsEmpty());
}

TEST(RuleChanges, WhatIsNewComesAsWrittenWhateverItsClass) {
  auto wanted = entry(0, 1);
  std::ranges::move(entry(1, 2, bypass()), std::back_inserter(wanted));
  EXPECT_THAT(hosts(compare_rules("t0", {}, wanted).added), ElementsAre(1, 2)) << "indexes count in that order";
}

TEST(RuleChanges, ClassesMayTradePlacesBecauseNothingElseDecidesThen) {
  auto before = entry(0, 1), wanted = entry(0, 2, bypass());
  std::ranges::move(entry(1, 2, bypass()), std::back_inserter(before));
  std::ranges::move(entry(1, 1), std::back_inserter(wanted));
  EXPECT_FALSE(compare_rules("t0", numbered(before), wanted).changes_rules());
}

TEST(RuleChanges, FromNothingAndToNothing) {
  EXPECT_EQ(compare_rules("t0", {}, file({1})).added.size(), 2u);
  EXPECT_EQ(compare_rules("t0", numbered(file({1})), {}).removed.size(), 2u);
  EXPECT_FALSE(compare_rules("t0", {}, {}).changes_anything());
}

TEST(RuleChanges, EveryOrderOfFiveRulesIsReachedAndWhatIsKeptKeepsItsIndex) {
  const std::vector<uint32_t> order{1, 2, 3, 4, 5};
  std::vector<uint32_t> wanted = order;
  while (std::ranges::next_permutation(wanted).found) {
    const auto before = numbered(file(order));
    const auto change = compare_rules("t0", before, file(wanted));
    EXPECT_TRUE(change.changes_rules());
    EXPECT_EQ(change.added.size(), change.removed.size());
    EXPECT_EQ(change.kept.size() + change.added.size(), 10u);
    EXPECT_TRUE(std::ranges::is_sorted(change.kept, {}, &Rule::index));
    for (const Rule& rule : change.kept)
      EXPECT_TRUE(std::ranges::any_of(
          before, [&](const Rule& old) { return old.index == rule.index && same_entry(old, rule); }));
  }
}

// ---- and the draft that is made of it

struct Changed : ::testing::Test {
  HeadChange change(const std::string& head, std::vector<Rule> wanted) {
    Draft now = db.empty_draft("");
    db.clone_all(now);
    return compare_rules(head, now.rules(head), std::move(wanted));
  }
  std::vector<uint64_t> indexes(const std::string& head) {
    std::vector<uint64_t> list;
    if (const auto found = db.current()->find(head))
      for (const Rule& rule : found->rules()) list.push_back(rule.index);
    return list;
  }
  Database db{{.rules_of_namespace = 8}};
};

TEST_F(Changed, ADraftKeepsIndexesAndNumbersWhatIsNew) {
  ASSERT_TRUE(db.add({}, "t0", file({1, 2})).has_value());
  ASSERT_TRUE(db.add({}, "t1", file({1})).has_value());
  const auto untouched = db.current()->find("t1");
  auto draft = db.changed_draft("", {change("t0", file({2, 3})), change("t1", file({1}))});
  ASSERT_TRUE(draft.has_value());
  EXPECT_EQ(db.size(), 6u) << "a draft touches nothing in force";
  ASSERT_TRUE(db.flip_all(*draft).has_value());
  EXPECT_EQ(db.current()->find("t1"), untouched);
  EXPECT_THAT(indexes("t0"), ElementsAre(3, 4, 5, 6));
  EXPECT_EQ(db.current()->find("t0")->rules()[0].priority, 0x000fffffu | 0x00400000u);
  EXPECT_TRUE(db.flip_all(*draft).has_value()) << "and back";
  EXPECT_THAT(indexes("t0"), ElementsAre(1, 2, 3, 4));
}

TEST_F(Changed, ToNothingTheDraftLacksTheHead) {
  ASSERT_TRUE(db.add({}, "t0", file({1})).has_value());
  EXPECT_FALSE(db.changed_draft("", {change("t0", {})})->has_head("t0"));
}

TEST_F(Changed, ARehearsalTellsWhatAFlipWouldAndLeavesNoTrace) {
  ASSERT_TRUE(db.add({}, "t0", file({1})).has_value());
  const uint64_t generation = db.generation();
  EXPECT_TRUE(db.rehearse("", {change("t0", file({1, 2})), change("t9", file({1}))}).has_value());
  EXPECT_FALSE(db.knows_head("t9"));
  EXPECT_EQ(db.generation(), generation);
  auto draft = db.changed_draft("", {change("t0", file({1, 2}))});
  ASSERT_TRUE(db.flip_all(*draft).has_value());
  EXPECT_THAT(indexes("t0"), ElementsAre(1, 2, 3, 4)) << "as if nobody had asked";

  EXPECT_EQ(db.rehearse("", {change("t0", file({1, 2, 3, 4, 5}))}).error().code, EDQUOT);
  ASSERT_TRUE(db.add({.name_space = "svc:/a"}, "t1", file({7})).has_value());
  const auto refused = db.rehearse("", {change("t1", file({7}))});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, EPERM);
  EXPECT_NE(refused.error().text.find("the rule of f.conf:1 would decide"), std::string::npos) << refused.error().text;
}

}  // namespace
}  // namespace adit::spd
