#include "linux/ike_door/pair.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

namespace adit::platform {
namespace {

using Bytes = std::vector<uint8_t>;
using Taken = ike::Port::Taken;

class PairTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pair = make_ike_pair();
    ASSERT_TRUE(pair) << pair.error().text;
    pair_ = std::move(*pair);
  }
  [[nodiscard]] ike::Datagram datagram() const {
    return {*net::Address::parse("1.2.3.4"), *net::Address::parse("5.6.7.8"), 61000, message_};
  }
  // What in.iked reads; empty: nothing.
  Bytes read() {
    Bytes room(ike::kMostFrameBytes + 1);
    const ssize_t got = recv(pair_.far.get(), room.data(), room.size(), MSG_DONTWAIT);
    room.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return room;
  }
  void write(const Bytes& frame) {
    EXPECT_EQ(send(pair_.far.get(), frame.data(), frame.size(), MSG_NOSIGNAL), static_cast<ssize_t>(frame.size()));
  }
  Taken take() { return pair_.port->take(outgoing_); }

  IkePair pair_;
  Bytes message_ = Bytes(100, 7);
  ike::Port::Outgoing outgoing_;
};

TEST_F(PairTest, WhatIsGivenIsReadAndWhatIsWrittenBackComesBehindTheMarker) {
  EXPECT_EQ(take(), Taken::nothing);
  ASSERT_EQ(pair_.port->give(datagram()), DropReason::none);
  const Bytes frame = read();
  ASSERT_EQ(frame.size(), ike::kFrameHeaderBytes + message_.size());
  write(frame);
  ASSERT_EQ(take(), Taken::datagram);
  EXPECT_EQ(outgoing_.datagram.peer, datagram().peer);
  EXPECT_EQ(outgoing_.datagram.local, datagram().local);
  EXPECT_EQ(outgoing_.datagram.peer_port, 61000);
  Bytes wanted(4);
  wanted.insert(wanted.end(), message_.begin(), message_.end());
  EXPECT_EQ(Bytes(outgoing_.payload.begin(), outgoing_.payload.end()), wanted);
  EXPECT_EQ(take(), Taken::nothing);
}

TEST_F(PairTest, TheLargestMessageGoesThroughBothWays) {
  message_.resize(ike::kMostMessageBytes, 9);
  ASSERT_EQ(pair_.port->give(datagram()), DropReason::none);
  const Bytes frame = read();
  ASSERT_EQ(frame.size(), ike::kMostFrameBytes);
  write(frame);
  ASSERT_EQ(take(), Taken::datagram);
  EXPECT_EQ(outgoing_.payload.size(), ike::kMostMessageBytes + 4);
}

TEST_F(PairTest, AStoppedReaderFillsABoundedQueueAndMakesNobodyWait) {
  size_t given = 0;
  const auto began = std::chrono::steady_clock::now();
  while (pair_.port->give(datagram()) == DropReason::none && given < 100'000) ++given;
  EXPECT_GE(given, 200u);
  EXPECT_LE(given, 4000u);
  EXPECT_EQ(pair_.port->give(datagram()), DropReason::ike_queue_full);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
  EXPECT_FALSE(read().empty());
  EXPECT_EQ(pair_.port->give(datagram()), DropReason::none) << "as soon as it reads";
}

TEST_F(PairTest, ManyWorkersGiveWhole) {
  std::atomic<int> given{0};
  std::vector<std::jthread> workers;
  for (uint8_t worker = 1; worker <= 4; ++worker)
    workers.emplace_back([&, worker] {
      const Bytes message(50u * worker, worker);
      for (int i = 0; i < 50; ++i) {
        ike::Datagram mine = datagram();
        mine.message = message;
        given += pair_.port->give(mine) == DropReason::none;
      }
    });
  workers.clear();
  int whole = 0;
  for (Bytes frame = read(); !frame.empty(); frame = read()) {
    ike::Datagram came;
    ASSERT_EQ(ike::read_frame(frame, came), DropReason::none);
    ASSERT_EQ(Bytes(came.message.begin(), came.message.end()), Bytes(50u * came.message[0], came.message[0]));
    ++whole;
  }
  EXPECT_EQ(whole, given.load());
  EXPECT_EQ(whole, 200);
}

TEST_F(PairTest, WhatIsNoFrameIsRefusedAndTheNextComes) {
  ASSERT_EQ(pair_.port->give(datagram()), DropReason::none);
  const Bytes frame = read();
  write(Bytes(10));
  write(Bytes(ike::kMostFrameBytes + 100, 1));
  ASSERT_EQ(send(pair_.far.get(), nullptr, 0, MSG_NOSIGNAL), 0);
  write(frame);
  EXPECT_EQ(take(), Taken::refused);
  EXPECT_EQ(outgoing_.reason, DropReason::truncated);
  EXPECT_EQ(take(), Taken::refused);
  EXPECT_EQ(outgoing_.reason, DropReason::bad_header);
  EXPECT_EQ(take(), Taken::refused) << "an empty packet is not the end";
  EXPECT_EQ(outgoing_.reason, DropReason::truncated);
  EXPECT_EQ(take(), Taken::datagram);
}

TEST_F(PairTest, TheOtherEndsCloseIsSeenByAll) {
  EXPECT_FALSE(pair_.port->closed());
  pair_.far = Descriptor();
  EXPECT_TRUE(pair_.port->closed());
  EXPECT_EQ(take(), Taken::closed);
  EXPECT_EQ(pair_.port->give(datagram()), DropReason::no_ike);
}

}  // namespace
}  // namespace adit::platform
