#include "tunnel/link.h"

#include <gtest/gtest.h>

#include "net/testing/made_packets.h"
#include "tunnel/encap_limit.h"

namespace adit::tunnel {
namespace {

using net::made::Bytes;
using net::made::operator+;
namespace made = net::made;

Outer outer4() {
  return {Type::ipv4, made::address("1.2.3.4"), made::address("5.6.7.8")};
}
Outer outer6() {
  return {Type::ipv6, made::address("2001:db8:a::1"), made::address("2001:db8:b::1")};
}

// An IPv6 packet whose destination options hold an encapsulation limit, behind a PadN.
Bytes with_limit(uint8_t limit) {
  made::Ip spec = made::v6(net::kNextDestination);
  return made::ip(spec, Bytes{net::kProtoUdp, 1, 1, 2, 0, 0, 0, 4, 1, limit, 1, 3, 0, 0, 0, 0} + made::pattern(20));
}

TEST(LinkName, Rules) {
  for (const char* good : {"tun0", "v4_bob0", "ip.tun12", "a0", "x4294967294", "fifteen_chars_0"}) {
    EXPECT_TRUE(check_name(good)) << good;
  }
  const std::vector<std::pair<const char*, const char*>> bad{
      {"", "a link needs a name, such as tun0"},
      {"sixteen_chars__0", "'sixteen_chars__0' is not a valid link name: it has 16 characters, at most 15 are allowed"},
      {"0tun0", "'0tun0' is not a valid link name: it must begin with a letter"},
      {"_tun0", "'_tun0' is not a valid link name: it must begin with a letter"},
      {"tun", "'tun' is not a valid link name: it must end in a number, such as tun0"},
      {"tu-n0", "'tu-n0' is not a valid link name: only letters, digits, '_' and '.' are allowed"},
      {"tu/n0", "'tu/n0' is not a valid link name: only letters, digits, '_' and '.' are allowed"},
      {"t\xc3\xbcn0", "'t\xc3\xbcn0' is not a valid link name: only letters, digits, '_' and '.' are allowed"},
      {"tun01", "'tun01' is not a valid link name: its number may not begin with 0"},
      {"x4294967295", "'x4294967295' is not a valid link name: its number is above 4294967294"},
      {"x99999999999999", "'x99999999999999' is not a valid link name: its number is above 4294967294"},
  };
  for (const auto& [name, text] : bad) {
    const auto result = check_name(name);
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().code, EINVAL);
    EXPECT_EQ(result.error().text, text);
  }
}

TEST(LinkMtu, WorkedExamplesOfTheReference) {
  EXPECT_EQ(link_mtu(outer4(), 1500, 0), 1480u);
  EXPECT_EQ(link_mtu(outer4(), 1500, kEspOverhead), 1402u);
  EXPECT_EQ(link_mtu(outer4(), 1500, kEspOverhead + kAhOverhead), 1358u);
  EXPECT_EQ(link_mtu(outer6(), 1500, 0), 1452u);
  EXPECT_EQ(link_mtu(outer6(), 1500, kEspOverhead), 1374u);
}

TEST(LinkMtu, BoundsAndTheQuirkOfTheMissingOption) {
  EXPECT_EQ(link_mtu(outer4(), 68, kEspOverhead), 1280u);
  EXPECT_EQ(link_mtu(outer4(), 0, 0), 1280u);
  EXPECT_EQ(link_mtu(outer4(), 65535, 0), 65515u);
  EXPECT_EQ(link_mtu(outer6(), 65535, 0), 65487u);
  EXPECT_EQ(link_mtu(outer4(), 4000000000u, 0), 65515u);
  Outer outer = outer6();
  EXPECT_EQ(link_mtu(outer, 1500, 0), 1452u) << "room for an option that is handed on";
  outer.hoplimit = 63;
  EXPECT_EQ(link_mtu(outer, 1500, 0), 1460u);
}

TEST(ReadMarks, DscpOnlyOfIpv4InIpv4AndEcnOfAll) {
  for (const bool inner6 : {false, true}) {
    for (const bool to6 : {false, true}) {
      made::Ip spec = inner6 ? made::v6() : made::Ip{};
      spec.traffic_class = 0xb8 | 2;
      InnerMarks marks;
      ASSERT_EQ(read_marks(to6 ? outer6() : outer4(), made::udp(spec, 1, 2, {1}), marks), DropReason::none);
      EXPECT_EQ(marks.traffic_class, !inner6 && !to6 ? 0xba : 2);
    }
  }
}

TEST(ReadMarks, SmallInnerPacketsMayBeFragmentedOutside) {
  InnerMarks marks;
  ASSERT_EQ(read_marks(outer4(), made::udp({}, 1, 2, made::pattern(1252)), marks), DropReason::none);
  EXPECT_TRUE(marks.allow_fragmenting);
  ASSERT_EQ(read_marks(outer4(), made::udp({}, 1, 2, made::pattern(1253)), marks), DropReason::none);
  EXPECT_FALSE(marks.allow_fragmenting);
}

TEST(ReadMarks, EncapsulationLimitIsOffUnlessAskedFor) {
  InnerMarks marks;
  ASSERT_EQ(read_marks(outer6(), made::udp({}, 1, 2, {1}), marks), DropReason::none);
  EXPECT_FALSE(marks.has_encaplimit);
}

TEST(ReadMarks, EncapsulationLimit) {
  InnerMarks marks;
  Outer on = outer6();
  on.encaplimit = 4;
  ASSERT_EQ(read_marks(on, made::udp({}, 1, 2, {1}), marks), DropReason::none);
  EXPECT_TRUE(marks.has_encaplimit);
  EXPECT_EQ(marks.encaplimit, 4);
  ASSERT_EQ(read_marks(on, with_limit(200), marks), DropReason::none);
  EXPECT_EQ(marks.encaplimit, 4) << "not above the link's own";
  ASSERT_EQ(read_marks(on, with_limit(3), marks), DropReason::none);
  EXPECT_EQ(marks.encaplimit, 2);
  ASSERT_EQ(read_marks(on, with_limit(1), marks), DropReason::none);
  EXPECT_TRUE(marks.has_encaplimit);
  EXPECT_EQ(marks.encaplimit, 0);

  ASSERT_EQ(read_marks(on, with_limit(0), marks), DropReason::encap_limit);
  EXPECT_EQ(marks.problem_offset, 49u);
  EXPECT_EQ(with_limit(77)[marks.problem_offset], 77);

  Outer off = outer6();
  off.encaplimit = 0;
  ASSERT_EQ(read_marks(off, made::udp({}, 1, 2, {1}), marks), DropReason::none);
  EXPECT_FALSE(marks.has_encaplimit);
  ASSERT_EQ(read_marks(off, with_limit(9), marks), DropReason::none);
  EXPECT_TRUE(marks.has_encaplimit) << "RFC 2473 §4.1.1: it must be handed on";
  EXPECT_EQ(marks.encaplimit, 8);
  ASSERT_EQ(read_marks(outer4(), with_limit(0), marks), DropReason::none) << "it speaks of IPv6 tunnels";
  EXPECT_FALSE(marks.has_encaplimit);
}

TEST(ReadMarks, Refusals) {
  InnerMarks marks;
  made::Ip spec;
  spec.hoplimit = 0;
  EXPECT_EQ(read_marks(outer4(), made::udp(spec, 1, 2, {1}), marks), DropReason::hop_limit);
  const Bytes packet = with_limit(3);
  for (size_t size = 0; size < packet.size(); ++size) {
    const Bytes shorter(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(read_marks(outer6(), shorter, marks), DropReason::truncated) << size;
  }
  EXPECT_EQ(read_marks(outer4(), Bytes(40, 0x50), marks), DropReason::bad_header);
}

TEST(EncapLimit, MalformedOptionsHaveNone) {
  const auto packet = [](Bytes options) { return made::ip(made::v6(net::kNextDestination), std::move(options)); };
  EXPECT_EQ(find_encap_limit(packet({59, 0, 4, 1, 9, 1, 1, 0})), 44u);
  EXPECT_EQ(find_encap_limit(packet({59, 0, 0, 0, 0, 4, 1, 9})), 47u) << "at the very end";
  EXPECT_EQ(find_encap_limit(packet({59, 0, 0, 0, 0, 0, 4, 1})), 0u) << "its value is missing";
  EXPECT_EQ(find_encap_limit(packet({59, 0, 4, 2, 9, 9, 0, 0})), 0u) << "of another length";
  EXPECT_EQ(find_encap_limit(packet({59, 0, 1, 200, 4, 1, 9, 0})), 0u) << "behind an option too long";
  EXPECT_EQ(find_encap_limit(packet({59, 9, 4, 1, 9, 1, 1, 0})), 0u) << "the header is not whole";
  EXPECT_EQ(find_encap_limit(made::udp({}, 1, 2, {1})), 0u);
}

struct Carried {
  Bytes buffer;
  net::Packet packet;
  explicit Carried(const Bytes& payload, uint8_t protocol) : buffer(net::kHeadroom + payload.size() + net::kTailroom) {
    std::copy(payload.begin(), payload.end(), buffer.begin() + net::kHeadroom);
    packet = {buffer.data() + net::kHeadroom, static_cast<uint32_t>(payload.size()), net::kHeadroom, net::kTailroom,
              protocol};
  }
  Bytes bytes() const { return {packet.data, packet.data + packet.length}; }
};

TEST(Encapsulate, Ipv4HeaderByteByByte) {
  Carried carried(made::pattern(8), net::kProtoEsp);
  encapsulate(outer4(), {.traffic_class = 0xb8}, 0x4321, carried.packet);
  Bytes expected{0x45, 0xb8, 0, 28, 0x43, 0x21, 0x40, 0, 64, 50, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
  net::set_ipv4_checksum(expected.data());
  EXPECT_EQ(carried.bytes(), expected + made::pattern(8));
  EXPECT_EQ(carried.packet.protocol, net::kProtoIpv4);
}

TEST(Encapsulate, Ipv6WithAndWithoutTheLimit) {
  Carried with(made::pattern(8), net::kProtoIpv4);
  encapsulate(outer6(), {.traffic_class = 0x03, .has_encaplimit = true, .encaplimit = 7}, 0, with.packet);
  const Bytes header{0x60, 0x30, 0, 0, 0, 16, 60, 64};
  EXPECT_EQ(Bytes(with.packet.data, with.packet.data + 8), header);
  const Bytes option{4, 0, 4, 1, 7, 1, 1, 0};
  EXPECT_EQ(Bytes(with.packet.data + 40, with.packet.data + 48), option);
  EXPECT_EQ(with.packet.protocol, net::kProtoIpv6);
  Carried without(made::pattern(8), net::kProtoEsp);
  encapsulate(outer6(), {}, 0, without.packet);
  EXPECT_EQ(without.packet.length, 48u);
  EXPECT_EQ(without.packet.data[6], net::kProtoEsp);
}

TEST(Decapsulate, UndoesEncapsulateOfEveryPair) {
  for (const bool inner6 : {false, true}) {
    for (const bool to6 : {false, true}) {
      const Bytes inner = made::udp(inner6 ? made::v6() : made::Ip{}, 1, 2, made::pattern(99));
      const Outer outer = to6 ? outer6() : outer4();
      InnerMarks marks;
      ASSERT_EQ(read_marks(outer, inner, marks), DropReason::none);
      Carried carried(inner, inner6 ? net::kProtoIpv6 : net::kProtoIpv4);
      encapsulate(outer, marks, 1, carried.packet);
      carried.packet.append(13);  // as a link with a minimum size pads
      OuterInfo info;
      ASSERT_EQ(decapsulate(carried.packet, info), DropReason::none);
      EXPECT_EQ(carried.bytes(), inner);
      EXPECT_EQ(info.protocol, inner6 ? net::kProtoIpv6 : net::kProtoIpv4);
      EXPECT_EQ(carried.packet.protocol, info.protocol);
      EXPECT_EQ(info.source, outer.local);
      EXPECT_EQ(info.destination, outer.remote);
      EXPECT_EQ(info.hoplimit, 64);
      EXPECT_EQ(carried.packet.headroom, net::kHeadroom);
    }
  }
}

TEST(Decapsulate, StopsAtAuthenticationHeaders) {
  Carried carried(made::pattern(24), net::kProtoAh);
  encapsulate(outer6(), {.has_encaplimit = true, .encaplimit = 4}, 0, carried.packet);
  OuterInfo info;
  ASSERT_EQ(decapsulate(carried.packet, info), DropReason::none);
  EXPECT_EQ(info.protocol, net::kProtoAh);
  EXPECT_EQ(carried.packet.length, 24u);
}

TEST(Decapsulate, Refusals) {
  OuterInfo info;
  const auto refuse = [&](const Bytes& bytes) {
    Carried carried(bytes, 0);
    return decapsulate(carried.packet, info);
  };
  Bytes packet = made::udp({}, 1, 2, made::pattern(30));
  for (size_t size = 0; size < packet.size(); ++size) {
    EXPECT_EQ(refuse(Bytes(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size))), DropReason::truncated);
  }
  packet[8] ^= 1;
  EXPECT_EQ(refuse(packet), DropReason::bad_checksum);
  made::Ip fragment;
  fragment.fragment = 0x2000;
  EXPECT_EQ(refuse(made::ip(fragment, made::pattern(16))), DropReason::bad_header) << "it has to be put together first";
  EXPECT_EQ(refuse(Bytes(60, 0)), DropReason::bad_header);
}

// RFC 6040 figure 4, by inner (rows) and outer codepoint: Not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3. -1: drop.
TEST(FoldEcn, AllSixteenCombinations) {
  constexpr int kExpected[4][4] = {{0, 0, 0, -1}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
  for (const bool inner6 : {false, true}) {
    for (uint8_t inner = 0; inner < 4; ++inner) {
      for (uint8_t outer = 0; outer < 4; ++outer) {
        made::Ip spec = inner6 ? made::v6() : made::Ip{};
        spec.traffic_class = 0xb8 | inner;
        Bytes packet = made::udp(spec, 1, 2, {1});
        const DropReason drop = fold_ecn(0x44 | outer, packet);
        const int expected = kExpected[inner][outer];
        EXPECT_EQ(drop, expected < 0 ? DropReason::ecn_illegal : DropReason::none) << int{inner} << int{outer};
        spec.traffic_class = static_cast<uint8_t>(0xb8 | (expected < 0 ? inner : expected));
        EXPECT_EQ(packet, made::udp(spec, 1, 2, {1})) << "inner " << int{inner} << " outer " << int{outer};
      }
    }
  }
}

TEST(FoldEcn, LeavesAloneWhatIsNoIpPacket) {
  Bytes nothing;
  EXPECT_EQ(fold_ecn(3, nothing), DropReason::none);
  Bytes odd(64, 0x50);
  const Bytes before = odd;
  EXPECT_EQ(fold_ecn(3, odd), DropReason::none);
  EXPECT_EQ(odd, before);
}

}  // namespace
}  // namespace adit::tunnel
