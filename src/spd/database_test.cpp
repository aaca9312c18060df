#include "spd/database.h"

#include <gtest/gtest.h>

#include <chrono>

#include "spd/testing/samples.h"

namespace adit::spd {
namespace {

using namespace samples;

const Owner kGlobal{};
const Owner kVpn{.name_space = "svc:/site/vpn:default"};

std::vector<Rule> entries(Action action = gcm(), Selector selector = {}, Mode mode = Mode::tunnel) {
  return expand(both_ways(std::move(action), mode, std::move(selector)));
}
Selector to(uint32_t host) {
  return {.remote = net::Prefix::host(net::Address::v4(0x0a000000 | host))};
}

// In front of, and behind everything that entries() makes.
std::vector<Rule> before(std::vector<Rule> rules) {
  for (Rule& rule : rules) rule.priority = UINT32_MAX;
  return rules;
}
std::vector<Rule> behind(std::vector<Rule> rules) {
  for (Rule& rule : rules) rule.priority = 1;
  return rules;
}

template <typename T>
int code(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

TEST(Database, NumbersEntriesPerHeadAndPublishesImmutableSets) {
  Database db;
  const auto before = db.current();
  EXPECT_EQ(db.add(kGlobal, "mytun0", entries()).value(), 4u);
  EXPECT_EQ(db.add(kGlobal, "mytun0", entries(gcm(), to(1))).value(), 6u);
  EXPECT_EQ(db.add(kGlobal, "mytun1", entries()).value(), 4u);
  const auto after = db.current();
  EXPECT_EQ(before->find("mytun0"), nullptr);
  EXPECT_EQ(after->find("mytun0")->rules().size(), 6u);
  EXPECT_GT(after->generation, before->generation);
  EXPECT_EQ(db.current(), after);
  EXPECT_EQ(db.size(), 10u);
}

TEST(Database, IndexesGoOnAfterAFlush) {
  Database db;
  ASSERT_TRUE(db.add(kGlobal, "mytun0", entries()).has_value());
  ASSERT_TRUE(db.flush(kGlobal, "mytun0").has_value());
  EXPECT_EQ(db.current()->find("mytun0"), nullptr);
  EXPECT_EQ(db.add(kGlobal, "mytun0", entries()).value(), 8u);
  EXPECT_EQ(db.current()->find("mytun0")->rules().front().index, 5u);
}

TEST(Database, RefusesTheSameEntryAndAddsNothing) {
  Database db;
  ASSERT_TRUE(db.add(kGlobal, "mytun0", entries()).has_value());
  const auto generation = db.generation();
  EXPECT_EQ(code(db.add(kGlobal, "mytun0", entries())), EEXIST);
  EXPECT_EQ(db.size(), 4u);
  EXPECT_EQ(db.generation(), generation);
  EXPECT_TRUE(db.add(kGlobal, "mytun0", entries(cbc_sha512())).has_value());  // other actions: another entry
  EXPECT_TRUE(db.add(kVpn, "mytun0", behind(entries())).has_value());         // another owner: its own
}

TEST(Database, RefusesToMixModesAlsoAcrossNamespaces) {
  Database db;
  ASSERT_TRUE(db.add(kGlobal, "mytun0", entries()).has_value());
  EXPECT_EQ(code(db.add(kGlobal, "mytun0", entries(gcm(), {}, Mode::transport))), EBUSY);
  EXPECT_EQ(code(db.add(kVpn, "mytun0", entries(gcm(), {}, Mode::transport))), EBUSY);
  ASSERT_TRUE(db.flush(kGlobal, "mytun0").has_value());
  EXPECT_TRUE(db.add(kVpn, "mytun0", entries(gcm(), {}, Mode::transport)).has_value());
}

TEST(Database, DeletesByIndexAndByTraffic) {
  Database db;
  ASSERT_TRUE(db.add(kGlobal, "mytun0", entries()).has_value());
  EXPECT_EQ(code(db.remove(kGlobal, "nowhere0", 1)), ENOENT);
  EXPECT_EQ(code(db.remove(kGlobal, "mytun0", 99)), ESRCH);
  EXPECT_TRUE(db.remove(kGlobal, "mytun0", 2).has_value());
  EXPECT_EQ(db.current()->find("mytun0")->rules().size(), 3u);
  EXPECT_EQ(code(db.remove(kGlobal, "mytun0", 2)), ESRCH);
  EXPECT_EQ(code(db.remove(kGlobal, "mytun0", entries(gcm(), to(1)))), ESRCH);
  EXPECT_TRUE(db.remove(kGlobal, "mytun0", entries(drop())).has_value());  // by traffic, whatever the action
  EXPECT_EQ(db.current()->find("mytun0"), nullptr);
  EXPECT_EQ(db.size(), 0u);
}

TEST(Database, AnOwnersRulesAreItsOwn) {
  Database db;
  const uint64_t theirs = db.add(kVpn, "vpn0", entries()).value();
  ASSERT_TRUE(db.add(kGlobal, "vpn0", behind(entries(gcm(), to(1)))).has_value());
  const auto refused = db.remove(kGlobal, "vpn0", theirs);
  EXPECT_EQ(code(refused), EPERM);
  EXPECT_NE(refused.error().text.find(kVpn.name_space), std::string::npos);
  EXPECT_EQ(code(db.remove(kGlobal, "vpn0", entries())), EPERM);
  db.flush_all(kGlobal);
  EXPECT_EQ(db.size_of(""), 0u);
  EXPECT_EQ(db.size_of(kVpn.name_space), 4u);
  EXPECT_TRUE(db.remove({.override_others = true}, "vpn0", theirs).has_value());
  EXPECT_EQ(db.size_of(kVpn.name_space), 3u);
}

TEST(Database, NobodyOpensSomebodyElsesTunnel) {
  Database db;
  ASSERT_TRUE(db.add(kVpn, "vpn0", entries()).has_value());
  EXPECT_EQ(code(db.add(kGlobal, "vpn0", entries(bypass()))), EPERM);
  Draft draft = db.empty_draft("");
  ASSERT_TRUE(db.add(draft, "vpn0", entries(bypass())).has_value());
  EXPECT_EQ(code(db.flip_all(draft)), EPERM);
  EXPECT_EQ(db.size(), 4u);
  EXPECT_TRUE(db.flip_all(draft, false, true).has_value());
  EXPECT_TRUE(db.add(kVpn, "vpn0", entries(bypass(), to(1))).has_value());  // its owner may
}

TEST(Database, NobodyDecidesWhatAnothersRuleDecides) {
  Database db;
  ASSERT_TRUE(db.add(kVpn, "vpn0", entries(gcm(), to(1))).has_value());
  const Action null_cipher{.verb = Verb::ipsec, .espa = Integrity{crypto::AuthAlg::hmac_sha1, {160, 160}}};
  for (const Action& action : {null_cipher, gcm(), drop()}) {
    const auto refused = db.add(kGlobal, "vpn0", before(entries(action)));
    EXPECT_EQ(code(refused), EPERM);
    EXPECT_NE(refused.error().text.find(kVpn.name_space), std::string::npos);
  }
  EXPECT_TRUE(db.add(kGlobal, "vpn0", entries(null_cipher, to(2))).has_value());   // other traffic
  EXPECT_TRUE(db.add(kGlobal, "vpn0", behind(entries(null_cipher))).has_value());  // what is left over
  EXPECT_TRUE(db.add({.override_others = true}, "vpn0", before(entries(drop()))).has_value());
}

TEST(Database, WhatWasDecidedByItsOwnRuleStaysItsOwn) {
  Database db;
  ASSERT_TRUE(db.add(kGlobal, "vpn0", entries()).has_value());
  ASSERT_TRUE(db.add(kVpn, "vpn0", behind(entries(gcm(), to(1)))).has_value());
  Draft draft = db.empty_draft("");  // a refresh: all rules anew, one of them changed
  ASSERT_TRUE(db.add(draft, "vpn0", entries(cbc_sha512())).has_value());
  EXPECT_TRUE(db.flip_all(draft).has_value());
  db.flush_all(kGlobal);
  Draft late = db.empty_draft("");  // meanwhile the other's rule decides
  ASSERT_TRUE(db.add(late, "vpn0", entries(gcm())).has_value());
  EXPECT_EQ(code(db.flip_all(late)), EPERM);
  EXPECT_EQ(db.size_of(""), 0u);
}

TEST(Database, ANamespaceHasAQuotaOfItsOwn) {
  Database db;
  db.set_quota(kVpn.name_space, 4);
  ASSERT_TRUE(db.add(kVpn, "vpn0", entries()).has_value());
  const auto refused = db.add(kVpn, "vpn1", entries());
  EXPECT_EQ(code(refused), EDQUOT);
  EXPECT_NE(refused.error().text.find(kVpn.name_space), std::string::npos);
  EXPECT_TRUE(db.add(kGlobal, "vpn1", entries()).has_value());
  Draft draft = db.empty_draft(kVpn.name_space);
  ASSERT_TRUE(db.add(draft, "vpn2", entries()).has_value());
  EXPECT_EQ(code(db.add(draft, "vpn3", entries())), EDQUOT);
  EXPECT_TRUE(db.flip_all(draft).has_value());
  db.set_quota(kVpn.name_space, std::nullopt);
  EXPECT_TRUE(db.add(kVpn, "vpn3", entries()).has_value());
}

TEST(Database, RetiringKeepsWhatClosesTheHost) {
  Database db;
  ASSERT_TRUE(db.add(kVpn, "vpn0", entries()).has_value());
  ASSERT_TRUE(db.add(kVpn, "", entries(bypass(), to(1), Mode::none)).has_value());
  ASSERT_TRUE(db.add(kVpn, "", entries(drop(), to(2), Mode::none)).has_value());
  ASSERT_TRUE(db.add(kGlobal, "other0", entries()).has_value());
  EXPECT_EQ(db.host_drops(kVpn.name_space), 2u);
  db.retire(kVpn.name_space);
  EXPECT_EQ(db.size_of(kVpn.name_space), 2u);
  EXPECT_EQ(db.current()->find("vpn0"), nullptr);
  EXPECT_EQ(db.current()->find("")->rules().front().actions.front(), drop());
  EXPECT_EQ(db.size_of(""), 4u);
}

TEST(Database, DeletingATunnelDeletesItsRulesOfEveryNamespace) {
  Database db;
  db.pin_head("vpn0");
  EXPECT_TRUE(db.flush(kGlobal, "vpn0").has_value());
  ASSERT_TRUE(db.add(kVpn, "vpn0", entries()).has_value());
  ASSERT_TRUE(db.add(kGlobal, "vpn0", behind(entries(gcm(), to(1)))).has_value());
  db.remove_head("vpn0");
  EXPECT_FALSE(db.knows_head("vpn0"));
  EXPECT_EQ(db.size(), 0u);
  EXPECT_EQ(db.current()->find("vpn0"), nullptr);
}

TEST(Database, LimitsHold) {
  Database db({.rules = 6, .heads = 3, .rules_of_namespace = 5});
  ASSERT_TRUE(db.add(kGlobal, "a0", entries()).has_value());
  EXPECT_EQ(code(db.add(kGlobal, "a0", entries(gcm(), to(1)))), EDQUOT);  // the namespace's
  EXPECT_TRUE(db.add(kVpn, "a0", behind(entries(gcm(), to(1)))).has_value());
  EXPECT_EQ(code(db.add(kVpn, "a0", behind(entries(gcm(), to(2))))), EDQUOT);  // the whole
  db.pin_head("b0");
  EXPECT_EQ(code(db.add(kVpn, "c0", {})), EDQUOT);  // heads: the host, a0, b0
}

TEST(Draft, NobodySeesItBeforeTheFlipAndThenAllAtOnce) {
  Database db;
  ASSERT_TRUE(db.add(kGlobal, "a0", entries()).has_value());
  Draft draft = db.empty_draft("");
  db.clone_all(draft);
  ASSERT_TRUE(db.add(draft, "b0", entries()).has_value());
  ASSERT_TRUE(db.remove(draft, "a0", entries()).has_value());
  ASSERT_TRUE(db.add(draft, "", entries(drop(), {}, Mode::none)).has_value());
  EXPECT_EQ(db.current()->size(), 1u);
  const auto generation = db.generation();
  ASSERT_TRUE(db.flip_all(draft).has_value());
  EXPECT_EQ(db.generation(), generation + 1);
  EXPECT_EQ(db.current()->find("a0"), nullptr);
  EXPECT_EQ(db.current()->find("b0")->rules().size(), 4u);
  EXPECT_EQ(db.current()->find("")->rules().size(), 4u);
}

TEST(Draft, FlippedTwiceIsUndone) {
  Database db;
  ASSERT_TRUE(db.add(kGlobal, "a0", entries()).has_value());
  Draft draft = db.empty_draft("");
  ASSERT_TRUE(db.add(draft, "a0", entries(cbc_sha512())).has_value());
  ASSERT_TRUE(db.flip_all(draft).has_value());
  EXPECT_EQ(db.current()->find("a0")->rules().front().actions.front(), cbc_sha512());
  EXPECT_EQ(draft.rules("a0").front().actions.front(), gcm());
  ASSERT_TRUE(db.flip_all(draft).has_value());
  EXPECT_EQ(db.current()->find("a0")->rules().front().actions.front(), gcm());
  EXPECT_EQ(db.size(), 4u);
}

TEST(Draft, OutdatedIsRefusedUnlessForced) {
  Database db;
  Draft one = db.empty_draft(""), two = db.empty_draft(""), theirs = db.empty_draft(kVpn.name_space);
  ASSERT_TRUE(db.add(one, "a0", entries()).has_value());
  ASSERT_TRUE(db.add(two, "b0", entries()).has_value());
  ASSERT_TRUE(db.add(theirs, "c0", entries()).has_value());
  ASSERT_TRUE(db.flip_all(one).has_value());
  EXPECT_EQ(code(db.flip_all(two)), EAGAIN);
  EXPECT_EQ(db.current()->size(), 1u);
  EXPECT_TRUE(db.flip_all(theirs).has_value());  // another namespace did not change
  EXPECT_TRUE(db.flip_all(two, true).has_value());
  EXPECT_EQ(db.current()->find("a0"), nullptr);  // two did not have it
  EXPECT_EQ(db.size_of(kVpn.name_space), 4u);
}

TEST(Draft, EditsLeaveWhatItWasClonedFromAlone) {
  Database db;
  ASSERT_TRUE(db.add(kGlobal, "a0", entries()).has_value());
  Draft draft = db.empty_draft("");
  db.clone_all(draft);
  ASSERT_TRUE(db.add(draft, "a0", entries(gcm(), to(1))).has_value());
  ASSERT_TRUE(db.remove(kGlobal, "a0", 1).has_value());
  EXPECT_EQ(db.current()->find("a0")->rules().size(), 3u);
  EXPECT_EQ(draft.rules("a0").size(), 6u);
  const Draft copy = draft;
  ASSERT_TRUE(db.flush(draft, "a0").has_value());
  EXPECT_EQ(copy.size(), 6u);
  EXPECT_EQ(draft.size(), 0u);
}

TEST(Draft, OneHeadFlipsAlone) {
  Database db;
  Draft draft = db.empty_draft("");
  ASSERT_TRUE(db.add(draft, "a0", entries()).has_value());
  ASSERT_TRUE(db.add(draft, "b0", entries()).has_value());
  ASSERT_TRUE(db.flip(draft, "a0").has_value());
  EXPECT_EQ(db.current()->size(), 1u);
  EXPECT_TRUE(draft.has_head("b0"));
  EXPECT_EQ(code(db.flip(draft, "nowhere0")), ESRCH);
}

TEST(Draft, TenThousandRulesAreReplacedQuickly) {
  Database db;
  Draft draft = db.empty_draft("");
  for (uint32_t host = 0; host < 5000; ++host) ASSERT_TRUE(db.add(draft, "a0", entries(gcm(), to(host))).has_value());
  ASSERT_EQ(draft.size(), 10'000u);
  ASSERT_TRUE(db.flip_all(draft).has_value());
  EXPECT_EQ(db.current()->find("a0")->rules().size(), 10'000u);
  Draft next = db.empty_draft("");
  for (uint32_t host = 0; host < 5000; ++host)
    ASSERT_TRUE(db.add(next, "a0", entries(cbc_sha512(), to(host))).has_value());
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(db.flip_all(next).has_value());
  const auto set = db.current();
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(set->find("a0")->rules().size(), 10'000u);
  // The engine's reach is 50 ms in a release build (bench/micro_spd.cpp); unoptimised and sanitised builds get more.
  EXPECT_LT(std::chrono::duration_cast<std::chrono::milliseconds>(took).count(), 1000);
}

}  // namespace
}  // namespace adit::spd
