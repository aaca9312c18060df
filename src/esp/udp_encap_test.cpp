#include "esp/udp_encap.h"

#include <gtest/gtest.h>

#include <vector>

namespace adit::esp {
namespace {

UdpPayload of(std::vector<uint8_t> bytes, size_t size) {
  bytes.resize(size);
  return classify(bytes);
}

TEST(UdpEncap, TellsEspIkeAndKeepaliveApart) {
  EXPECT_EQ(of({0xff}, 1), UdpPayload::keepalive);
  EXPECT_EQ(of({0, 0, 1, 0}, 60), UdpPayload::esp);
  EXPECT_EQ(of({0, 0, 0, 0, 9}, 32), UdpPayload::ike);
}

TEST(UdpEncap, WhatIsTooShortIsMalformed) {
  EXPECT_EQ(of({}, 0), UdpPayload::malformed);
  EXPECT_EQ(of({0xfe}, 1), UdpPayload::malformed);
  EXPECT_EQ(of({0xff, 0xff}, 2), UdpPayload::malformed) << "a keepalive is one byte";
  EXPECT_EQ(of({1, 2, 3, 4}, 7), UdpPayload::malformed);
  EXPECT_EQ(of({1, 2, 3, 4}, 8), UdpPayload::esp);
  EXPECT_EQ(of({0, 0, 0, 0}, 31), UdpPayload::malformed) << "the marker without an IKE header";
}

TEST(UdpEncap, WritesTheHeader) {
  uint8_t header[8];
  write_udp_header(header, 4500, 61000, 100);
  EXPECT_EQ(load_be16(header), 4500);
  EXPECT_EQ(load_be16(header + 2), 61000);
  EXPECT_EQ(load_be16(header + 4), 108);
  EXPECT_EQ(load_be16(header + 6), 0);
}

}  // namespace
}  // namespace adit::esp
