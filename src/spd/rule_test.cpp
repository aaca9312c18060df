#include "spd/rule.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "spd/testing/samples.h"

namespace adit::spd {
namespace {

using namespace samples;
using crypto::AlgorithmTable;
using crypto::AuthAlg;
using crypto::EncrAlg;

TEST(Expand, WithoutAddressesGivesFourEntriesOutboundFirst) {
  const auto entries = expand(both_ways(gcm()));
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].direction, Direction::out);
  EXPECT_EQ(entries[0].family, net::Family::v4);
  EXPECT_EQ(entries[1].direction, Direction::out);
  EXPECT_EQ(entries[1].family, net::Family::v6);
  EXPECT_EQ(entries[2].direction, Direction::in);
  EXPECT_EQ(entries[2].family, net::Family::v4);
  EXPECT_EQ(entries[3].direction, Direction::in);
  EXPECT_EQ(entries[3].family, net::Family::v6);
}

TEST(Expand, AnAddressFixesTheFamilyAndLosesItsHostBits) {
  RuleSpec spec = both_ways(gcm());
  spec.selector.remote = prefix("2001:db8::1/64");
  const auto entries = expand(spec);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].family, net::Family::v6);
  EXPECT_EQ(entries[0].selector.remote->str(), "2001:db8::/64");
}

TEST(Expand, WithoutADirectionGivesNothing) {
  RuleSpec spec = both_ways(gcm());
  spec.inbound = spec.outbound = false;
  EXPECT_TRUE(expand(spec).empty());
}

TEST(Priority, CountsDownWithinTheClassesOfTheReference) {
  const Action ah{.verb = Verb::ipsec, .ah = Integrity{AuthAlg::hmac_sha256, {}}};
  Action both = gcm();
  both.ah = ah.ah;
  const auto one = [](uint32_t position, const Action& action) { return priority_of(position, std::span(&action, 1)); };
  EXPECT_EQ(one(0, drop()), 0x000fffffu);
  EXPECT_EQ(one(2, gcm()), 0x004ffffdu);
  EXPECT_EQ(one(0, ah), 0x002fffffu);
  EXPECT_EQ(one(0, both), 0x006fffffu);
  EXPECT_EQ(one(1, bypass()), 0x008ffffeu);
  EXPECT_GT(one(999, bypass()), one(0, both));
  EXPECT_EQ(one(0xffffffff, drop()), 0u);
}

TEST(SameEntry, LooksAtTrafficModeAndActionsOnly) {
  Rule a = expand(both_ways(gcm())).front(), b = a;
  b.index = 9;
  b.priority = 1;
  b.origin = {"other.conf", 4};
  EXPECT_TRUE(same_entry(a, b));
  EXPECT_EQ(hash_entry(a), hash_entry(b));
  b.actions = {cbc_sha512()};
  EXPECT_FALSE(same_entry(a, b));
  EXPECT_TRUE(same_traffic(a, b));
  b.selector.protocol = 6;
  EXPECT_FALSE(same_traffic(a, b));
}

TEST(ResolveAlgorithms, ClipsOpenKeyLengths) {
  const Action wish{.verb = Verb::ipsec,
                    .encr = Cipher{EncrAlg::aes_gcm16, {128, 65535}},
                    .espa = Integrity{AuthAlg::hmac_sha256, {256, 65535}}};
  const auto actions = resolve_algorithms(std::span(&wish, 1), AlgorithmTable::builtin());
  ASSERT_TRUE(actions.has_value());
  ASSERT_EQ(actions->size(), 1u);
  EXPECT_EQ(actions->front().encr->bits, (KeyBits{128, 256}));
  EXPECT_EQ(actions->front().espa->bits, (KeyBits{256, 256}));  // decision 1: stays as given
}

TEST(ResolveAlgorithms, SpellsOutAny) {
  const Action wish{
      .verb = Verb::ipsec, .encr = Cipher{EncrAlg::none, {0, 65535}}, .espa = Integrity{AuthAlg::none, {0, 65535}}};
  const auto table = AlgorithmTable::builtin();
  const auto actions = resolve_algorithms(std::span(&wish, 1), table);
  ASSERT_TRUE(actions.has_value());
  const auto of = [&](EncrAlg alg) {
    return std::ranges::count_if(*actions, [&](const Action& action) { return action.encr->alg == alg; });
  };
  EXPECT_EQ(of(EncrAlg::aes_gcm16), 1);  // combined: needs no integrity beside it
  EXPECT_GE(of(EncrAlg::aes_cbc), 5);
  EXPECT_EQ(of(EncrAlg::null), 0);  // "any" cipher does encrypt
  EXPECT_EQ(of(EncrAlg::aes_gmac), 0);
}

TEST(ResolveAlgorithms, NamesTheDiagnostic) {
  const auto table = AlgorithmTable::builtin();
  const auto diagnostic = [&](const Action& wish) {
    const auto actions = resolve_algorithms(std::span(&wish, 1), table);
    return actions ? 0 : actions.error().diagnostic;
  };
  EXPECT_EQ(diagnostic({.verb = Verb::ipsec, .ah = Integrity{AuthAlg(99), {}}}), 30);
  EXPECT_EQ(diagnostic({.verb = Verb::ipsec, .encr = Cipher{EncrAlg(99), {}}}), 31);
  EXPECT_EQ(diagnostic({.verb = Verb::ipsec, .espa = Integrity{AuthAlg(99), {}}}), 32);
  EXPECT_EQ(diagnostic({.verb = Verb::ipsec, .ah = Integrity{AuthAlg::hmac_sha256, {512, 512}}}), 33);
  EXPECT_EQ(diagnostic({.verb = Verb::ipsec, .encr = Cipher{EncrAlg::aes_cbc, {512, 65535}}}), 34);
  EXPECT_EQ(diagnostic({.verb = Verb::ipsec, .espa = Integrity{AuthAlg::hmac_sha1, {0, 80}}}), 35);
}

}  // namespace
}  // namespace adit::spd
