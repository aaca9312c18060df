// When a tunnel that is up is said to be in trouble, and when no longer.
#include "links/link_trouble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace adit::engine {
namespace {

using ::testing::HasSubstr;

class LinkTroubleTest : public ::testing::Test {
 protected:
  Trouble second() {
    now += Seconds(1);
    return trouble.tick(facts, now);
  }
  void SetUp() override { second(); }

  TroubleFacts facts;
  LinkTrouble trouble;
  MonoTime now{Seconds(100)};
};

TEST_F(LinkTroubleTest, SendsThatFailAreToldOnceAndStandWhileTheyLast) {
  facts.refused = 5;
  facts.error = EPERM;
  EXPECT_EQ(second(), Trouble::sending);
  facts.refused = 9;
  EXPECT_EQ(second(), Trouble::none) << "told already";
  EXPECT_EQ(trouble.sending(now), Trouble::sending);
  EXPECT_THAT(sentence_of(Trouble::sending, trouble, "v4_bob0", "1.2.3.4", "5.6.7.8"),
              HasSubstr("do not leave: Operation not permitted (EPERM): a rule of this host's firewall"));
  facts.sent = 1;
  second();
  EXPECT_EQ(trouble.sending(now), Trouble::none) << "they leave again";
}

TEST_F(LinkTroubleTest, WhatIsLongAgoIsNotSaidOfNow) {
  facts.refused = 5;
  second();
  now += Seconds(11);
  EXPECT_EQ(trouble.sending(now), Trouble::none);
}

TEST_F(LinkTroubleTest, NothingThatLeftSinceIsTroubleWhateverLeftBefore) {
  facts.refused = 3;
  facts.sent = 100;
  EXPECT_EQ(second(), Trouble::sending);
  facts.sent = 101;
  facts.sent_since = 1;
  second();
  EXPECT_EQ(trouble.sending(now), Trouble::none);
}

TEST_F(LinkTroubleTest, AFewOfManyAreNoTrouble) {
  facts.refused = 5;
  facts.sent = facts.sent_since = 100;
  second();
  EXPECT_EQ(trouble.sending(now), Trouble::none);
}

TEST_F(LinkTroubleTest, FlappingIsToldOnceAMinute) {
  int told = 0;
  for (int i = 0; i < 59; ++i) {
    if (i % 2 == 0)
      ++facts.refused;
    else
      ++facts.sent;
    told += second() == Trouble::sending;
  }
  EXPECT_EQ(told, 1);
}

TEST_F(LinkTroubleTest, AKeyThatDoesNotMatch) {
  facts.bad_icv = 1;
  EXPECT_EQ(second(), Trouble::none) << "one may be a stray";
  facts.bad_icv = 4;
  EXPECT_EQ(second(), Trouble::peer_key);
  EXPECT_EQ(trouble.peer(now), Trouble::peer_key);
  EXPECT_THAT(sentence_of(Trouble::peer_key, trouble, "v4_bob0", "1.2.3.4", "5.6.7.8"),
              HasSubstr("ipseckey at both ends"));
  facts.let_in = 10;
  second();
  EXPECT_EQ(trouble.peer(now), Trouble::none);
}

// Anybody may send rubbish: while the peer's own packets come in, that is no trouble of the keys.
TEST_F(LinkTroubleTest, RubbishBesideGoodPacketsIsNoTrouble) {
  facts.bad_icv = 100;
  facts.let_in = 101;
  EXPECT_EQ(second(), Trouble::none);
}

// Nothing of these is proved: none of them was ever sealed by the peer.
TEST_F(LinkTroubleTest, WhatAStrangerMayHaveSentIsNotPutDownToThePeer) {
  for (const Trouble what : {Trouble::peer_key, Trouble::peer_spi, Trouble::peer_address})
    EXPECT_THAT(sentence_of(what, trouble, "v4_bob0", "1.2.3.4", "5.6.7.8"), HasSubstr("or somebody forges"));
}

TEST_F(LinkTroubleTest, AnUnknownSpiAnotherAddressAndAnotherPort) {
  facts.unknown_spi = 3;
  EXPECT_EQ(second(), Trouble::peer_spi);
  facts.let_in = 9;
  second();
  facts.wrong_outer = 3;
  EXPECT_EQ(second(), Trouble::peer_address);
  facts.let_in = 19;
  facts.other_port = 61001;
  EXPECT_EQ(second(), Trouble::peer_port);
  EXPECT_THAT(sentence_of(Trouble::peer_port, trouble, "v4_bob0", "1.2.3.4", "5.6.7.8"), HasSubstr("UDP port 61001"));
  facts.other_port = 0;
  second();
  EXPECT_EQ(trouble.peer(now), Trouble::none);
}

}  // namespace
}  // namespace adit::engine
