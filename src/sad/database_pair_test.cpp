#include "sad/testing/database_fixture.h"

namespace adit::sad {
namespace {
using namespace testing;
using D = Diagnostic;

class PairTest : public DatabaseTest {
 protected:
  PairTest() {
    SaSpec out = esp(0x2001);
    out.outbound = true;
    out_ = add(std::move(out));
    SaSpec in = inbound(0x3001);
    in.pair = Spi{0x2001};
    in_ = add(std::move(in));
    (void)db_.take_events();
  }
  static SaSpec inbound(uint32_t spi) {
    SaSpec spec = esp(spi, "5.6.7.8", "1.2.3.4");
    spec.inbound = true;
    return spec;
  }
  KeyResult<SaPtr> add_pair(SaSpec spec, uint32_t pair) {
    spec.pair = Spi{pair};
    return db_.add(request(std::move(spec)), {});
  }
  SaPtr out_, in_;
  const SaName kIn{SaType::esp, Spi{0x3001}, address("1.2.3.4")};
};

TEST_F(PairTest, BothHalvesKnowEachOther) {
  EXPECT_EQ(in_->pair, 0x2001u);
  EXPECT_EQ(out_->pair, 0x3001u);
}

TEST_F(PairTest, UnfitHalvesAreRefusedAndNothingIsAdded) {
  expect_refused(add_pair(inbound(0x3002), 0x2001), EINVAL, D::pair_already);
  expect_refused(add_pair(inbound(0x3002), 0x2fff), ESRCH, D::pair_not_found);
  SaSpec wrong = esp(0x2002);
  wrong.outbound = true;
  expect_refused(add_pair(std::move(wrong), 0x3001), EINVAL, D::wrong_direction);
  SaSpec elsewhere = esp(0x2003, "9.9.9.9", "5.6.7.8");
  elsewhere.outbound = true;
  add(std::move(elsewhere));
  expect_refused(add_pair(inbound(0x3002), 0x2003), EINVAL, D::pair_address_differs);
  ASSERT_TRUE(db_.get_spi({SaType::esp, address("1.2.3.4"), address("5.6.7.8"), 0x2004, 0x2004, 0}, {}));
  expect_refused(add_pair(inbound(0x3002), 0x2004), EINVAL, D::wrong_direction);
  EXPECT_EQ(db_.size(), 4u);
}

TEST_F(PairTest, DeletePairTakesBothFromEitherSide) {
  ASSERT_TRUE(db_.remove_pair(kName, {}));
  EXPECT_EQ(db_.size(), 0u);
  EXPECT_EQ(events<SaDeleted>().size(), 2u);
}

TEST_F(PairTest, DeletingOneMakesTheOtherSingle) {
  ASSERT_TRUE(db_.remove(kIn, {}));
  EXPECT_EQ(out_->pair, 0u);
  expect_refused(db_.remove_pair(kName, {}), ESRCH, D::pair_not_found);
  EXPECT_EQ(db_.size(), 1u);
}

TEST_F(PairTest, ExpiryOfOneMakesTheOtherSingle) {
  out_->set_last_sequence(UINT32_MAX);
  db_.reached(kName);
  EXPECT_EQ(in_->pair, 0u);
  EXPECT_EQ(db_.size(), 1u);
}

TEST_F(PairTest, UpdatePairChangesBothOrNone) {
  SaRequest r = change(0x2001);
  r.hard = Lifetime{.bytes = 1000};
  ASSERT_TRUE(db_.update_pair(std::move(r), {}));
  EXPECT_EQ(out_->hard().bytes, 1000u);
  EXPECT_EQ(in_->hard().bytes, 1000u);
  // A soft limit that only one of them can take.
  SaRequest low = change(0x3001, "1.2.3.4");
  low.spec.source = address("5.6.7.8");
  low.hard = Lifetime{.bytes = 500};
  ASSERT_TRUE(db_.update(std::move(low), {}));
  SaRequest soft = change(0x2001);
  soft.soft = Lifetime{.bytes = 700};
  expect_refused(db_.update_pair(std::move(soft), {}), EINVAL, D::bytes_soft_above_hard);
  EXPECT_EQ(out_->soft().bytes, 0u);
  SaRequest named = change(0x2001);
  named.spec.pair = Spi{0x3001};
  expect_refused(db_.update_pair(std::move(named), {}), EINVAL, D::pair_unsuitable);
}

TEST_F(PairTest, UpdateCanJoinAPairLater) {
  ASSERT_TRUE(db_.remove(kIn, {}));
  in_ = add(inbound(0x3002));
  SaRequest r = change(0x3002, "1.2.3.4");
  r.spec.pair = Spi{0x2001};
  ASSERT_TRUE(db_.update(std::move(r), {}));
  EXPECT_EQ(in_->pair, 0x2001u);
  EXPECT_EQ(out_->pair, 0x3002u);
}

TEST_F(PairTest, PairsAreDeletedByState) {
  add(esp(0x4001));
  EXPECT_EQ(db_.remove_pairs_in_state(SaType::unspec, SaState::dying, {}), 0u);
  EXPECT_EQ(db_.remove_pairs_in_state(SaType::ah, SaState::mature, {}), 0u);
  EXPECT_EQ(db_.remove_pairs_in_state(SaType::unspec, SaState::mature, {}), 2u);
  EXPECT_EQ(db_.size(), 1u);  // the single one stays
}

}  // namespace
}  // namespace adit::sad
