#include "net/fragment.h"

#include <gtest/gtest.h>

#include "net/testing/made_packets.h"

namespace adit::net {
namespace {

using made::Bytes;

std::vector<Bytes> fragments(const Bytes& packet, uint32_t mtu) {
  Fragmenter fragmenter;
  EXPECT_EQ(fragmenter.begin(packet, mtu), DropReason::none);
  std::vector<Bytes> all;
  for (uint32_t i = 0; i < fragmenter.count(); ++i) {
    all.emplace_back(fragmenter.length(i));
    EXPECT_EQ(fragmenter.write(i, all.back().data()), all.back().size());
  }
  return all;
}

TEST(Fragment, CoversThePayloadOnceAndFitsForEverySizeAndMtu) {
  for (size_t size = 0; size < 300; size += 7) {
    for (uint32_t mtu = 28; mtu < 120; mtu += 3) {
      made::Ip spec;
      spec.fragment = 0;
      const Bytes payload = made::pattern(size);
      Bytes joined;
      const auto all = fragments(made::ip(spec, payload), mtu);
      for (size_t i = 0; i < all.size(); ++i) {
        const Bytes& piece = all[i];
        ASSERT_LE(piece.size(), mtu);
        ASSERT_EQ(load_be16(&piece[2]), piece.size());
        ASSERT_EQ(load_be16(&piece[6]), (i + 1 == all.size() ? 0u : 0x2000u) | joined.size() / 8);
        ASSERT_EQ(checksum(ByteSpan(piece).first(20)), 0);
        joined.insert(joined.end(), piece.begin() + 20, piece.end());
      }
      ASSERT_EQ(joined, payload);
    }
  }
}

TEST(Fragment, OnlyCopiedOptionsFollow) {
  made::Ip spec;
  spec.fragment = 0;
  spec.options = {7,    7, 4, 0, 0,    0, 0, 1,
                  0x94, 4, 0, 0, 0x83, 3, 4, 0};  // record route, nop, router alert, loose route, end
  const auto all = fragments(made::ip(spec, made::pattern(100)), 68);
  ASSERT_GT(all.size(), 2u);
  EXPECT_EQ(all[0][0], 0x49);
  EXPECT_EQ(all[1][0], 0x47);
  const Bytes kept(all[1].begin() + 20, all[1].begin() + 28);
  EXPECT_EQ(kept, (Bytes{0x94, 4, 0, 0, 0x83, 3, 4, 0}));
  EXPECT_EQ(checksum(ByteSpan(all[1]).first(28)), 0);
}

TEST(Fragment, AFragmentIsCutFurther) {
  made::Ip spec;
  spec.fragment = 0x2000 | 100;
  const auto all = fragments(made::ip(spec, made::pattern(160)), 100);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(load_be16(&all[0][6]), 0x2000 | 100);
  EXPECT_EQ(load_be16(&all[1][6]), 0x2000 | 110) << "more follow, since this was not the last";
}

TEST(Fragment, RefusesDfOtherFamiliesAndMtusWithoutRoom) {
  Fragmenter fragmenter;
  made::Ip spec;
  EXPECT_EQ(fragmenter.begin(made::ip(spec, made::pattern(1500)), 1400), DropReason::too_big);
  EXPECT_EQ(fragmenter.begin(made::ip(spec, made::pattern(100)), 1400), DropReason::none) << "it fits";
  EXPECT_EQ(fragmenter.count(), 1u);
  EXPECT_EQ(fragmenter.begin(made::ip(made::v6(), made::pattern(1500)), 1400), DropReason::bad_header);
  spec.fragment = 0;
  const Bytes packet = made::ip(spec, made::pattern(100));
  EXPECT_EQ(fragmenter.begin(packet, 27), DropReason::too_big);
  for (size_t size = 0; size < packet.size(); ++size) {
    EXPECT_EQ(fragmenter.begin(ByteSpan(packet).first(size), 60), DropReason::truncated);
  }
}

}  // namespace
}  // namespace adit::net
