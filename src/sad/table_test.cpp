#include "sad/table.h"

#include <gtest/gtest.h>

#include <random>

#include "sad/testing/sad_fixture.h"

namespace adit::sad {
namespace {
using namespace testing;
using crypto::AuthAlg;
using crypto::EncrAlg;

class TableTest : public ::testing::Test {
 protected:
  Sa* put(SaSpec spec) {
    auto sa = Sa::make(std::move(spec));
    EXPECT_TRUE(sa) << sa.error().text;
    (*sa)->age = ++age_;
    auto next = table_->with(*sa);
    EXPECT_TRUE(next) << next.error().text;
    table_ = *next;
    return sa->get();
  }
  Table::Bundle select(const spd::Rule& rule, const net::Flow& flow = flow_of("10.0.0.2", "10.0.1.2")) const {
    return table_->select(rule, kOuter, flow);
  }

  std::shared_ptr<const Table> table_ = std::make_shared<const Table>();
  uint64_t age_ = 0;
  const spd::Rule cbc_ = rule_of({action_of(EncrAlg::aes_cbc, AuthAlg::hmac_sha256)});
};

TEST_F(TableTest, FindsBySpiTypeAndDestination) {
  Sa* sa = put(esp(0x2001));
  Sa* other = put(ah(0x2001));
  EXPECT_EQ(table_->find(Spi{0x2001}, SaType::esp, address("5.6.7.8")), sa);
  EXPECT_EQ(table_->find(Spi{0x2001}, SaType::ah, address("5.6.7.8")), other);
  EXPECT_EQ(table_->find(Spi{0x2002}, SaType::esp, address("5.6.7.8")), nullptr);
  EXPECT_EQ(table_->find(Spi{0x2001}, SaType::esp, address("1.2.3.4")), nullptr);
}

TEST_F(TableTest, KeysOfANamespaceServeItsOwnRulesOnly) {
  const auto of = [](const char* name_space, SaSpec spec) {
    spec.name_space = name_space;
    return spec;
  };
  const auto ruled_by = [&](const char* name_space) {
    spd::Rule rule = cbc_;
    rule.name_space = name_space;
    return rule;
  };
  Sa* const global = put(esp(0x2001));
  Sa* const theirs = put(of("vpn", esp(0x2002)));  // newer: what would be taken otherwise
  EXPECT_EQ(select(ruled_by("")).esp, global);
  EXPECT_EQ(select(ruled_by("other")).esp, global);
  EXPECT_EQ(select(ruled_by("vpn")).esp, theirs);
  EXPECT_TRUE(Table::satisfies(ruled_by("vpn"), theirs, nullptr));
  EXPECT_TRUE(Table::satisfies(ruled_by("vpn"), global, nullptr));
  EXPECT_FALSE(Table::satisfies(ruled_by(""), theirs, nullptr));
  table_ = table_->without(*global);
  EXPECT_FALSE(select(ruled_by("")).found());
}

TEST_F(TableTest, ANameIsTakenOnce) {
  put(esp(0x2001));
  const auto again = table_->with(*Sa::make(esp(0x2001)));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, EEXIST);
}

TEST_F(TableTest, AChangeLeavesOlderTablesAsTheyWere) {
  Sa* first = put(esp(0x2001));
  const auto before = table_;
  put(esp(0x2002));
  table_ = table_->without(*first);
  EXPECT_EQ(before->size(), 1u);
  EXPECT_EQ(before->find(Spi{0x2001}, SaType::esp, address("5.6.7.8")), first);
  EXPECT_EQ(before->find(Spi{0x2002}, SaType::esp, address("5.6.7.8")), nullptr);
  EXPECT_EQ(table_->find(Spi{0x2001}, SaType::esp, address("5.6.7.8")), nullptr);
  EXPECT_EQ(table_->size(), 1u);
}

TEST_F(TableTest, RemovingAnotherSaOfThatNameRemovesNothing) {
  put(esp(0x2001));
  const auto stranger = *Sa::make(esp(0x2001));
  EXPECT_EQ(table_->without(*stranger)->size(), 1u);
}

TEST_F(TableTest, AnSaWithoutInnerSelectorsServesEveryRuleOfItsTunnel) {
  Sa* sa = put(esp(0x2001));
  EXPECT_EQ(select(cbc_).esp, sa);
  EXPECT_EQ(select(rule_of(cbc_.actions, "10.0.0.0/24", "10.0.1.0/24")).esp, sa);
  spd::Rule transport = cbc_;
  transport.mode = spd::Mode::transport;
  EXPECT_EQ(select(transport).esp, sa);
}

TEST_F(TableTest, AnotherTunnelsSaIsNotSelected) {
  put(esp(0x2001, "1.2.3.4", "9.9.9.9"));
  put(esp(0x2002, "1.2.3.5", "5.6.7.8"));
  put(esp(0x2003, "5.6.7.8", "1.2.3.4"));
  EXPECT_FALSE(select(cbc_).found());
}

TEST_F(TableTest, AnUnspecifiedSourceFitsAnyLocalAddress) {
  Sa* sa = put(esp(0x2001, "0.0.0.0", "5.6.7.8"));
  EXPECT_EQ(select(cbc_).esp, sa);
}

TEST_F(TableTest, InnerSelectorsCoverTheFlowOrAreTheRules) {
  Sa* wide = put(with_inner(esp(0x2001), "10.0.0.0/16", "10.0.0.0/16"));
  EXPECT_EQ(select(cbc_).esp, wide);
  EXPECT_EQ(select(cbc_, flow_of("10.1.0.2", "10.0.1.2")).esp, nullptr);
  EXPECT_EQ(select(cbc_, flow_of("2001:db8::1", "2001:db8::2")).esp, nullptr);
  Sa* exact = put(with_inner(esp(0x2002), "10.0.0.0/24", "10.0.1.0/24"));
  put(with_inner(esp(0x2003), "10.0.0.0/8", "10.0.0.0/8"));  // newer, but only covers
  EXPECT_EQ(select(rule_of(cbc_.actions, "10.0.0.0/24", "10.0.1.0/24")).esp, exact);
}

TEST_F(TableTest, HostBitsOfASelectorDoNotMatter) {
  Sa* sa = put(with_inner(esp(0x2001), "10.0.0.1/24", "10.0.1.9/24"));
  EXPECT_EQ(select(rule_of(cbc_.actions, "10.0.0.0/24", "10.0.1.0/24")).esp, sa);
  table_ = table_->without(*sa);
  EXPECT_FALSE(select(cbc_).found());
}

TEST_F(TableTest, ProtocolAndPortsOfASelectorBindTheFlow) {
  SaSpec spec = with_inner(esp(0x2001), "10.0.0.0/24", "10.0.1.0/24");
  spec.inner->protocol = 17;
  spec.inner->destination_port = 53;
  Sa* dns = put(std::move(spec));
  EXPECT_EQ(select(cbc_).esp, dns);
  net::Flow other = flow_of("10.0.0.2", "10.0.1.2");
  other.destination_port = 54;
  EXPECT_EQ(select(cbc_, other).esp, nullptr);
  EXPECT_EQ(select(cbc_, flow_of("10.0.0.2", "10.0.1.2", 6)).esp, nullptr);
  net::Flow fragment = flow_of("10.0.0.2", "10.0.1.2");
  fragment.has_ports = false;
  EXPECT_EQ(select(cbc_, fragment).esp, nullptr);
}

TEST_F(TableTest, TransportModeRulesTakeNoInnerSelectors) {
  put(with_inner(esp(0x2001), "10.0.0.0/24", "10.0.1.0/24"));
  spd::Rule transport = cbc_;
  transport.mode = spd::Mode::transport;
  EXPECT_FALSE(select(transport).found());
}

TEST_F(TableTest, MatureBeforeDyingThenTheNewest) {
  Sa* first = put(esp(0x2001));
  Sa* second = put(esp(0x2002));
  EXPECT_EQ(select(cbc_).esp, second);
  second->state = SaState::dying;
  EXPECT_EQ(select(cbc_).esp, first);
  first->state = SaState::dying;
  EXPECT_EQ(select(cbc_).esp, second);
  second->state = SaState::dead;
  EXPECT_EQ(select(cbc_).esp, first);
  first->state = SaState::dead;
  EXPECT_FALSE(select(cbc_).found());
}

TEST_F(TableTest, ADyingExactOneYieldsToAMatureThatCovers) {
  Sa* exact = put(with_inner(esp(0x2001), "10.0.0.0/24", "10.0.1.0/24"));
  Sa* wide = put(esp(0x2002));
  const auto rule = rule_of(cbc_.actions, "10.0.0.0/24", "10.0.1.0/24");
  EXPECT_EQ(select(rule).esp, exact);
  exact->state = SaState::dying;
  EXPECT_EQ(select(rule).esp, wide);
}

TEST_F(TableTest, AlternativesAreTakenInTheOrderOfTheRule) {
  Sa* cbc = put(esp(0x2001));
  Sa* combined = put(gcm(0x2002));
  const auto both = [&](bool gcm_first) {
    auto one = action_of(EncrAlg::aes_gcm16, std::nullopt), two = cbc_.actions[0];
    return gcm_first ? rule_of({one, two}) : rule_of({two, one});
  };
  EXPECT_EQ(select(both(true)).esp, combined);
  EXPECT_EQ(select(both(false)).esp, cbc);
  combined->state = SaState::dead;
  const auto rule = both(true);
  const auto bundle = select(rule);
  EXPECT_EQ(bundle.esp, cbc);
  EXPECT_EQ(bundle.action, &rule.actions[1]);
}

TEST_F(TableTest, KeyLengthsAreTheRules) {
  put(gcm(0x2001, 16));
  Sa* strong = put(gcm(0x2002, 32));
  put(gcm(0x2003, 16));
  EXPECT_EQ(select(rule_of({action_of(EncrAlg::aes_gcm16, std::nullopt, std::nullopt, {256, 256})})).esp, strong);
  EXPECT_FALSE(select(rule_of({action_of(EncrAlg::aes_gcm16, std::nullopt, std::nullopt, {192, 192})})).found());
}

TEST_F(TableTest, IntegrityBesideACombinedCipherIsNotAsked) {  // decision 1
  Sa* sa = put(gcm(0x2001));
  EXPECT_EQ(select(rule_of({action_of(EncrAlg::aes_gcm16, AuthAlg::hmac_sha256)})).esp, sa);
}

TEST_F(TableTest, IntegrityAloneIsEspWithTheNullCipher) {
  SaSpec spec = esp(0x2001);
  spec.encr = EncrAlg::null;
  spec.encr_key = Secret();
  Sa* sa = put(std::move(spec));
  EXPECT_EQ(select(rule_of({action_of(std::nullopt, AuthAlg::hmac_sha256)})).esp, sa);
  EXPECT_FALSE(select(rule_of({action_of(std::nullopt, AuthAlg::hmac_sha512)})).found());
  EXPECT_FALSE(select(cbc_).found());
}

TEST_F(TableTest, AhAndEspTogetherNeedBoth) {
  const auto rule = rule_of({action_of(EncrAlg::aes_cbc, std::nullopt, AuthAlg::hmac_sha256)});
  Sa* inner = put(esp(0x2001));
  EXPECT_FALSE(select(rule).found());
  Sa* outer = put(ah(0x2002));
  const auto bundle = select(rule);
  EXPECT_EQ(bundle.esp, inner);
  EXPECT_EQ(bundle.ah, outer);
  EXPECT_TRUE(Table::satisfies(rule, inner, outer));
  EXPECT_FALSE(Table::satisfies(rule, inner, nullptr));
  EXPECT_FALSE(Table::satisfies(rule, nullptr, outer));
  EXPECT_FALSE(Table::satisfies(cbc_, inner, outer));  // AH that nobody asked for is not this rule's protection
  EXPECT_TRUE(Table::satisfies(cbc_, inner, nullptr));
}

TEST_F(TableTest, InboundAlternativesAreAllAccepted) {
  Sa* cbc = put(esp(0x2001));
  Sa* combined = put(gcm(0x2002));
  const auto rule = rule_of({cbc_.actions[0], action_of(EncrAlg::aes_gcm16, std::nullopt)});
  EXPECT_TRUE(Table::satisfies(rule, cbc, nullptr));
  EXPECT_TRUE(Table::satisfies(rule, combined, nullptr));
  EXPECT_FALSE(Table::satisfies(rule_of({action_of(EncrAlg::tdes_cbc, std::nullopt)}), cbc, nullptr));
  spd::Action bypass;
  bypass.verb = spd::Verb::pass;
  EXPECT_FALSE(Table::satisfies(rule_of({bypass}), cbc, nullptr));
}

TEST_F(TableTest, InboundOnlyLarvalAndForeignProtocolSasNeverProtectWhatLeaves) {
  SaSpec inbound = esp(0x2001);
  inbound.inbound = true;
  put(std::move(inbound));
  SaSpec tcp = esp(0x2002);
  tcp.outer_protocol = 6;
  put(std::move(tcp));
  auto larval = table_->with(Sa::larval(esp(0x2003)));
  ASSERT_TRUE(larval);
  table_ = *larval;
  EXPECT_FALSE(select(cbc_).found());
  EXPECT_NE(table_->find(Spi{0x2003}, SaType::esp, address("5.6.7.8")), nullptr);
}

TEST_F(TableTest, TooManyShapesBetweenTheSamePairAreRefusedWithASentence) {
  for (size_t i = 0; i < Table::kMaxShapes; ++i) {
    SaSpec spec = esp(static_cast<uint32_t>(0x3000 + i));
    spec.inner =
        InnerSelector{net::Prefix(address("2001:db8::"), static_cast<uint8_t>(i)), prefix("2001:db8::/48"), 0, 0, 0};
    put(std::move(spec));
  }
  const auto one_more = table_->with(*Sa::make(with_inner(esp(0x4000), "10.0.0.0/24", "10.0.1.0/24")));
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code, ENOSPC);
  // Whose shape is known already comes in.
  SaSpec known = esp(0x4001);
  known.inner = InnerSelector{net::Prefix(address("2001:dead::"), 32), prefix("2001:db9::/48"), 0, 0, 0};
  EXPECT_TRUE(table_->with(*Sa::make(std::move(known))));
}

