#include "net/checksum.h"

#include <gtest/gtest.h>

#include "net/testing/made_packets.h"

namespace adit::net {
namespace {

using made::Bytes;

// RFC 1071 read aloud.
uint16_t plain(ByteSpan bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

TEST(Checksum, Rfc1071Example) {
  const Bytes bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(checksum(bytes), static_cast<uint16_t>(~0xddf2));
}

TEST(Checksum, AgreesWithThePlainSumAtEveryLengthAndPlace) {
  const Bytes bytes = made::pattern(700);
  for (size_t begin = 0; begin < 9; ++begin) {
    for (size_t size = 0; begin + size <= bytes.size(); ++size) {
      const ByteSpan piece(bytes.data() + begin, size);
      ASSERT_EQ(checksum(piece), plain(piece)) << "at " << begin << ", " << size << " bytes";
    }
  }
}

TEST(Checksum, FullOnesDoNotOverflow) {
  const Bytes bytes(65535, 0xff);
  EXPECT_EQ(checksum(bytes), plain(bytes));
}

TEST(Checksum, CopyingGivesTheSameSumAndTheSameBytesAndNoMore) {
  const Bytes from = made::pattern(300);
  for (size_t size = 0; size <= from.size(); ++size) {
    Bytes to(size + 1, 0xa5);
    Sum sum;
    sum.add_copying(to.data(), ByteSpan(from).first(size));
    ASSERT_EQ(sum.checksum(), plain(ByteSpan(from).first(size)));
    ASSERT_TRUE(std::equal(from.begin(), from.begin() + static_cast<ptrdiff_t>(size), to.begin()));
    ASSERT_EQ(to[size], 0xa5) << "wrote past the end";
  }
}

TEST(Checksum, PiecesAddUpToTheWhole) {
  const Bytes bytes = made::pattern(1001);
  Sum sum;
  sum.add(ByteSpan(bytes).first(20));
  sum.add(ByteSpan(bytes).subspan(20, 480));
  Sum rest;
  rest.add(ByteSpan(bytes).subspan(500));
  sum.add(rest);
  EXPECT_EQ(sum.checksum(), plain(bytes));
}

TEST(Checksum, PseudoHeaderOfBothFamilies) {
  const Address a4 = made::address("192.0.2.1"), b4 = made::address("198.51.100.7");
  const Bytes v4{192, 0, 2, 1, 198, 51, 100, 7, 0, 6, 0x05, 0xdc};
  EXPECT_EQ(pseudo_header(Family::v4, a4.bytes().data(), b4.bytes().data(), 6, 1500).checksum(), plain(v4));

  const Address a6 = made::address("2001:db8::1"), b6 = made::address("fe80::1:2:3:4");
  Bytes v6(a6.bytes().begin(), a6.bytes().end());
  v6.insert(v6.end(), b6.bytes().begin(), b6.bytes().end());
  for (const int byte : {0, 1, 0x11, 0x70, 0, 0, 0, 17}) v6.push_back(static_cast<uint8_t>(byte));
  EXPECT_EQ(pseudo_header(Family::v6, a6.bytes().data(), b6.bytes().data(), 17, 70000).checksum(), plain(v6));
}

TEST(Checksum, IncrementalUpdateIsTheSumAnew) {
  Bytes bytes = made::pattern(60);
  uint16_t running = checksum(bytes);
  for (uint32_t round = 0; round < 2000; ++round) {
    const size_t at = round * 2 % 60;
    const uint16_t old_word = load_be16(&bytes[at]);
    const auto new_word = static_cast<uint16_t>(round * 40503u);
    store_be16(&bytes[at], new_word);
    running = update_checksum(running, old_word, new_word);
    ASSERT_EQ(running, checksum(bytes)) << "round " << round;
  }
}

TEST(Checksum, Rfc1624ExampleKeepsTheRightZero) {
  EXPECT_EQ(update_checksum(0xdd2f, 0x5555, 0x3285), 0x0000);  // eqn. 2 would give 0xffff
}

TEST(Checksum, IncrementalUpdateOfOneByteAtAnOddPlace) {
  Bytes bytes = made::pattern(40);
  const uint16_t before = checksum(bytes);
  const uint8_t old_byte = bytes[7];
  bytes[7] = 0x5a;
  EXPECT_EQ(update_checksum_byte(before, 7, old_byte, 0x5a), checksum(bytes));
}

TEST(Checksum, Ipv4HeaderIsRightAfterSetting) {
  Bytes header{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xde, 0xad, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7};
  set_ipv4_checksum(header.data());
  EXPECT_EQ(load_be16(&header[10]), 0xb861);
}

}  // namespace
}  // namespace adit::net
