#include "esp/testing/test_packets.h"

namespace adit::esp {
namespace {

const std::unique_ptr<crypto::Engine> engine = *crypto::make_engine(crypto::EngineKind::best);

TEST(Open, OneWrongByteAnywhereIsNeverAccepted) {
  for (const Suite& suite : kSuites) {
    for (const bool esn : {false, true}) {
      const auto out = make_sa(suite, esn), in = make_sa(suite, esn);
      const auto wire = sealed(*engine, *out, payload(40));
      Packets packets;
      for (size_t at = 4; at < wire.size(); ++at) {  // the SPI led to this SA; it is covered all the same
        auto bad = wire;
        bad[at] ^= 0x40;
        EXPECT_EQ(open_one(*engine, *in, packets, bad).drop, DropReason::bad_icv)
            << name_of(suite.encr) << " byte " << at;
      }
      for (size_t at = 0; at < 4; ++at) {
        auto bad = wire;
        bad[at] ^= 1;
        EXPECT_EQ(open_one(*engine, *in, packets, bad).drop, DropReason::bad_icv);
      }
      EXPECT_EQ(open_one(*engine, *in, packets, wire).drop, DropReason::none) << "nothing of it moved the window";
    }
  }
}

TEST(Open, EveryTruncationIsDropped) {
  for (const Suite& suite : kSuites) {
    const auto out = make_sa(suite), in = make_sa(suite);
    const auto wire = sealed(*engine, *out, payload(40));
    for (size_t length = 0; length < wire.size(); ++length) {
      Packets packets;
      const std::vector<uint8_t> cut(wire.begin(), wire.begin() + static_cast<ptrdiff_t>(length));
      const DropReason drop = open_one(*engine, *in, packets, cut).drop;
      EXPECT_TRUE(drop == DropReason::truncated || drop == DropReason::bad_padding || drop == DropReason::bad_icv)
          << name_of(suite.encr) << " " << length;
    }
  }
}

TEST(Open, TheSecondOfTwoInOneBurstIsAReplay) {
  const auto out = make_sa({}), in = make_sa({});
  const auto wire = sealed(*engine, *out, payload(64));
  Packets packets;
  packets.add(wire);
  packets.add(wire);
  open(*engine, *in, packets.all());
  EXPECT_EQ(packets[0].drop, DropReason::none);
  EXPECT_EQ(packets[1].drop, DropReason::replay);
  EXPECT_EQ(open_one(*engine, *in, packets, wire).drop, DropReason::replay);
}

TEST(Open, WindowEdges) {
  const auto out = make_sa({}), in = make_sa({}, false, 64);
  std::vector<std::vector<uint8_t>> wire;
  for (int i = 0; i <= 100; ++i) wire.push_back(sealed(*engine, *out, payload(20)));  // wire[i] is number i + 1
  Packets packets;
  EXPECT_EQ(open_one(*engine, *in, packets, wire[99]).drop, DropReason::none);    // 100 is the highest
  EXPECT_EQ(open_one(*engine, *in, packets, wire[35]).drop, DropReason::replay);  // 36: just left of the window
  EXPECT_EQ(open_one(*engine, *in, packets, wire[36]).drop, DropReason::none);    // 37: its left edge
  EXPECT_EQ(open_one(*engine, *in, packets, wire[36]).drop, DropReason::replay);
  EXPECT_EQ(open_one(*engine, *in, packets, wire[100]).drop, DropReason::none);
  EXPECT_EQ(open_one(*engine, *in, packets, wire[37]).drop, DropReason::none);
}

TEST(Open, NumberZeroIsNeverRight) {
  const auto in = make_sa({crypto::EncrAlg::null, crypto::AuthAlg::hmac_sha256, 0});
  Packets packets;
  std::vector<uint8_t> wire(8 + 4 + 16);
  EXPECT_EQ(open_one(*engine, *in, packets, wire).drop, DropReason::replay);
}

TEST(Open, SequenceNumbersCross32BitsWithEsnInAnyOrder) {
  for (const Suite& suite : kSuites) {
    const auto out = make_sa(suite, true), in = make_sa(suite, true);
    out->set_last_sequence(0xffffffff - 20);
    in->replay.set_highest(0xffffffff - 20);
    Packets packets;
    for (uint32_t i = 0; i < 40; ++i) packets.add(payload(100, i));
    seal(*engine, *out, packets.all());
    auto& all = packets.all();
    std::mt19937 random(5);
    std::shuffle(all.begin(), all.end(), random);
    open(*engine, *in, std::span(all).first(17));
    open(*engine, *in, std::span(all).subspan(17));
    for (const net::Packet& packet : all) EXPECT_EQ(packet.drop, DropReason::none) << name_of(suite.encr);
    EXPECT_EQ(in->replay.highest(), 0xffffffffull + 20);
  }
}

TEST(Open, DummiesAndTfcPadding) {
  const auto out = make_sa({}), in = make_sa({});
  Packets packets;
  EXPECT_EQ(open_one(*engine, *in, packets, sealed(*engine, *out, payload(33), 59)).drop, DropReason::dummy);
  auto with_tfc = payload(20);
  with_tfc.resize(500);
  const net::Packet& packet = open_one(*engine, *in, packets, sealed(*engine, *out, with_tfc, 4));
  EXPECT_EQ(packet.drop, DropReason::none);
  EXPECT_EQ(packet.length, 500u);
}

// Authentic bytes that are no ESP payload: sealed by the engine without the trailer that seal writes.
DropReason open_authentic(std::vector<uint8_t> body) {
  const Suite null{crypto::EncrAlg::null, crypto::AuthAlg::hmac_sha256, 0};
  const auto out = make_sa(null), in = make_sa(null);
  std::vector<uint8_t> wire{1, 2, 3, 4, 0, 0, 0, 1};
  wire.insert(wire.end(), body.begin(), body.end());
  wire.resize(wire.size() + 16);
  crypto::Job job;
  job.aad = wire.data();
  job.aad_length = 8;
  job.iv = job.data = wire.data() + 8;
  job.length = static_cast<uint32_t>(body.size());
  job.icv = job.data + job.length;
  engine->seal(*out->transform, {&job, 1});
  Packets packets;
  return open_one(*engine, *in, packets, wire).drop;
}

TEST(Open, PaddingMustBeOneTwoThreeAndFit) {
  EXPECT_EQ(open_authentic({1, 2, 2, 4}), DropReason::none);
  EXPECT_EQ(open_authentic({9, 0, 0, 4}), DropReason::none);
  EXPECT_EQ(open_authentic({1, 3, 2, 4}), DropReason::bad_padding);
  EXPECT_EQ(open_authentic({0, 0, 3, 4}), DropReason::bad_padding) << "more padding than packet";
  EXPECT_EQ(open_authentic({0, 0, 255, 4}), DropReason::bad_padding);
  EXPECT_EQ(open_authentic({1, 2, 3, 4, 5, 0, 4}), DropReason::bad_padding) << "not a multiple of 4";
  std::vector<uint8_t> longest(257);
  for (size_t i = 0; i < 255; ++i) longest[i + 1] = static_cast<uint8_t>(i + 1);
  longest.push_back(255);
  longest.push_back(4);
  longest.insert(longest.begin(), 1, 7);
  EXPECT_EQ(longest.size() % 4, 0u);
  EXPECT_EQ(open_authentic(longest), DropReason::bad_padding) << "off by one byte";
}

TEST(Open, WithoutIntegrityThereIsNoReplayProtectionToAbuse) {
  const Suite bare{crypto::EncrAlg::aes_cbc, crypto::AuthAlg::none, 16};
  const auto out = make_sa(bare), in = make_sa(bare);
  const auto first = sealed(*engine, *out, payload(30));
  auto forged = first;
  store_be32(&forged[4], 0xffffff00);
  Packets packets;
  open_one(*engine, *in, packets, forged);
  EXPECT_EQ(open_one(*engine, *in, packets, first).drop, DropReason::none);
  EXPECT_EQ(in->replay.highest(), 0u);
}

TEST(Open, LeavesADroppedPacketAlone) {
  const auto in = make_sa({});
  Packets packets;
  packets.add(payload(64)).drop = DropReason::wrong_outer;
  open(*engine, *in, packets.all());
  EXPECT_EQ(packets[0].drop, DropReason::wrong_outer);
}

}  // namespace
}  // namespace adit::esp
