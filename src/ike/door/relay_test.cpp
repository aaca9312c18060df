#include "ike/door/relay.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "ike/door/testing/fake_port.h"

namespace adit::ike {
namespace {

using Bytes = std::vector<uint8_t>;

class RelayTest : public ::testing::Test {
 protected:
  const net::Address us_ = *net::Address::parse("1.2.3.4"), peer_ = *net::Address::parse("5.6.7.8");
  const Bytes message_ = Bytes(40, 7);
  const std::shared_ptr<FakePort> port_ = std::make_shared<FakePort>();
  const std::shared_ptr<datapath::FakeNode> node_ = std::make_shared<datapath::FakeNode>();
  datapath::FakeWire wire_{node_};
  Relay relay_;
  std::vector<std::pair<int, DropReason>> lost_;

  [[nodiscard]] Datagram came() const { return {us_, peer_, 4500, message_}; }
  static MonoTime at(int milliseconds) { return MonoTime(std::chrono::seconds(1000) + Millis(milliseconds)); }
  size_t carry() {
    return relay_.carry(wire_, [this](int error, DropReason reason) { lost_.emplace_back(error, reason); });
  }
};

TEST_F(RelayTest, WithNobodyThereItIsSaid) {
  EXPECT_EQ(relay_.give(came(), at(0)), DropReason::no_ike);
  relay_.set_port(port_);
  EXPECT_EQ(relay_.give(came(), at(0)), DropReason::none);
  ASSERT_EQ(port_->received().size(), 1u);
  port_->close();
  EXPECT_EQ(relay_.give(came(), at(0)), DropReason::no_ike);
}

TEST_F(RelayTest, TheBucketBoundsWhatIsPassedOnWhateverComes) {
  relay_.set_port(port_);
  size_t passed = 0, full = 0;
  for (int millisecond = 0; millisecond < 2000; ++millisecond)
    for (int i = 0; i < 50; ++i) {
      const DropReason reason = relay_.give(came(), at(millisecond));
      passed += reason == DropReason::none;
      full += reason == DropReason::ike_queue_full;
    }
  EXPECT_EQ(passed + full, 100'000u);
  EXPECT_GE(passed, 2 * kMessagesASecond);
  EXPECT_LE(passed, 2 * kMessagesASecond + kMessagesAtOnce);
}

TEST_F(RelayTest, AFullPairDropsAndSaysSo) {
  const auto small = std::make_shared<FakePort>(3);
  relay_.set_port(small);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(relay_.give(came(), at(0)), DropReason::none);
  EXPECT_EQ(relay_.give(came(), at(0)), DropReason::ike_queue_full);
  EXPECT_EQ(small->received().size(), 3u);
  EXPECT_EQ(relay_.give(came(), at(0)), DropReason::none);
}

TEST_F(RelayTest, WhatIsToBeSentLeavesFrom4500WithTheMarkerAndMayBeFragmented) {
  relay_.set_port(port_);
  port_->send({us_, peer_, 61000, message_});
  EXPECT_EQ(carry(), 1u);
  const auto sent = node_->sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].kind, datapath::WireKind::udp);
  EXPECT_EQ(sent[0].source, us_);
  EXPECT_EQ(sent[0].destination, peer_);
  EXPECT_EQ(sent[0].source_port, 4500);
  EXPECT_EQ(sent[0].destination_port, 61000);
  EXPECT_FALSE(sent[0].dont_fragment);
  Bytes wanted(4);
  wanted.insert(wanted.end(), message_.begin(), message_.end());
  EXPECT_EQ(sent[0].bytes, wanted);
  EXPECT_TRUE(lost_.empty());
}

TEST_F(RelayTest, ARoundSendsSomeAndTheNextTheRest) {
  relay_.set_port(port_);
  for (int i = 0; i < 40; ++i) port_->send({us_, peer_, 4500, message_});
  carry();
  const size_t first = node_->sent().size();
  EXPECT_LT(first, 40u);
  carry();
  carry();
  EXPECT_EQ(first + node_->sent().size(), 40u);
}

TEST_F(RelayTest, WhatIsNotSentIsTold) {
  relay_.set_port(port_);
  port_->send({us_, peer_, 0, message_});
  port_->send({us_, peer_, 4500, Bytes(10)});
  EXPECT_EQ(carry(), 2u);
  node_->fail_sends(ENETUNREACH);
  port_->send({us_, peer_, 4500, message_});
  EXPECT_EQ(carry(), 1u);
  using Told = std::pair<int, DropReason>;
  EXPECT_EQ(lost_, (std::vector<Told>{
                       {0, DropReason::bad_header}, {0, DropReason::truncated}, {ENETUNREACH, DropReason::none}}));
}

TEST_F(RelayTest, AClosedPairIsNotWaitedFor) {
  EXPECT_FALSE(relay_.open());
  relay_.set_port(port_);
  EXPECT_EQ(carry(), 0u);
  EXPECT_TRUE(relay_.open());
  port_->close();
  EXPECT_EQ(carry(), 0u);
  EXPECT_FALSE(relay_.open());
}

}  // namespace
}  // namespace adit::ike
