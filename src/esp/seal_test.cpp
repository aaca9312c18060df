#include "esp/testing/test_packets.h"

namespace adit::esp {
namespace {

const std::unique_ptr<crypto::Engine> engine = *crypto::make_engine(crypto::EngineKind::best);

TEST(Seal, WritesHeaderPaddingAndTrailerAsRfc4303) {
  const auto sa = make_sa({crypto::EncrAlg::null, crypto::AuthAlg::hmac_sha256, 0});
  const auto wire = sealed(*engine, *sa, {0xaa, 0xbb, 0xcc}, 41);
  ASSERT_EQ(wire.size(), 8u + 3 + 3 + 2 + 16);
  EXPECT_EQ(load_be32(&wire[0]), 0x01020304u);
  EXPECT_EQ(load_be32(&wire[4]), 1u);
  const std::vector<uint8_t> body(wire.begin() + 8, wire.end() - 16);
  EXPECT_EQ(body, (std::vector<uint8_t>{0xaa, 0xbb, 0xcc, 1, 2, 3, 3, 41}));
}

TEST(Seal, EveryLengthWithEverySuiteOpensAgainAndCostsItsOverhead) {
  for (const Suite& suite : kSuites) {
    for (const bool esn : {false, true}) {
      const auto out = make_sa(suite, esn), in = make_sa(suite, esn);
      Packets packets;
      std::vector<std::vector<uint8_t>> plain;
      for (size_t length = 0; length < 120; ++length)
        packets.add(plain.emplace_back(payload(length)), length % 2 ? 4 : 41);
      seal(*engine, *out, packets.all());
      for (size_t i = 0; i < plain.size(); ++i) {
        ASSERT_EQ(packets[i].drop, DropReason::none);
        EXPECT_EQ(packets[i].protocol, 50);
        EXPECT_EQ(packets[i].length, plain[i].size() + overhead(*out, static_cast<uint32_t>(plain[i].size())));
      }
      open(*engine, *in, packets.all());
      for (size_t i = 0; i < plain.size(); ++i) {
        ASSERT_EQ(packets[i].drop, DropReason::none) << name_of(suite.encr) << " length " << i;
        EXPECT_EQ(bytes_of(packets[i]), plain[i]);
        EXPECT_EQ(packets[i].protocol, i % 2 ? 4 : 41);
        EXPECT_EQ(packets[i].sequence, i + 1);
      }
    }
  }
}

TEST(Seal, TheLastSequenceNumbersAreUsedAndThenNoMore) {
  const auto sa = make_sa({});
  sa->set_last_sequence(0xffffffff - 3);
  Packets packets;
  for (int i = 0; i < 8; ++i) packets.add(payload(64));
  seal(*engine, *sa, packets.all());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(packets[i].drop, DropReason::none);
    EXPECT_EQ(packets[i].sequence, 0xfffffffdull + i);
  }
  for (int i = 3; i < 8; ++i) EXPECT_EQ(packets[i].drop, DropReason::sequence_exhausted);
}

TEST(Seal, WithoutRoomItTakesNoNumberAndSparesTheOthers) {
  const auto sa = make_sa({});
  Packets packets;
  for (int i = 0; i < 3; ++i) packets.add(payload(64));
  packets[0].headroom = 15;
  packets[2].tailroom = 10;
  seal(*engine, *sa, packets.all());
  EXPECT_EQ(packets[0].drop, DropReason::no_buffer);
  EXPECT_EQ(packets[1].drop, DropReason::none);
  EXPECT_EQ(packets[1].sequence, 1u);
  EXPECT_EQ(packets[2].drop, DropReason::no_buffer);
  EXPECT_EQ(sa->last_sequence(), 1u);
}

TEST(Seal, LeavesADroppedPacketAlone) {
  const auto sa = make_sa({});
  Packets packets;
  packets.add(payload(64)).drop = DropReason::rule_drop;
  seal(*engine, *sa, packets.all());
  EXPECT_EQ(packets[0].drop, DropReason::rule_drop);
  EXPECT_EQ(bytes_of(packets[0]), payload(64));
  EXPECT_EQ(sa->last_sequence(), 0u);
}

}  // namespace
}  // namespace adit::esp
