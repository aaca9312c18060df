#include "tunnel/icmp_translate.h"

#include <gtest/gtest.h>

#include "net/testing/made_packets.h"

namespace adit::tunnel {
namespace {

namespace made = net::made;
using Kind = net::IcmpError::Kind;

Outer outer4() {
  return {Type::ipv4, made::address("1.2.3.4"), made::address("5.6.7.8")};
}
Outer outer6() {
  return {Type::ipv6, made::address("2001:db8:a::1"), made::address("2001:db8:b::1")};
}

// What the inner sender hears: -1: nothing.
int heard(const OuterError& error) {
  const Translated translated = translate_icmp(error.v6 ? outer6() : outer4(), error, 1500, 0, {});
  return translated.inner ? static_cast<int>(translated.inner->kind) : -1;
}
constexpr int kNothing = -1;
int kind(Kind k) {
  return static_cast<int>(k);
}

TEST(TranslateIcmp, UnreachablesOfIpv4) {
  for (uint8_t code = 0; code < 16; ++code) {
    const bool prohibited = code == 9 || code == 10 || code == 13;
    const Kind expected = code == 4 ? Kind::too_big : prohibited ? Kind::admin_prohibited : Kind::host_unreachable;
    EXPECT_EQ(heard({.type = 3, .code = code, .mtu = 1400}), kind(expected)) << int{code};
  }
  EXPECT_EQ(heard({.type = 11}), kind(Kind::time_exceeded));
  for (const int type : {0, 4, 5, 8, 12}) EXPECT_EQ(heard({.type = static_cast<uint8_t>(type)}), kNothing) << type;
}

TEST(TranslateIcmp, ErrorsOfIpv6) {
  for (uint8_t code = 0; code < 7; ++code)
    EXPECT_EQ(heard({.v6 = true, .type = 1, .code = code}), kind(Kind::host_unreachable));
  EXPECT_EQ(heard({.v6 = true, .type = 3}), kind(Kind::host_unreachable));
  EXPECT_EQ(heard({.v6 = true, .type = 4}), kNothing) << "a fault of our own header";
  EXPECT_EQ(heard({.v6 = true, .type = 4, .encap_limit = true}), kind(Kind::host_unreachable));
  EXPECT_EQ(heard({.v6 = true, .type = 128}), kNothing);
}

TEST(TranslateIcmp, TooBigLowersThePathAndTellsTheLinksMtu) {
  const Translated translated = translate_icmp(outer4(), {.type = 3, .code = 4, .mtu = 1400}, 1500, kEspOverhead, {});
  EXPECT_EQ(translated.path_mtu, 1400u);
  ASSERT_TRUE(translated.inner);
  EXPECT_EQ(translated.inner->kind, Kind::too_big);
  EXPECT_EQ(translated.inner->value, 1302u);
  const Translated six = translate_icmp(outer6(), {.v6 = true, .type = 2, .mtu = 1400}, 1500, 0, {});
  EXPECT_EQ(six.path_mtu, 1400u);
  EXPECT_EQ(six.inner->value, 1352u);
}

TEST(TranslateIcmp, NeverRaisesThePathAndNeverShrinksItToNothing) {
  EXPECT_FALSE(translate_icmp(outer4(), {.type = 3, .code = 4, .mtu = 9000}, 1500, 0, {}).path_mtu);
  EXPECT_FALSE(translate_icmp(outer4(), {.type = 3, .code = 4, .mtu = 1500}, 1500, 0, {}).path_mtu);
  EXPECT_EQ(translate_icmp(outer4(), {.type = 3, .code = 4, .mtu = 1}, 1500, 0, {}).path_mtu, 576u);
  EXPECT_EQ(translate_icmp(outer6(), {.v6 = true, .type = 2, .mtu = 68}, 1500, 0, {}).path_mtu, 1280u);
  EXPECT_EQ(translate_icmp(outer4(), {.type = 3, .code = 4, .mtu = 1}, 1500, 0, {}).inner->value, 1280u);
}

TEST(TranslateIcmp, ARouterThatDoesNotSayItsMtuMeansTheNextOneInUse) {
  EXPECT_EQ(translate_icmp(outer4(), {.type = 3, .code = 4}, 1500, 0, {}).path_mtu, 1492u);
  EXPECT_EQ(translate_icmp(outer4(), {.type = 3, .code = 4}, 1492, 0, {}).path_mtu, 1006u);
  EXPECT_FALSE(translate_icmp(outer4(), {.type = 3, .code = 4}, 576, 0, {}).path_mtu);
}

TEST(TranslateIcmp, OnlySendersWhosePacketDoesNotFitAndMayNotBeCutHearOfTooBig) {
  const auto told = [](made::Bytes inner) {
    inner.resize(40);  // as little as a router quotes
    return translate_icmp(outer4(), {.type = 3, .code = 4, .mtu = 1400}, 1500, 0, inner).inner.has_value();
  };
  EXPECT_TRUE(told(made::udp({}, 1, 2, made::pattern(1400)))) << "DF";
  made::Ip may_be_cut;
  may_be_cut.fragment = 0;
  EXPECT_FALSE(told(made::udp(may_be_cut, 1, 2, made::pattern(1400))));
  EXPECT_TRUE(told(made::udp(made::v6(), 1, 2, made::pattern(1400))));
  EXPECT_FALSE(told(made::udp({}, 1, 2, made::pattern(1352)))) << "1380 bytes fit";
  EXPECT_TRUE(told(made::udp({}, 1, 2, made::pattern(1353))));
}

}  // namespace
}  // namespace adit::tunnel
