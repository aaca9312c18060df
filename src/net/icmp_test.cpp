#include "net/icmp.h"

#include <gtest/gtest.h>

#include "net/testing/made_packets.h"

namespace adit::net {
namespace {

using made::Bytes;
using Kind = IcmpError::Kind;

Bytes answer(const Bytes& offending, const char* sender, IcmpError error) {
  Bytes out(kMaxIcmpError);
  out.resize(build_icmp_error(offending, made::address(sender), error, out));
  return out;
}
Bytes answer4(const Bytes& offending, Kind kind = Kind::host_unreachable, uint32_t value = 0) {
  return answer(offending, "10.0.0.1", {kind, value});
}
Bytes answer6(const Bytes& offending, Kind kind = Kind::host_unreachable, uint32_t value = 0) {
  return answer(offending, "2001:db8::1", {kind, value});
}

TEST(IcmpError, FragmentationNeeded) {
  const Bytes offending = made::tcp({}, {}, made::pattern(1460));
  const Bytes packet = answer4(offending, Kind::too_big, 1402);
  ASSERT_EQ(packet.size(), 576u);
  EXPECT_EQ(checksum(ByteSpan(packet).first(20)), 0);
  EXPECT_EQ(checksum(ByteSpan(packet).subspan(20)), 0);
  Flow flow;
  ASSERT_EQ(read_flow(packet, flow), FlowError::none);
  EXPECT_EQ(flow.source.str(), "10.0.0.1");
  EXPECT_EQ(flow.destination.str(), "10.0.0.2");
  EXPECT_EQ(packet[20], 3);
  EXPECT_EQ(packet[21], 4);
  EXPECT_EQ(load_be32(&packet[24]), 1402u);
  EXPECT_TRUE(std::equal(packet.begin() + 28, packet.end(), offending.begin()));
  Flow embedded;
  EXPECT_TRUE(read_embedded_flow(packet, flow, embedded));
}

TEST(IcmpError, PacketTooBig) {
  const Bytes offending = made::tcp(made::v6(), {}, made::pattern(1440));
  const Bytes packet = answer6(offending, Kind::too_big, 1374);
  ASSERT_EQ(packet.size(), 1280u);
  EXPECT_TRUE(made::checksums_hold(packet, 40, kProtoIcmp6));
  EXPECT_EQ(packet[40], 2);
  EXPECT_EQ(load_be32(&packet[44]), 1374u);
  EXPECT_TRUE(std::equal(packet.begin() + 48, packet.end(), offending.begin()));
}

TEST(IcmpError, TypesAndCodes) {
  const Bytes v4 = made::udp({}, 1, 2, {1});
  const Bytes v6 = made::udp(made::v6(), 1, 2, {1});
  const std::vector<std::tuple<Kind, int, int, int, int>> table{{Kind::host_unreachable, 3, 1, 1, 3},
                                                                {Kind::admin_prohibited, 3, 13, 1, 1},
                                                                {Kind::time_exceeded, 11, 0, 3, 0},
                                                                {Kind::parameter_problem, 12, 0, 4, 0}};
  for (const auto& [kind, type4, code4, type6, code6] : table) {
    const Bytes four = answer4(v4, kind, 9), six = answer6(v6, kind, 9);
    EXPECT_EQ(four[20], type4);
    EXPECT_EQ(four[21], code4);
    EXPECT_EQ(six[40], type6);
    EXPECT_EQ(six[41], code6);
  }
  EXPECT_EQ(answer4(v4, Kind::parameter_problem, 9)[24], 9);
  EXPECT_EQ(load_be32(&answer6(v6, Kind::parameter_problem, 44)[44]), 44u);
}

TEST(IcmpError, NeverAboutAnIcmpErrorButAboutOtherIcmp) {
  for (int type = 0; type < 256; ++type) {
    const auto t = static_cast<uint8_t>(type);
    const bool error4 = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
    EXPECT_EQ(answer4(made::icmp_error({}, t, 0, {})).empty(), error4) << type;
    const bool error6 = type < 128 || type == 137;
    EXPECT_EQ(answer6(made::icmp_error(made::v6(), t, 0, {})).empty(), error6) << type;
  }
}

TEST(IcmpError, NeverAboutAnIcmpErrorBehindExtensionHeaders) {
  const Bytes hidden = made::ip(made::v6(kNextDestination), {kProtoIcmp6, 0, 1, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_TRUE(answer6(hidden).empty());
}

TEST(IcmpError, NeverAboutLaterFragments) {
  made::Ip spec;
  spec.fragment = 0x2000;
  EXPECT_FALSE(answer4(made::ip(spec, made::pattern(80))).empty());
  spec.fragment = 0x2001;
  EXPECT_TRUE(answer4(made::ip(spec, made::pattern(80))).empty());
  EXPECT_TRUE(answer6(made::ip(made::v6(kNextFragment), {kProtoUdp, 0, 0, 9, 0, 0, 0, 1, 1, 2, 3, 4})).empty());
}

TEST(IcmpError, NeverAboutMulticastButForPacketTooBig) {
  made::Ip spec;
  for (const char* group : {"224.0.0.5", "255.255.255.255"}) {
    spec.destination = made::address(group);
    EXPECT_TRUE(answer4(made::udp(spec, 1, 2, {1}), Kind::too_big, 1400).empty()) << group;
  }
  made::Ip six = made::v6();
  six.destination = made::address("ff02::1");
  EXPECT_TRUE(answer6(made::udp(six, 1, 2, {1})).empty());
  EXPECT_FALSE(answer6(made::udp(six, 1, 2, {1}), Kind::too_big, 1280).empty()) << "RFC 4443 §2.4 (e.3)";
}

TEST(IcmpError, NeverToAnAddressThatIsNoSingleHost) {
  for (const char* source : {"0.0.0.0", "224.1.1.1", "255.255.255.255", "127.0.0.1"}) {
    made::Ip spec;
    spec.source = made::address(source);
    EXPECT_TRUE(answer4(made::udp(spec, 1, 2, {1})).empty()) << source;
  }
  for (const char* source : {"::", "ff02::2", "::1"}) {
    made::Ip spec = made::v6();
    spec.source = made::address(source);
    EXPECT_TRUE(answer6(made::udp(spec, 1, 2, {1})).empty()) << source;
  }
}

TEST(IcmpError, QuotesWhatIsKnownOfAPacketAndNoPadding) {
  const Bytes offending = made::tcp({}, {}, made::pattern(1000));
  const Bytes known(offending.begin(), offending.begin() + 28);
  EXPECT_EQ(answer4(known).size(), 20u + 8 + 28);
  Bytes padded = made::udp({}, 1, 2, {1, 2});
  const size_t size = padded.size();
  padded.resize(64);
  EXPECT_EQ(answer4(padded).size(), 28 + size);
  for (size_t n = 0; n < 20; ++n)
    EXPECT_TRUE(answer4(Bytes(known.begin(), known.begin() + static_cast<ptrdiff_t>(n))).empty());
}

TEST(TokenBucket, BurstThenRate) {
  TokenBucket bucket(10, 3);
  MonoTime now{Seconds(1000)};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now));
  now += Millis(99);
  EXPECT_FALSE(bucket.take(now));
  now += Millis(1);
  EXPECT_TRUE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now));
  now += Seconds(1'000'000'000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now)) << "never more than the burst";
  EXPECT_FALSE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now - Seconds(5))) << "time that goes back gives nothing";
  EXPECT_FALSE(bucket.take(now));
}

TEST(TokenBucket, SmallStepsAddUp) {
  TokenBucket bucket(3, 1);
  MonoTime now{};
  int taken = 0;
  for (int i = 0; i < 10'000; ++i) {
    taken += bucket.take(now) ? 1 : 0;
    now += Millis(1);
  }
  EXPECT_NEAR(taken, 30, 1);
}

TEST(TokenBucket, ZeroRateGivesTheBurstOnly) {
  TokenBucket bucket(0, 1);
  EXPECT_TRUE(bucket.take(MonoTime{Seconds(1)}));
  EXPECT_FALSE(bucket.take(MonoTime{Seconds(1'000'000)}));
}

}  // namespace
}  // namespace adit::net
