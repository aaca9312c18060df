#include "net/mss.h"

#include <gtest/gtest.h>

#include "net/testing/made_packets.h"

namespace adit::net {
namespace {

using made::Bytes;

constexpr uint8_t kSyn = 2, kAck = 16;

Bytes syn(bool v6, Bytes options, uint8_t flags = kSyn) {
  made::Tcp t;
  t.flags = flags;
  t.options = std::move(options);
  return made::tcp(v6 ? made::v6() : made::Ip{}, t, {});
}

TEST(ClampMss, LowersToTheMtuAndKeepsTheChecksumRight) {
  for (const bool v6 : {false, true}) {
    const size_t transport = v6 ? 40 : 20;
    for (const uint8_t flags : {kSyn, uint8_t{kSyn | kAck}}) {
      Bytes packet = syn(v6, {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0}, flags);
      EXPECT_TRUE(clamp_mss(packet, 1402, FieldState::complete));
      EXPECT_EQ(load_be16(&packet[transport + 22]), v6 ? 1342 : 1362);
      EXPECT_TRUE(made::checksums_hold(packet, transport, kProtoTcp));
      EXPECT_FALSE(clamp_mss(packet, 1402, FieldState::complete)) << "a second time changes nothing";
    }
  }
}

TEST(ClampMss, OptionAtAnOddPlace) {
  Bytes packet = syn(false, {1, 2, 4, 0x05, 0xb4, 0, 0, 0});
  EXPECT_TRUE(clamp_mss(packet, 1300, FieldState::complete));
  EXPECT_EQ(load_be16(&packet[43]), 1260);
  EXPECT_TRUE(made::checksums_hold(packet, 20, kProtoTcp));
}

TEST(ClampMss, APartialChecksumStaysAsItIs) {
  Bytes packet = syn(false, {2, 4, 0x05, 0xb4});
  store_be16(&packet[36], 0x1234);
  EXPECT_TRUE(clamp_mss(packet, 1402, FieldState::partial));
  EXPECT_EQ(load_be16(&packet[36]), 0x1234);
  EXPECT_EQ(load_be16(&packet[42]), 1362);
}

TEST(ClampMss, NeverRaises) {
  Bytes packet = syn(false, {2, 4, 0x02, 0x18});
  const Bytes before = packet;
  EXPECT_FALSE(clamp_mss(packet, 1402, FieldState::complete));
  EXPECT_EQ(packet, before);
}

TEST(ClampMss, LeavesOthersAlone) {
  made::Ip later;
  later.fragment = 1;
  later.protocol = kProtoTcp;
  const Bytes whole = syn(false, {2, 4, 0x05, 0xb4});
  const std::vector<std::pair<const char*, Bytes>> packets{
      {"no SYN", syn(false, {2, 4, 0x05, 0xb4}, kAck)},
      {"no option", syn(false, {})},
      {"behind the end of options", syn(false, {0, 2, 4, 0x05, 0xb4, 0, 0, 0})},
      {"an option of length 0", syn(false, {8, 0, 2, 4, 0x05, 0xb4, 0, 0})},
      {"an option longer than the header", syn(false, {8, 40, 2, 4, 0x05, 0xb4, 0, 0})},
      {"an MSS of another length", syn(false, {2, 3, 0x05, 0xb4})},
      {"an MSS cut off", syn(false, {1, 1, 2, 4})},
      {"UDP", made::udp({}, 1, 2, made::pattern(30))},
      {"a later fragment", made::ip(later, Bytes(whole.begin() + 20, whole.end()))},
      {"nothing", {}},
  };
  for (const auto& [name, original] : packets) {
    Bytes packet = original;
    EXPECT_FALSE(clamp_mss(packet, 1000, FieldState::complete)) << name;
    EXPECT_EQ(packet, original) << name;
  }
}

TEST(ClampMss, EveryTruncationIsLeftAlone) {
  const Bytes whole = syn(true, {2, 4, 0x05, 0xb4});
  for (size_t size = 0; size < whole.size(); ++size) {
    Bytes packet(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(clamp_mss(packet, 1000, FieldState::complete));
  }
}

}  // namespace
}  // namespace adit::net
