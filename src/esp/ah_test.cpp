#include "esp/ah_fields.h"
#include "esp/testing/test_packets.h"
#include "net/checksum.h"

namespace adit::esp {
namespace {

using Bytes = std::vector<uint8_t>;
const std::unique_ptr<crypto::Engine> engine = *crypto::make_engine(crypto::EngineKind::best);
const Suite kAh{crypto::EncrAlg::none, crypto::AuthAlg::hmac_sha256, 0};

Bytes v4_packet(const Bytes& options, size_t payload_length) {
  Bytes packet{0x45, 0x2e, 0, 0, 0x12, 0x34, 0x40, 0, 61, 4, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
  packet.insert(packet.end(), options.begin(), options.end());
  packet[0] = static_cast<uint8_t>(0x40 + packet.size() / 4);
  const Bytes data = payload(payload_length);
  packet.insert(packet.end(), data.begin(), data.end());
  store_be16(&packet[2], static_cast<uint16_t>(packet.size()));
  net::set_ipv4_checksum(packet.data());
  return packet;
}

Bytes v6_packet(uint8_t next, const Bytes& extensions, size_t payload_length) {
  Bytes packet(40);
  store_be32(packet.data(), 0x6ab12345);
  packet[6] = next;
  packet[7] = 64;
  for (size_t i = 8; i < 40; ++i) packet[i] = static_cast<uint8_t>(i);
  packet.insert(packet.end(), extensions.begin(), extensions.end());
  const Bytes data = payload(payload_length);
  packet.insert(packet.end(), data.begin(), data.end());
  store_be16(&packet[4], static_cast<uint16_t>(packet.size() - 40));
  return packet;
}

// Destination options with a tunnel encapsulation limit (immutable), then the inner IPv6 packet.
const Bytes kEncapLimit{41, 0, 4, 1, 4, 1, 1, 0};
// Hop-by-hop with a mutable option (0x3e), then IPv4.
const Bytes kMutableOption{4, 0, 0x3e, 4, 1, 2, 3, 4};

std::vector<Bytes> all_shapes() {
  return {v4_packet({}, 60), v4_packet({148, 4, 0, 0, 7, 7, 4, 1, 1, 1, 1, 0}, 41), v6_packet(4, {}, 60),
          v6_packet(60, kEncapLimit, 33), v6_packet(0, kMutableOption, 0)};
}

Bytes ah_sealed(sad::Sa& sa, const Bytes& bytes) {
  Packets one;
  one.add(bytes);
  ah_seal(*engine, sa, one.all());
  EXPECT_EQ(one[0].drop, DropReason::none);
  return bytes_of(one[0]);
}

DropReason ah_opened(sad::Sa& sa, const Bytes& bytes, Bytes* result = nullptr) {
  Packets one;
  one.add(bytes);
  ah_open(*engine, sa, one.all());
  if (result != nullptr) *result = bytes_of(one[0]);
  return one[0].drop;
}

TEST(Ah, EveryShapeAndAlgorithmComesBackAsItWas) {
  for (const auto auth : {crypto::AuthAlg::hmac_md5, crypto::AuthAlg::hmac_sha1, crypto::AuthAlg::hmac_sha256,
                          crypto::AuthAlg::hmac_sha384, crypto::AuthAlg::hmac_sha512}) {
    for (const bool esn : {false, true}) {
      const Suite suite{crypto::EncrAlg::none, auth, 0};
      const auto out = make_sa(suite, esn), in = make_sa(suite, esn);
      for (const Bytes& packet : all_shapes()) {
        const Bytes wire = ah_sealed(*out, packet);
        Bytes back;
        EXPECT_EQ(ah_opened(*in, wire, &back), DropReason::none) << name_of(auth);
        EXPECT_EQ(back, packet);
      }
    }
  }
}

TEST(Ah, StandsWhereRfc4302PutsItWithTheAlignmentOfItsFamily) {
  const auto sa = make_sa(kAh);
  const Bytes v4 = ah_sealed(*sa, v4_packet({148, 4, 0, 0}, 10));
  EXPECT_EQ(v4[9], 51);
  EXPECT_EQ(v4[24], 4) << "next header";
  EXPECT_EQ(v4[25], 28 / 4 - 2);
  EXPECT_EQ(load_be16(&v4[2]), v4.size());
  EXPECT_EQ(net::checksum(std::span(v4).first(24)), 0);
  const Bytes v6 = ah_sealed(*sa, v6_packet(60, kEncapLimit, 10));
  EXPECT_EQ(v6[6], 60);
  EXPECT_EQ(v6[40], 51) << "behind the destination options";
  EXPECT_EQ(v6[48], 41);
  EXPECT_EQ(v6[49], 32 / 4 - 2) << "28 bytes padded to 32";
  EXPECT_EQ(load_be32(&v6[56]), 2u) << "sequence number";
}

// The bytes that the network may change on the way; everything else is covered.
bool is_mutable(const Bytes& packet, size_t at) {
  if (packet[0] >> 4 == 4) {
    const bool option = packet[0] == 0x48 && at >= 24 && at < 31 && at != 25;  // record route; not its length
    return at == 1 || (at >= 6 && at <= 8) || at == 10 || at == 11 || option;
  }
  const bool option = packet[6] == 0 && at >= 44 && at < 48;
  return at < 4 || at == 7 || option;  // the changed bit of byte 0 is one of the traffic class
}

TEST(Ah, EveryByteIsCoveredOrMutable) {
  const auto out = make_sa(kAh);
  for (const Bytes& packet : all_shapes()) {
    const Bytes wire = ah_sealed(*out, packet);
    for (size_t at = 0; at < wire.size(); ++at) {
      const auto in = make_sa(kAh);
      Bytes changed = wire;
      changed[at] ^= at >= 6 && at < 8 && wire[0] >> 4 == 4 ? 0x40 : 0x04;  // not so that it becomes a fragment
      const bool fragment = wire[0] >> 4 == 4 && at == 7;
      const DropReason drop = ah_opened(*in, changed);
      if (is_mutable(wire, at) && !fragment) {
        EXPECT_EQ(drop, DropReason::none) << "version " << (wire[0] >> 4) << " byte " << at;
      } else {
        EXPECT_NE(drop, DropReason::none) << "version " << (wire[0] >> 4) << " byte " << at;
      }
    }
  }
}

TEST(Ah, EveryTruncationIsDropped) {
  const auto out = make_sa(kAh);
  for (const Bytes& packet : all_shapes()) {
    const Bytes wire = ah_sealed(*out, packet);
    for (size_t length = 0; length < wire.size(); ++length) {
      const auto in = make_sa(kAh);
      Bytes cut(wire.begin(), wire.begin() + static_cast<ptrdiff_t>(length));
      EXPECT_NE(ah_opened(*in, cut), DropReason::none);
      if (length >= 40) {  // and with a length field that agrees
        if (wire[0] >> 4 == 4)
          store_be16(&cut[2], static_cast<uint16_t>(length));
        else
          store_be16(&cut[4], static_cast<uint16_t>(length - 40));
        EXPECT_NE(ah_opened(*in, cut), DropReason::none);
      }
    }
  }
}

TEST(Ah, ReplaysAndEsn) {
  const auto out = make_sa(kAh, true), in = make_sa(kAh, true);
  out->set_last_sequence(0xffffffff);
  in->replay.set_highest(0xffffffff);
  const Bytes wire = ah_sealed(*out, v4_packet({}, 20));
  EXPECT_EQ(load_be32(&wire[20 + 8]), 0u);
  EXPECT_EQ(ah_opened(*in, wire), DropReason::none);
  EXPECT_EQ(ah_opened(*in, wire), DropReason::replay);
  EXPECT_EQ(in->replay.highest(), 0x1'0000'0000u);
}

TEST(Ah, APeerThatPadsTo8BytesWithIpv4IsUnderstood) {
  const auto out = make_sa(kAh), in = make_sa(kAh);
  Bytes wire = ah_sealed(*out, v4_packet({}, 20));
  wire.insert(wire.begin() + 20 + 28, 4, 0);  // 28 -> 32 bytes
  wire[21] = 32 / 4 - 2;
  store_be16(&wire[2], static_cast<uint16_t>(wire.size()));
  std::fill_n(wire.begin() + 20 + 12, 16, uint8_t{0});
  Bytes muted = wire;
  ASSERT_TRUE(zero_mutable_fields(muted.data(), {20, 9, false}));
  crypto::Job job;
  job.data = muted.data();
  job.length = static_cast<uint32_t>(muted.size());
  job.icv = &wire[20 + 12];
  job.sequence = 1;
  engine->seal(*out->transform, {&job, 1});
  Bytes back;
  EXPECT_EQ(ah_opened(*in, wire, &back), DropReason::none);
  EXPECT_EQ(back, v4_packet({}, 20));
}

TEST(Ah, RefusesFragmentsAndBrokenHeaders) {
  const auto out = make_sa(kAh);
  const auto refuse = [&](Bytes packet) {
    Packets one;
    one.add(std::move(packet));
    ah_seal(*engine, *out, one.all());
    return one[0].drop;
  };
  Bytes fragment = v4_packet({}, 20);
  fragment[6] = 0x20;
  EXPECT_EQ(refuse(fragment), DropReason::bad_header);
  EXPECT_EQ(refuse(v6_packet(44, {4, 0, 0, 1, 0, 0, 0, 1}, 20)), DropReason::bad_header);
  EXPECT_EQ(refuse(v6_packet(43, {4, 2, 0, 1, 0, 0, 0, 0}, 40)), DropReason::bad_header)
      << "a routing header under way";
  EXPECT_EQ(refuse(v4_packet({7, 9, 4, 0}, 20)), DropReason::bad_header) << "an option longer than the header";
  EXPECT_EQ(refuse(v4_packet({7, 1, 4, 0}, 20)), DropReason::bad_header);
  EXPECT_EQ(refuse(v6_packet(60, {4, 0, 1, 9, 0, 0, 0, 0}, 20)), DropReason::bad_header);
  EXPECT_EQ(refuse(v6_packet(60, {4, 200, 1, 4}, 20)), DropReason::truncated);
  EXPECT_EQ(refuse({0x75, 0, 0, 20}), DropReason::bad_header);
  EXPECT_EQ(refuse({}), DropReason::truncated);
}

TEST(Ah, ASourceRouteIsCoveredAsItWillArrive) {
  Bytes sent = v4_packet({131, 7, 4, 9, 9, 9, 9, 0}, 8), arrived = v4_packet({131, 7, 8, 5, 6, 7, 8, 0}, 8);
  std::fill_n(arrived.begin() + 16, 4, uint8_t{9});  // the last hop of the route
  for (Bytes* packet : {&sent, &arrived}) ASSERT_TRUE(zero_mutable_fields(packet->data(), *find_ah_place(*packet)));
  EXPECT_EQ(sent, arrived);
}

TEST(Ah, WrapsAnEspPacketAndBack) {
  const auto ah_out = make_sa(kAh), ah_in = make_sa(kAh), esp_out = make_sa({}), esp_in = make_sa({});
  const Bytes esp = sealed(*engine, *esp_out, payload(100), 4);
  Bytes packet = v4_packet({}, 0);
  packet[9] = 50;
  packet.insert(packet.end(), esp.begin(), esp.end());
  store_be16(&packet[2], static_cast<uint16_t>(packet.size()));
  net::set_ipv4_checksum(packet.data());
  Bytes back;
  EXPECT_EQ(ah_opened(*ah_in, ah_sealed(*ah_out, packet), &back), DropReason::none);
  EXPECT_EQ(back, packet);
  Packets inner;
  EXPECT_EQ(open_one(*engine, *esp_in, inner, Bytes(back.begin() + 20, back.end())).drop, DropReason::none);
  EXPECT_EQ(bytes_of(inner[0]), payload(100));
}

}  // namespace
}  // namespace adit::esp
