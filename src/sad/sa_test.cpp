#include "sad/sa.h"

#include <gtest/gtest.h>

#include <limits>

#include "sad/testing/sad_fixture.h"

namespace adit::sad {
namespace {
using namespace testing;

std::shared_ptr<Sa> made(SaSpec spec) {
  auto sa = Sa::make(std::move(spec));
  EXPECT_TRUE(sa) << sa.error().text;
  return *sa;
}

TEST(Sa, IsMatureWithItsKeysAndLarvalWithout) {
  EXPECT_EQ(made(esp(0x1000))->state, SaState::mature);
  EXPECT_NE(made(esp(0x1000))->transform, nullptr);
  const auto larval = Sa::larval(esp(0x1001));
  EXPECT_EQ(larval->state, SaState::larval);
  EXPECT_EQ(larval->transform, nullptr);
}

TEST(Sa, SequenceNumbersBeginAtOneAndComeInRuns) {
  const auto sa = made(esp(0x1000));
  EXPECT_EQ(sa->reserve_sequence(3), 1u);
  EXPECT_EQ(sa->reserve_sequence(1), 4u);
  EXPECT_EQ(sa->last_sequence(), 4u);
}

TEST(Sa, The32BitSpaceEndsExactlyAtItsLastNumber) {
  const auto sa = made(esp(0x1000));
  sa->set_last_sequence(0xfffffffd);
  EXPECT_EQ(sa->reserve_sequence(3), std::nullopt);  // would run over
  EXPECT_EQ(sa->reserve_sequence(2), 0xfffffffeu);
  EXPECT_EQ(sa->reserve_sequence(1), std::nullopt);
  EXPECT_EQ(sa->due(0), Expiry::sequence);
}

TEST(Sa, ExtendedNumbersGoOnPast32BitsAndEndAt64) {
  SaSpec spec = esp(0x1000);
  spec.esn = true;
  const auto sa = made(std::move(spec));
  sa->set_last_sequence(0xffffffff);
  EXPECT_EQ(sa->reserve_sequence(1), 0x100000000u);
  sa->set_last_sequence(std::numeric_limits<uint64_t>::max() - 1);
  EXPECT_EQ(sa->reserve_sequence(2), std::nullopt);
  EXPECT_EQ(sa->reserve_sequence(1), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(sa->reserve_sequence(1), std::nullopt);
}

TEST(Sa, EachKindOfLimitEndsIt) {
  struct Case {
    Lifetime hard;
    uint64_t bytes, packets, now;
    Expiry expected;
  };
  const Case cases[] = {
      {{.bytes = 1000}, 999, 1, 100, Expiry::none},      {{.bytes = 1000}, 1000, 1, 100, Expiry::hard},
      {{.allocations = 5}, 1, 4, 100, Expiry::none},     {{.allocations = 5}, 1, 5, 100, Expiry::hard},
      {{.add_seconds = 50}, 0, 0, 149, Expiry::none},    {{.add_seconds = 50}, 0, 0, 150, Expiry::hard},
      {{.use_seconds = 50}, 0, 0, 10'000, Expiry::none}, {{.use_seconds = 50}, 1, 1, 169, Expiry::none},
      {{.use_seconds = 50}, 1, 1, 170, Expiry::hard},    {{.add_seconds = UINT64_MAX}, 1, 1, 170, Expiry::none}};
  for (const Case& c : cases) {
    const auto sa = made(esp(0x1000));
    sa->added = 100;
    sa->set_lifetimes(c.hard, {}, {});
    if (c.packets != 0) sa->used(c.bytes, c.packets, 120);
    EXPECT_EQ(sa->due(c.now), c.expected) << &c - cases;
  }
}

TEST(Sa, SoftCountsOnlyWhileMatureAndHardOutweighsIt) {
  const auto sa = made(esp(0x1000));
  sa->added = 100;
  sa->set_lifetimes({.add_seconds = 20}, {.add_seconds = 10}, {});
  EXPECT_EQ(sa->due(110), Expiry::soft);
  sa->state = SaState::dying;
  EXPECT_EQ(sa->due(110), Expiry::none);
  sa->state = SaState::mature;
  EXPECT_EQ(sa->due(120), Expiry::hard);
}

TEST(Sa, IdleIsMeasuredFromTheLastUse) {
  const auto sa = made(esp(0x1000));
  sa->added = 100;
  sa->set_lifetimes({}, {}, {.add_seconds = 10, .use_seconds = 20});
  EXPECT_EQ(sa->due(109), Expiry::none);
  EXPECT_EQ(sa->due(110), Expiry::idle);
  sa->used(1, 1, 112);
  EXPECT_EQ(sa->due(131), Expiry::none);
  EXPECT_EQ(sa->due(132), Expiry::idle);
}

TEST(Sa, NextDueIsNeverLaterThanWhatCanHappen) {
  const auto sa = made(esp(0x1000));
  sa->added = 100;
  EXPECT_EQ(sa->next_due(100), std::nullopt);
  sa->set_lifetimes({.add_seconds = 100, .use_seconds = 30}, {.add_seconds = 80}, {});
  EXPECT_EQ(sa->next_due(100), 130u);  // if it were used now
  sa->used(1, 1, 120);
  EXPECT_EQ(sa->next_due(125), 150u);  // first use + 30
  EXPECT_EQ(sa->next_due(150), 180u);  // then soft
  EXPECT_EQ(sa->next_due(180), 200u);  // then hard
  EXPECT_EQ(sa->next_due(200), std::nullopt);
}

}  // namespace
}  // namespace adit::sad