// Thousands of SAs come and go in random order; the table must always hold what a plain list holds.
// All of them are in one list: it is in pieces, and what was published stays as it was.
TEST_F(TableTest, ManyBetweenTheSameTwoHostsComeAndGoInAnyOrder) {
  std::mt19937 random(11);
  std::vector<Sa*> model;
  for (uint32_t i = 0; i < 2'000; ++i) model.push_back(put(esp(0x1000 + i)));
  const auto all_of_them = table_;
  while (!model.empty()) {
    ASSERT_EQ(select(cbc_).esp, model.back());
    const size_t at = random() % 4 == 0 ? model.size() - 1 : random() % model.size();
    table_ = table_->without(*model[at]);
    model.erase(model.begin() + static_cast<ptrdiff_t>(at));
  }
  EXPECT_FALSE(select(cbc_).found());
  EXPECT_EQ(static_cast<uint32_t>(all_of_them->select(cbc_, kOuter, flow_of("10.0.0.2", "10.0.1.2")).esp->spec.spi),
            0x1000u + 1'999);
}

TEST_F(TableTest, ALongRandomLifeAgreesWithAPlainList) {
  std::mt19937 random(3);
  std::vector<std::shared_ptr<Sa>> model;
  uint32_t spi = 0x1000;
  for (int i = 0; i < 4000; ++i) {
    if (model.empty() || random() % 3 != 0) {
      SaSpec spec = esp(spi++);
      spec.destination = net::Address::v4(0x05060000u + random() % 64);
      if (random() % 2 == 0)
        spec.inner = InnerSelector{net::Prefix(net::Address::v4(0x0a000000u + random() % 8 * 256), 24),
                                   prefix("10.9.0.0/16"), 0, 0, 0};
      auto sa = *Sa::make(std::move(spec));
      sa->age = ++age_;
      table_ = *table_->with(sa);
      model.push_back(std::move(sa));
    } else {
      const size_t at = random() % model.size();
      table_ = table_->without(*model[at]);
      model.erase(model.begin() + static_cast<ptrdiff_t>(at));
    }
  }
  EXPECT_EQ(table_->size(), model.size());
  EXPECT_EQ(table_->all().size(), model.size());
  for (const auto& sa : model) ASSERT_EQ(table_->find(sa->spec.spi, SaType::esp, sa->spec.destination), sa.get());
  for (uint32_t i = 0; i < 64; ++i) {
    const Endpoints outer{address("1.2.3.4"), net::Address::v4(0x05060000u + i)};
    const net::Flow flow = flow_of("10.0.3.1", "10.9.0.1");
    const Sa* newest = nullptr;
    for (const auto& sa : model) {
      const bool covers = !sa->spec.inner || sa->spec.inner->source.contains(flow.source);
      if (sa->spec.destination == outer.remote && covers) newest = sa.get();
    }
    ASSERT_EQ(table_->select(cbc_, outer, flow).esp, newest) << i;
  }
}

}  // namespace
}  // namespace adit::sad
