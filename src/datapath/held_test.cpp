// Packets whose sequence numbers are above those that are saved on disk: never accepted so, and seldom lost.
#include "datapath/held.h"

#include <thread>

#include "datapath/testing/two_sites.h"

namespace adit::datapath {
namespace {

Bytes datagram(uint16_t number) {
  return made::udp({}, 1000, number, made::pattern(100));
}

size_t questions(Site& site) {
  size_t count = 0;
  for (const Event& event : site.shared.events.take_all()) count += std::holds_alternative<NumbersWanted>(event);
  return count;
}

class HeldPackets : public testing::Test {
 protected:
  void send(uint16_t from, uint16_t to) {
    for (uint16_t number = from; number <= to; ++number) sites.alice.host->send(datagram(number));
    sites.run();
  }
  // Bob's SAs of what Alice sends may accept so many.
  void allow(uint64_t limit) {
    for (const auto& sa : sites.bob.all)
      if (sa->spec.destination == sites.b) sa->seen.raise(limit, limit / 2);
  }
  std::vector<Bytes> expected(uint16_t from, uint16_t to) {
    std::vector<Bytes> all;
    for (uint16_t number = from; number <= to; ++number) all.push_back(datagram(number));
    return all;
  }
  std::vector<Bytes> received() { return cut(sites.bob.host->received()); }
  void all_ways(const Protection& how) {
    sites.protect(how);
    allow(10);
    send(1, 30);
    EXPECT_EQ(received(), expected(1, 10));
    EXPECT_GE(questions(sites.bob), 1u);
    for (const auto& sa : sites.bob.all) EXPECT_LE(sa->replay.highest(), 10u) << "accepted without being saved";
    allow(100);
    sites.run();
    EXPECT_EQ(received(), expected(11, 30));
    sites.run();
    EXPECT_TRUE(received().empty());
    EXPECT_EQ(sites.bob.counters().ierrors.get(), 0u);
  }
  TwoSites sites;
};

TEST_F(HeldPackets, WaitUntilTheirNumbersAreSavedAndComeInOrderOnce) {
  all_ways({});
}
TEST_F(HeldPackets, WithExtendedNumbers) {
  all_ways({.esn = true});
}
TEST_F(HeldPackets, InsideUdp) {
  all_ways({.udp = true});
}
TEST_F(HeldPackets, WithAhAlone) {
  all_ways({.encr = crypto::EncrAlg::none, .ah = true});
}

TEST_F(HeldPackets, AQuestionIsAskedOnceForEachLimit) {
  sites.protect({});
  allow(100);
  for (uint16_t number = 1; number <= 150; ++number) send(number, number);
  EXPECT_EQ(questions(sites.bob), 1u);
  allow(200);
  sites.run();
  EXPECT_EQ(questions(sites.bob), 1u);
}

TEST_F(HeldPackets, AForgedNumberAsksForNothing) {
  sites.protect({});
  allow(10);
  send(1, 1);
  auto forged = sites.alice.node->sent().front();
  store_be32(forged.bytes.data() + 4, 5'000);
  sites.bob.node->deliver(forged);
  sites.run();
  EXPECT_EQ(questions(sites.bob), 0u);
  EXPECT_EQ(sites.bob.all[0]->seen_wanted, 0u);
  EXPECT_EQ(sites.bob.dropped_in(DropReason::bad_icv), 1u);
}

TEST_F(HeldPackets, WhatWaitsTooLongIsDroppedAndCounted) {
  sites.protect({});
  allow(10);
  send(1, 15);
  std::this_thread::sleep_for(std::chrono::nanoseconds(Held::kWaitNs) + std::chrono::milliseconds(50));
  sites.run();
  EXPECT_EQ(sites.bob.dropped_in(DropReason::sequence_unsaved), 5u);
  allow(100);
  sites.run();
  EXPECT_EQ(received(), expected(1, 10));
}

TEST_F(HeldPackets, ThereIsABoundAndWhatIsAboveItIsCounted) {
  sites.protect({});
  allow(10);
  constexpr uint16_t kAll = 10 + Held::kMost + 7;
  send(1, kAll);
  EXPECT_GE(sites.bob.dropped_in(DropReason::sequence_unsaved), 7u);
  allow(2 * kAll);
  sites.run();
  EXPECT_EQ(received().size() + sites.bob.dropped_in(DropReason::sequence_unsaved), kAll);
}

// Outbound the limit is far ahead; where it is reached all the same, nothing leaves.
TEST_F(HeldPackets, NothingLeavesAboveTheSavedNumbers) {
  sites.protect({});
  sites.alice.all[0]->sent.raise(10, 5);
  send(1, 30);
  EXPECT_EQ(sites.alice.node->sent().size(), 10u);
  EXPECT_EQ(sites.alice.dropped_out(DropReason::sequence_unsaved), 20u);
  EXPECT_EQ(sites.alice.all[0]->state, sad::SaState::mature);
  EXPECT_EQ(questions(sites.alice), 1u);
  sites.alice.all[0]->sent.raise(100, 50);
  send(31, 31);
  EXPECT_EQ(received().size(), 11u);
}

}  // namespace
}  // namespace adit::datapath
