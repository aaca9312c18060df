#include "ike/door/frame.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace adit::ike {
namespace {

using Bytes = std::vector<uint8_t>;

net::Address address(const char* text) {
  return *net::Address::parse(text);
}

Bytes frame_of(const Datagram& datagram) {
  FrameHeader header;
  EXPECT_EQ(write_frame_header(datagram, header), DropReason::none);
  Bytes frame(header.begin(), header.end());
  frame.insert(frame.end(), datagram.message.begin(), datagram.message.end());
  return frame;
}

class Frame : public ::testing::Test {
 protected:
  Frame() {
    for (size_t i = 0; i < message_.size(); ++i) message_[i] = static_cast<uint8_t>(i + 1);
  }
  [[nodiscard]] Datagram v4() const { return {address("1.2.3.4"), address("5.6.7.8"), 4501, message_}; }
  [[nodiscard]] Datagram v6() const { return {address("2001:db8::1"), address("2001:db8::2"), 500, message_}; }
  DropReason reason_to_write(Datagram datagram) {
    FrameHeader header;
    return write_frame_header(datagram, header);
  }
  DropReason reason_to_read(const Bytes& frame) {
    Datagram datagram;
    return read_frame(frame, datagram);
  }
  Bytes message_ = Bytes(40);
};

TEST_F(Frame, IsByteForByteAsTheHeaderFileSays) {
  const Bytes frame = frame_of(v4());
  const Bytes start{1, 4, 0x11, 0x95, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 6, 7, 8};
  ASSERT_EQ(frame.size(), 36u + 40u);
  EXPECT_TRUE(std::equal(start.begin(), start.end(), frame.begin()));
  EXPECT_TRUE(std::all_of(frame.begin() + 24, frame.begin() + 36, [](uint8_t octet) { return octet == 0; }));
  EXPECT_TRUE(std::equal(message_.begin(), message_.end(), frame.begin() + 36));
  const Bytes frame6 = frame_of(v6());
  EXPECT_EQ(frame6[1], 6);
  EXPECT_EQ(load_be16(&frame6[2]), 500);
  EXPECT_EQ(frame6[4], 0x20);
  EXPECT_EQ(frame6[19], 1);
  EXPECT_EQ(frame6[35], 2);
}

TEST_F(Frame, WhatWasWrittenIsRead) {
  for (const Datagram& written : {v4(), v6()}) {
    const Bytes frame = frame_of(written);
    Datagram read;
    ASSERT_EQ(read_frame(frame, read), DropReason::none);
    EXPECT_EQ(read.local, written.local);
    EXPECT_EQ(read.peer, written.peer);
    EXPECT_EQ(read.peer_port, written.peer_port);
    EXPECT_TRUE(std::ranges::equal(read.message, written.message));
  }
}

TEST_F(Frame, CutAnywhereItIsTruncatedOrAShorterMessage) {
  for (const Datagram& whole : {v4(), v6()}) {
    const Bytes frame = frame_of(whole);
    for (size_t length = 0; length < frame.size(); ++length) {
      const Bytes cut(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(length));  // its own end, for sanitizers
      const auto wanted = length < kFrameHeaderBytes + kLeastMessageBytes ? DropReason::truncated : DropReason::none;
      EXPECT_EQ(reason_to_read(cut), wanted) << length;
    }
  }
}

TEST_F(Frame, EachFieldIsChecked) {
  const auto with = [&](size_t at, uint8_t value) {
    Bytes frame = frame_of(v4());
    frame[at] = value;
    return reason_to_read(frame);
  };
  EXPECT_EQ(with(0, 0), DropReason::bad_header);
  EXPECT_EQ(with(0, 2), DropReason::bad_header) << "another version";
  for (int family = 0; family < 256; ++family) {
    if (family == 4 || family == 6) continue;
    EXPECT_EQ(with(1, static_cast<uint8_t>(family)), DropReason::bad_header) << family;
  }
  for (size_t at = 8; at < 20; ++at) EXPECT_EQ(with(at, 1), DropReason::bad_header) << "behind an IPv4 address";
  for (size_t at = 24; at < 36; ++at) EXPECT_EQ(with(at, 1), DropReason::bad_header) << "behind an IPv4 address";
  EXPECT_EQ(with(20, 224), DropReason::bad_header) << "a group";
  Bytes no_port = frame_of(v4());
  no_port[2] = no_port[3] = 0;
  EXPECT_EQ(reason_to_read(no_port), DropReason::bad_header);
}

TEST_F(Frame, WhatCannotBeAnsweredIsNotWritten) {
  const auto reason = [&](const auto& alter) {
    Datagram datagram = v4();
    alter(datagram);
    return reason_to_write(datagram);
  };
  EXPECT_EQ(reason([](Datagram&) {}), DropReason::none);
  EXPECT_EQ(reason([](Datagram& d) { d.peer_port = 0; }), DropReason::bad_header);
  EXPECT_EQ(reason([](Datagram& d) { d.peer = address("0.0.0.0"); }), DropReason::bad_header);
  EXPECT_EQ(reason([](Datagram& d) { d.peer = address("255.255.255.255"); }), DropReason::bad_header);
  EXPECT_EQ(reason([](Datagram& d) { d.local = address("224.0.0.1"); }), DropReason::bad_header);
  EXPECT_EQ(reason([](Datagram& d) { d.peer = address("2001:db8::1"); }), DropReason::bad_header);
  EXPECT_EQ(reason([](Datagram& d) { d.message = d.message.first(27); }), DropReason::truncated);
}

TEST_F(Frame, TheLargestMessageFitsAndOneMoreDoesNot) {
  message_.resize(kMostMessageBytes);
  const Bytes frame = frame_of(v4());
  EXPECT_EQ(frame.size(), kMostFrameBytes);
  EXPECT_EQ(reason_to_read(frame), DropReason::none);
  message_.resize(kMostMessageBytes + 1);
  EXPECT_EQ(reason_to_write(v4()), DropReason::bad_header);
  Bytes longer = frame;
  longer.push_back(0);
  EXPECT_EQ(reason_to_read(longer), DropReason::bad_header);
}

}  // namespace
}  // namespace adit::ike
