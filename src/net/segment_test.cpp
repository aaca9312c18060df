#include "net/segment.h"

#include <gtest/gtest.h>

#include "net/testing/made_packets.h"

namespace adit::net {
namespace {

using made::Bytes;
using Kind = Offload::Kind;

// As a TUN device gives it: the checksum field holds the pseudo header's sum.
Offload offload_of(Bytes& super, Kind kind, uint16_t segment_bytes) {
  IpHeader ip_header;
  EXPECT_EQ(read_ip_header(super, ip_header), DropReason::none);
  const uint8_t* source = super.data() + ip_header.address_offset();
  Offload offload;
  offload.kind = kind;
  offload.needs_checksum = true;
  offload.segment_bytes = segment_bytes;
  offload.checksum_start = static_cast<uint16_t>(ip_header.payload_offset);
  offload.checksum_offset = kind == Kind::udp ? 6 : 16;
  const Sum sum = pseudo_header(ip_header.family, source, source + address_bytes(ip_header.family), ip_header.protocol,
                                static_cast<uint32_t>(super.size()) - ip_header.payload_offset);
  store_be16(&super[offload.checksum_start + uint32_t{offload.checksum_offset}], sum.partial());
  return offload;
}

std::vector<Bytes> segments(const Bytes& super, const Offload& offload) {
  Segmenter segmenter;
  EXPECT_EQ(segmenter.begin(super, offload), DropReason::none);
  std::vector<Bytes> all;
  for (uint32_t i = 0; i < segmenter.count(); ++i) {
    Bytes segment(segmenter.length(i));
    EXPECT_EQ(segmenter.write(i, segment.data()), segment.size());
    all.push_back(segment);
  }
  return all;
}

constexpr uint8_t kFin = 1, kPsh = 8, kAck = 16, kCwr = 128;

TEST(Segment, TcpOverIpv4) {
  made::Ip spec;
  spec.identification = 0xffff;
  spec.options = {0x94, 4, 0, 0};
  made::Tcp t;
  t.sequence = 0xffffff00;
  t.flags = kAck | kPsh | kFin | kCwr;
  t.options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  const Bytes payload = made::pattern(3100);
  Bytes super = made::tcp(spec, t, payload);
  const auto all = segments(super, offload_of(super, Kind::tcp4, 1000));
  ASSERT_EQ(all.size(), 4u);
  Bytes joined;
  for (size_t i = 0; i < all.size(); ++i) {
    const Bytes& segment = all[i];
    EXPECT_EQ(load_be16(&segment[2]), segment.size());
    EXPECT_EQ(load_be16(&segment[4]), static_cast<uint16_t>(0xffff + i)) << "the identification wraps";
    EXPECT_EQ(load_be32(&segment[24 + 4]), static_cast<uint32_t>(0xffffff00u + 1000 * i)) << "the sequence wraps";
    EXPECT_TRUE(made::checksums_hold(segment, 24, kProtoTcp)) << i;
    const uint8_t flags = kAck | (i == 0 ? kCwr : 0) | (i == 3 ? kPsh | kFin : 0);
    EXPECT_EQ(segment[24 + 13], flags) << i;
    EXPECT_TRUE(std::equal(t.options.begin(), t.options.end(), segment.begin() + 44));
    joined.insert(joined.end(), segment.begin() + 56, segment.end());
  }
  EXPECT_EQ(all[3].size(), 56u + 100);
  EXPECT_EQ(joined, payload);
}

TEST(Segment, TcpOverIpv6WithExtensionHeader) {
  Bytes extension{kProtoTcp, 0, 1, 4, 0, 0, 0, 0};
  const Bytes inner = made::tcp(made::v6(), {}, made::pattern(2800));
  const Bytes tcp_part(inner.begin() + 40, inner.end());
  Bytes super = made::ip(made::v6(kNextDestination), made::operator+(extension, tcp_part));
  const auto all = segments(super, offload_of(super, Kind::tcp6, 1400));
  ASSERT_EQ(all.size(), 2u);
  for (const Bytes& segment : all) {
    EXPECT_EQ(segment.size(), 40u + 8 + 20 + 1400);
    EXPECT_EQ(load_be16(&segment[4]), segment.size() - 40);
    EXPECT_TRUE(made::checksums_hold(segment, 48, kProtoTcp));
  }
  EXPECT_EQ(load_be32(&all[1][48 + 4]), 2400u);
}

TEST(Segment, UdpOverBothFamilies) {
  for (const bool v6 : {false, true}) {
    const Bytes payload = made::pattern(2501);
    Bytes super = made::udp(v6 ? made::v6() : made::Ip{}, 1000, 2000, payload);
    const auto all = segments(super, offload_of(super, Kind::udp, 1000));
    ASSERT_EQ(all.size(), 3u);
    const size_t transport = v6 ? 40 : 20;
    Bytes joined;
    for (const Bytes& segment : all) {
      EXPECT_EQ(load_be16(&segment[transport + 4]), segment.size() - transport);
      EXPECT_TRUE(made::checksums_hold(segment, transport, kProtoUdp));
      joined.insert(joined.end(), segment.begin() + static_cast<ptrdiff_t>(transport) + 8, segment.end());
    }
    EXPECT_EQ(joined, payload);
  }
}

TEST(Segment, AWholeSuperPacketOfEverySizeHoldsTogether) {
  for (uint32_t size = 0; size < 400; ++size) {
    Bytes super = made::tcp({}, {}, made::pattern(size));
    const auto all = segments(super, offload_of(super, Kind::tcp4, 97));
    ASSERT_EQ(all.size(), std::max(1u, (size + 96) / 97));
    size_t payload = 0;
    for (const Bytes& segment : all) {
      ASSERT_TRUE(made::checksums_hold(segment, 20, kProtoTcp)) << size;
      payload += segment.size() - 40;
    }
    ASSERT_EQ(payload, size);
  }
}

TEST(Segment, WritesIntoPacketsWithTheRoomTheyWereGiven) {
  Bytes super = made::tcp({}, {}, made::pattern(2500));
  Segmenter segmenter;
  ASSERT_EQ(segmenter.begin(super, offload_of(super, Kind::tcp4, 1000)), DropReason::none);
  constexpr uint32_t kStride = kHeadroom + 1040 + kTailroom;
  Bytes buffer(3 * kStride, 0xee);
  std::array<Packet, 4> packets;
  for (size_t i = 0; i < 3; ++i) packets[i] = {buffer.data() + i * kStride + kHeadroom, 0, kHeadroom, 1040 + kTailroom};
  EXPECT_EQ(segmenter.write(1, std::span(packets).first(1)), 1u) << "from the middle";
  EXPECT_EQ(load_be32(packets[0].data + 24), 2000u);
  packets[0] = {buffer.data() + kHeadroom, 0, kHeadroom, 1040 + kTailroom};
  EXPECT_EQ(segmenter.write(0, packets), 3u);
  EXPECT_EQ(packets[0].length, 1040u);
  EXPECT_EQ(packets[0].tailroom, kTailroom);
  EXPECT_EQ(packets[2].length, 540u);
  EXPECT_EQ(packets[2].tailroom, kTailroom + 500);
  EXPECT_EQ(packets[1].headroom, kHeadroom);
  EXPECT_EQ(packets[1].protocol, kProtoIpv4);
  EXPECT_EQ(packets[0].data[-1], 0xee);
  EXPECT_EQ(packets[0].data[1040], 0xee);
  EXPECT_EQ(segmenter.write(3, packets), 0u);
}

TEST(Segment, UdpWithoutChecksumStaysWithout) {
  Bytes super = made::udp({}, 1, 2, made::pattern(100));
  store_be16(&super[26], 0);
  Offload offload;
  offload.kind = Kind::udp;
  offload.segment_bytes = 60;
  for (const Bytes& segment : segments(super, offload)) EXPECT_EQ(load_be16(&segment[26]), 0);
}

TEST(Segment, WhatItCannotCutIsRefused) {
  Bytes super = made::tcp({}, {}, made::pattern(3000));
  const Offload right = offload_of(super, Kind::tcp4, 1000);
  Segmenter segmenter;
  Offload wrong = right;
  wrong.kind = Kind::udp;
  EXPECT_EQ(segmenter.begin(super, wrong), DropReason::bad_header);
  wrong.kind = Kind::tcp6;
  EXPECT_EQ(segmenter.begin(super, wrong), DropReason::bad_header);
  wrong = right;
  wrong.segment_bytes = 0;
  EXPECT_EQ(segmenter.begin(super, wrong), DropReason::bad_header);
  wrong = right;
  wrong.checksum_start = 24;
  EXPECT_EQ(segmenter.begin(super, wrong), DropReason::bad_header);
  for (size_t size = 0; size < super.size(); size += size < 60 ? 1 : 500) {
    EXPECT_EQ(segmenter.begin(ByteSpan(super).first(size), right), DropReason::truncated) << size;
  }
  Bytes short_tcp = made::ip({.protocol = kProtoTcp}, made::pattern(19));
  EXPECT_EQ(segmenter.begin(short_tcp, right), DropReason::truncated);
  super[32] = 0xf0;  // data offset 60: allowed by the bytes that are there
  EXPECT_EQ(segmenter.begin(super, right), DropReason::none);
  super[32] = 0x40;
  EXPECT_EQ(segmenter.begin(super, right), DropReason::truncated);
}

TEST(FinishChecksum, CompletesAPartialOne) {
  for (const bool v6 : {false, true}) {
    Bytes packet = made::tcp(v6 ? made::v6() : made::Ip{}, {}, made::pattern(333));
    const Bytes right = packet;
    const Offload offload = offload_of(packet, v6 ? Kind::tcp6 : Kind::tcp4, 0);
    EXPECT_NE(packet, right);
    EXPECT_EQ(finish_checksum(packet, offload), DropReason::none);
    EXPECT_EQ(packet, right);
  }
}

TEST(FinishChecksum, UdpNeverSendsZero) {
  // The payload word is chosen so that the sum is all ones, whose complement 0 would say "no checksum".
  Bytes packet = made::udp({}, 1, 2, {0, 0});
  store_be16(&packet[28], load_be16(&packet[26]));
  const Offload offload = offload_of(packet, Kind::udp, 0);
  EXPECT_EQ(finish_checksum(packet, offload), DropReason::none);
  EXPECT_EQ(load_be16(&packet[26]), 0xffff);
}

TEST(FinishChecksum, LeavesOthersAloneAndRefusesPlacesOutside) {
  Bytes packet = made::tcp({}, {}, {});
  const Bytes before = packet;
  EXPECT_EQ(finish_checksum(packet, {}), DropReason::none);
  EXPECT_EQ(packet, before);
  Offload offload;
  offload.needs_checksum = true;
  offload.checksum_start = 39;
  EXPECT_EQ(finish_checksum(packet, offload), DropReason::truncated);
  offload.checksum_start = offload.checksum_offset = 65535;
  EXPECT_EQ(finish_checksum(packet, offload), DropReason::truncated);
}

}  // namespace
}  // namespace adit::net
