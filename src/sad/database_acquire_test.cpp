#include "sad/testing/database_fixture.h"

namespace adit::sad {
namespace {
using namespace testing;
using crypto::AuthAlg;
using crypto::EncrAlg;
using D = Diagnostic;

class AcquireTest : public DatabaseTest {
 protected:
  bool ask(uint64_t rule_index = 1) {
    return db_.acquire({"tun0", rule_index}, kOuter, rule_, flow_of("10.0.0.2", "10.0.1.2"));
  }
  const spd::Rule rule_ = rule_of({action_of(EncrAlg::aes_cbc, AuthAlg::hmac_sha256)}, "10.0.0.0/24", "10.0.1.0/24");
};

TEST_F(AcquireTest, OneForEachLinkAndRule) {
  EXPECT_TRUE(ask(1));
  EXPECT_FALSE(ask(1));
  EXPECT_TRUE(ask(2));
  const auto raised = events<AcquireRaised>();
  ASSERT_EQ(raised.size(), 2u);
  EXPECT_NE(raised[0].acquire.seq, raised[1].acquire.seq);
  EXPECT_GE(raised[0].acquire.seq, 0x80000000u);
  EXPECT_NE(db_.find_acquire(raised[0].acquire.seq), nullptr);
}

TEST_F(AcquireTest, AnSaThatServesEndsIt) {
  ask();
  (void)db_.take_events();
  add(gcm(0x2001));  // not what the rule asks
  EXPECT_TRUE(events<AcquireEnded>().empty());
  add(esp(0x2002));
  const auto ended = events<AcquireEnded>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_TRUE(ended[0].found);
  EXPECT_TRUE(ask());  // a new need is a new acquire
}

TEST_F(AcquireTest, ALarvalSaThatBecomesTheAnswerEndsIt) {
  ask();
  const uint32_t seq = events<AcquireRaised>().at(0).acquire.seq;
  ASSERT_TRUE(db_.get_spi({SaType::esp, address("1.2.3.4"), address("5.6.7.8"), 0x2001, 0x2001, seq}, {}));
  EXPECT_TRUE(events<AcquireEnded>().empty());
  SaSpec spec = esp(0x2001);
  spec.outbound = true;
  ASSERT_TRUE(db_.update(request(std::move(spec)), {}));
  EXPECT_EQ(events<AcquireEnded>().size(), 1u);
}

TEST_F(AcquireTest, WaitingHasAnEnd) {
  ask();
  (void)db_.take_events();
  EXPECT_EQ(*db_.next_deadline(), clock_.now() + Seconds(10));
  pass(9);
  EXPECT_TRUE(events<AcquireEnded>().empty());
  pass(1);
  const auto ended = events<AcquireEnded>();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_FALSE(ended[0].found);
  EXPECT_EQ(ended[0].error, ETIMEDOUT);
  EXPECT_EQ(db_.next_deadline(), std::nullopt);
}

TEST_F(AcquireTest, TheKeyManagersFailureEndsItAndFreesItsLarvalSas) {
  ask();
  const uint32_t seq = events<AcquireRaised>().at(0).acquire.seq;
  ASSERT_TRUE(db_.get_spi({SaType::esp, address("5.6.7.8"), address("1.2.3.4"), 0x2001, 0x2001, seq}, {}));
  ASSERT_TRUE(db_.get_spi({SaType::esp, address("5.6.7.8"), address("1.2.3.4"), 0x2002, 0x2002, seq + 1}, {}));
  ASSERT_TRUE(db_.acquire_failed(seq, ECONNREFUSED));
  EXPECT_EQ(db_.size(), 1u);
  EXPECT_EQ(events<AcquireEnded>().at(0).error, ECONNREFUSED);
  expect_refused(db_.acquire_failed(seq, ECONNREFUSED), ESRCH, D::none);
}

TEST_F(AcquireTest, ALinkThatGoesTakesItsAcquiresAlong) {
  ask(1), ask(2);
  (void)db_.take_events();
  db_.forget_acquires("tun1");
  EXPECT_TRUE(events<AcquireEnded>().empty());
  db_.forget_acquires("tun0");
  EXPECT_EQ(events<AcquireEnded>().size(), 2u);
}

TEST_F(AcquireTest, TheirNumberIsBounded) {
  Database small(clock_, algorithms_, {.maximum_acquires = 1});
  EXPECT_TRUE(small.acquire({"tun0", 1}, kOuter, rule_, flow_of("10.0.0.2", "10.0.1.2")));
  EXPECT_FALSE(small.acquire({"tun0", 2}, kOuter, rule_, flow_of("10.0.0.2", "10.0.1.2")));
}

}  // namespace
}  // namespace adit::sad
