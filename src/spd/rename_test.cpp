// A tunnel's rules under another name.
#include <gtest/gtest.h>

#include <set>

#include "spd/database.h"
#include "spd/testing/samples.h"

namespace adit::spd {
namespace {

using namespace samples;

const Owner kGlobal{};
const Owner kVpn{.name_space = "svc:/site/vpn:default"};

std::vector<Rule> entries(uint32_t host) {
  return expand(both_ways(gcm(), Mode::tunnel, {.remote = net::Prefix::host(net::Address::v4(0x0a000000 | host))}));
}
size_t rules(Database& database, std::string_view head) {
  const auto found = database.current()->find(head);
  return found ? found->rules().size() : 0;
}

TEST(RenameHead, TheRulesOfEveryNamespaceMoveInOneChange) {
  Database db;
  db.pin_head("a0");
  ASSERT_TRUE(db.add(kGlobal, "a0", entries(1)).has_value());
  ASSERT_TRUE(db.add(kVpn, "a0", entries(2)).has_value());
  const auto before = db.current();
  ASSERT_TRUE(db.rename_head("a0", "b0").has_value());
  EXPECT_EQ(before->find("a0")->rules().size(), 4u) << "readers keep what they have";
  EXPECT_EQ(rules(db, "a0"), 0u);
  EXPECT_EQ(rules(db, "b0"), 4u);
  EXPECT_FALSE(db.knows_head("a0"));
  EXPECT_EQ(db.size(), 4u);
  EXPECT_EQ(db.size_of(kVpn.name_space), 2u);
  EXPECT_EQ(db.current()->find("b0")->rules().front().index, 1u) << "listings still find them";
  EXPECT_TRUE(db.add(kGlobal, "b0", entries(3)).has_value());
  EXPECT_EQ(db.current()->find("b0")->rules().back().index, 6u) << "and no number comes twice";
}

TEST(RenameHead, WhatANamespaceWroteForTheNewNameStays) {
  Database db;
  ASSERT_TRUE(db.add(kGlobal, "a0", entries(1)).has_value());
  ASSERT_TRUE(db.add(kVpn, "a0", entries(2)).has_value());
  ASSERT_TRUE(db.add(kGlobal, "b0", entries(9)).has_value());
  ASSERT_TRUE(db.rename_head("a0", "b0").has_value());
  EXPECT_EQ(rules(db, "b0"), 4u);
  EXPECT_EQ(db.size_of(""), 2u);
  std::set<uint64_t> indexes;
  for (const Rule& rule : db.current()->find("b0")->rules()) EXPECT_TRUE(indexes.insert(rule.index).second);
}

TEST(RenameHead, WhatCannotStandTogetherIsRefusedAndNothingMoves) {
  Database db;
  ASSERT_TRUE(db.add(kVpn, "a0", entries(1)).has_value());
  ASSERT_TRUE(db.add(kGlobal, "b0", expand(both_ways(gcm(), Mode::transport))).has_value());
  ASSERT_TRUE(db.add(kGlobal, "c0", entries(1)).has_value());
  EXPECT_EQ(db.rename_head("a0", "b0").error().code, EBUSY);
  EXPECT_EQ(db.rename_head("a0", "c0").error().code, EPERM) << "nobody decides what another's rule decides";
  EXPECT_EQ(rules(db, "a0"), 2u);
  EXPECT_TRUE(db.may_rename_head("a0", "d0").has_value());
  EXPECT_TRUE(db.rename_head("nobody", "d0").has_value());
}

TEST(RenameHead, ADraftGoesAlong) {
  Database db;
  ASSERT_TRUE(db.add(kVpn, "a0", entries(1)).has_value());
  Draft draft = db.empty_draft(kVpn.name_space);
  db.clone_all(draft);
  Database::rename_head(draft, "a0", "b0");
  Database::rename_head(draft, "nobody", "c0");
  EXPECT_FALSE(draft.has_head("a0"));
  EXPECT_EQ(draft.rules("b0").size(), 2u);
}

}  // namespace
}  // namespace adit::spd
