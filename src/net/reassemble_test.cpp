#include "net/reassemble.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "net/fragment.h"
#include "net/testing/made_packets.h"

namespace adit::net {
namespace {

using made::Bytes;
using made::operator+;

constexpr uint16_t kMore = 0x2000;

struct Answer {
  DropReason drop;
  Bytes packet;  // empty: not whole
};

struct Bench {
  explicit Bench(ReassemblyLimits limits = {}) : reassembler(limits) {}
  // Fragments that were kept and given up since the last question; 0: none for that reason.
  uint32_t lost(DropReason reason) {
    uint32_t fragments = 0;
    for (const Reassembler::Loss& loss : reassembler.take_losses())
      if (loss.reason == reason) fragments += loss.fragments;
    return fragments;
  }
  [[nodiscard]] std::vector<Bytes> pieces() const {
    std::vector<Bytes> all;
    for (const ByteSpan piece : reassembler.pieces()) all.emplace_back(piece.begin(), piece.end());
    return all;
  }
  Answer add(const Bytes& fragment, uint64_t scope = 1) {
    IpHeader header;
    EXPECT_EQ(read_ip_header(fragment, header), DropReason::none);
    EXPECT_TRUE(header.fragment());
    Bytes out(70000);
    uint32_t length = 0;
    const DropReason drop = reassembler.add(scope, fragment, header, now, out, length);
    out.resize(length);
    return {drop, out};
  }
  Reassembler reassembler;
  MonoTime now{Seconds(100)};
};

// Bytes begin … begin+size of `payload` as an IPv4 fragment.
Bytes v4_piece(const Bytes& payload, size_t begin, size_t size, bool more, uint16_t identification = 9) {
  made::Ip spec;
  spec.identification = identification;
  spec.fragment = static_cast<uint16_t>((more ? kMore : 0) | begin / 8);
  const auto from = payload.begin() + static_cast<ptrdiff_t>(begin);
  return made::ip(spec, Bytes(from, from + static_cast<ptrdiff_t>(size)));
}

Bytes v6_piece(const Bytes& payload, size_t begin, size_t size, bool more, uint8_t next = kProtoUdp,
               uint32_t identification = 9) {
  Bytes header{next, 0, 0, 0, 0, 0, 0, 0};
  store_be16(&header[2], static_cast<uint16_t>(begin | (more ? 1 : 0)));
  store_be32(&header[4], identification);
  const auto from = payload.begin() + static_cast<ptrdiff_t>(begin);
  return made::ip(made::v6(kNextFragment), header + Bytes(from, from + static_cast<ptrdiff_t>(size)));
}

TEST(Reassemble, Ipv4InEveryOrder) {
  made::Ip spec;
  spec.fragment = 0;
  spec.options = {0x94, 4, 0, 0};
  const Bytes packet = made::udp(spec, 1, 2, made::pattern(2000));
  Fragmenter fragmenter;
  ASSERT_EQ(fragmenter.begin(packet, 576), DropReason::none);
  ASSERT_EQ(fragmenter.count(), 4u);
  std::vector<Bytes> pieces;
  for (uint32_t i = 0; i < 4; ++i) {
    pieces.emplace_back(fragmenter.length(i));
    fragmenter.write(i, pieces.back().data());
  }
  std::array<size_t, 4> order{0, 1, 2, 3};
  do {
    Bench bench;
    for (size_t i = 0; i < 3; ++i) {
      const Answer answer = bench.add(pieces[order[i]]);
      EXPECT_EQ(answer.drop, DropReason::none);
      EXPECT_TRUE(answer.packet.empty());
    }
    EXPECT_EQ(bench.add(pieces[order[3]]).packet, packet);
    EXPECT_EQ(bench.pieces(), pieces) << "as they came, by their place";
    EXPECT_EQ(bench.reassembler.waiting(), 0u);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Reassemble, Ipv6WithHeadersBeforeTheFragmentHeader) {
  const Bytes payload = made::pattern(3000);
  const Bytes options{kNextFragment, 0, 1, 4, 0, 0, 0, 0};
  const auto piece = [&](size_t begin, size_t size, bool more) {
    const Bytes plain = v6_piece(payload, begin, size, more);
    return made::ip(made::v6(kNextHopByHop), options + Bytes(plain.begin() + 40, plain.end()));
  };
  Bench bench;
  EXPECT_TRUE(bench.add(piece(2400, 600, false)).packet.empty());
  EXPECT_TRUE(bench.add(piece(0, 1200, true)).packet.empty());
  const Answer whole = bench.add(piece(1200, 1200, true));
  const Bytes expected = made::ip(made::v6(kNextHopByHop), Bytes{kProtoUdp, 0, 1, 4, 0, 0, 0, 0} + payload);
  EXPECT_EQ(whole.packet, expected);
}

TEST(Reassemble, Ipv6WithoutOtherHeaders) {
  const Bytes payload = made::pattern(2000);
  Bench bench;
  bench.add(v6_piece(payload, 0, 1000, true));
  EXPECT_EQ(bench.add(v6_piece(payload, 1000, 1000, false)).packet, made::ip(made::v6(kProtoUdp), payload));
}

// What stands behind the fragment header belongs to what was cut (RFC 8200 §4.5).
TEST(Reassemble, Ipv6WithHeadersBehindTheFragmentHeader) {
  const Bytes payload = Bytes{kProtoUdp, 0, 1, 4, 0, 0, 0, 0} + made::pattern(2000);
  Bench bench;
  const std::vector<Bytes> pieces{v6_piece(payload, 0, 1000, true, kNextDestination),
                                  v6_piece(payload, 1000, 1008, false, kNextDestination)};
  bench.add(pieces[0]);
  EXPECT_EQ(bench.add(pieces[1]).packet, made::ip(made::v6(kNextDestination), payload));
  EXPECT_EQ(bench.pieces(), pieces);
}

// Whatever becomes of a datagram, each fragment is somewhere.
TEST(Reassemble, EveryFragmentIsToldOnce) {
  const Bytes payload = made::pattern(2400);
  Bench refused;
  refused.add(v4_piece(payload, 0, 800, true));
  refused.add(v4_piece(payload, 1600, 800, true));
  EXPECT_EQ(refused.lost(DropReason::reassembly_overlap), 0u);
  EXPECT_EQ(refused.add(v4_piece(payload, 1200, 800, true)).drop, DropReason::reassembly_overlap);
  EXPECT_EQ(refused.lost(DropReason::reassembly_overlap), 2u);
  EXPECT_EQ(refused.lost(DropReason::reassembly_overlap), 0u) << "told once";
  refused.add(v4_piece(payload, 0, 800, true));
  refused.now += Seconds(6);
  refused.reassembler.expire(refused.now);
  EXPECT_EQ(refused.lost(DropReason::reassembly_timeout), 0u) << "all were told";

  Bench evicted({.datagrams = 1});
  evicted.add(v4_piece(payload, 0, 800, true, 1));
  evicted.add(v4_piece(payload, 1600, 800, false, 1));
  evicted.add(v4_piece(payload, 0, 800, true, 2));
  EXPECT_EQ(evicted.lost(DropReason::reassembly_limit), 2u);
  evicted.now += Seconds(6);
  evicted.reassembler.expire(evicted.now);
  EXPECT_EQ(evicted.lost(DropReason::reassembly_timeout), 1u);

  Bench impossible;  // refused only when the last has come
  Bytes first = v4_piece(payload, 0, 800, true), last = v4_piece(payload, 800, 800, false);
  last[1] = 3;
  set_ipv4_checksum(last.data());
  impossible.add(first);
  EXPECT_EQ(impossible.add(last).drop, DropReason::bad_header);
  EXPECT_EQ(impossible.lost(DropReason::bad_header), 1u);
}

TEST(Reassemble, DifferentDatagramsDoNotMeet) {
  const Bytes payload = made::pattern(1600);
  Bench bench;
  bench.add(v4_piece(payload, 0, 800, true));
  EXPECT_TRUE(bench.add(v4_piece(payload, 800, 800, false, 10)).packet.empty()) << "another identification";
  EXPECT_TRUE(bench.add(v4_piece(payload, 800, 800, false), 2).packet.empty()) << "another link";
  made::Ip other;
  other.identification = 9;
  other.fragment = 100;
  other.protocol = kProtoTcp;
  EXPECT_TRUE(bench.add(made::ip(other, Bytes(payload.begin() + 800, payload.end()))).packet.empty())
      << "another protocol";
  EXPECT_EQ(bench.reassembler.waiting(), 4u);
  EXPECT_FALSE(bench.add(v4_piece(payload, 800, 800, false)).packet.empty());
}

TEST(Reassemble, ExactDuplicatesChangeNothing) {
  const Bytes payload = made::pattern(1600);
  Bench bench;
  EXPECT_EQ(bench.add(v4_piece(payload, 0, 800, true)).drop, DropReason::none);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(bench.add(v4_piece(payload, 0, 800, true)).drop, DropReason::reassembly_duplicate);
  EXPECT_EQ(bench.add(v4_piece(payload, 800, 800, false)).packet.size(), 1620u);
}

TEST(Reassemble, OverlapsRefuseTheWholeDatagramAndWhatComesLater) {
  const Bytes payload = made::pattern(2400);
  const Bytes other = made::pattern(2400, 77);
  const std::vector<std::pair<const char*, Bytes>> attacks{
      {"the same place, other bytes", v4_piece(other, 800, 800, true)},
      {"the middle of it", v4_piece(payload, 1000, 80, true)},
      {"over its beginning", v4_piece(payload, 720, 160, true)},
      {"over its end", v4_piece(payload, 1592, 80, true)},
      {"around it", v4_piece(payload, 400, 1600, true)},
      {"its first part", v4_piece(payload, 800, 8, true)},
      {"an end before it", v4_piece(payload, 400, 96, false)},
  };
  for (const auto& [name, attack] : attacks) {
    Bench bench;
    EXPECT_EQ(bench.add(v4_piece(payload, 800, 800, true)).drop, DropReason::none);
    EXPECT_EQ(bench.add(attack).drop, DropReason::reassembly_overlap) << name;
    EXPECT_EQ(bench.add(v4_piece(payload, 0, 800, true)).drop, DropReason::reassembly_overlap) << name;
    EXPECT_EQ(bench.add(v4_piece(payload, 1600, 800, false)).drop, DropReason::reassembly_overlap) << name;
    bench.now += Seconds(5);
    EXPECT_EQ(bench.add(v4_piece(payload, 0, 800, true)).drop, DropReason::none) << "its time is over";
  }
}

TEST(Reassemble, PiecesBehindTheEndAreRefused) {
  const Bytes payload = made::pattern(2400);
  Bench bench;
  bench.add(v6_piece(payload, 800, 80, false));
  EXPECT_EQ(bench.add(v6_piece(payload, 1600, 80, true)).drop, DropReason::reassembly_overlap);
  Bench two_ends;
  two_ends.add(v6_piece(payload, 800, 80, false));
  EXPECT_EQ(two_ends.add(v6_piece(payload, 1600, 88, false)).drop, DropReason::reassembly_overlap);
}

TEST(Reassemble, MalformedFragmentsAreRefused) {
  const Bytes payload = made::pattern(65536);
  Bench bench;
  EXPECT_EQ(bench.add(v4_piece(payload, 0, 801, true)).drop, DropReason::bad_header) << "a middle one of odd size";
  EXPECT_EQ(bench.add(v4_piece(payload, 0, 0, true)).drop, DropReason::bad_header) << "an empty one";
  EXPECT_EQ(bench.add(v4_piece(payload, 65528, 8, false)).drop, DropReason::bad_header) << "past 65535";
  EXPECT_EQ(bench.add(v6_piece(payload, 65528, 8, false)).drop, DropReason::bad_header);
  EXPECT_EQ(bench.reassembler.waiting(), 0u);
}

TEST(Reassemble, TooLongWithItsHeaderIsRefused) {
  const Bytes payload = made::pattern(65535);
  Bench bench;
  bench.add(v4_piece(payload, 0, 32768, true));
  EXPECT_EQ(bench.add(v4_piece(payload, 32768, 32760, false)).drop, DropReason::bad_header)
      << "65528 and 20 bytes of header";
  Bench fits;
  fits.add(v4_piece(payload, 0, 32768, true));
  EXPECT_EQ(fits.add(v4_piece(payload, 32768, 32747, false)).packet.size(), 65535u);
  Bench six;
  six.add(v6_piece(payload, 0, 32768, true));
  EXPECT_EQ(six.add(v6_piece(payload, 32768, 32767, false)).packet.size(), 65575u);
}

TEST(Reassemble, Ipv6FirstFragmentMustHoldTheHeaderChain) {
  Bench bench;
  const Bytes options{kProtoTcp, 0, 1, 4, 0, 0, 0, 0};
  EXPECT_EQ(bench.add(v6_piece(options, 0, 8, true, kNextDestination)).drop, DropReason::bad_header);
}

TEST(Reassemble, TinyFragmentsAreJoinedWhenAllAreThere) {
  const Bytes packet = made::tcp({}, {}, made::pattern(60));
  const Bytes transport(packet.begin() + 20, packet.end());
  Bench bench;
  Answer answer;
  for (size_t begin = 0; begin < 80; begin += 8) {
    made::Ip spec;
    spec.protocol = kProtoTcp;
    spec.fragment = static_cast<uint16_t>((begin == 72 ? 0 : kMore) | begin / 8);
    answer = bench.add(made::ip(spec, Bytes(transport.begin() + static_cast<ptrdiff_t>(begin),
                                            transport.begin() + static_cast<ptrdiff_t>(begin) + 8)));
  }
  EXPECT_EQ(Bytes(answer.packet.begin() + 20, answer.packet.end()), transport);
}

TEST(Reassemble, TooManyFragmentsAreRefused) {
  const Bytes payload = made::pattern(8000);
  Bench bench;
  for (size_t i = 0; i < Reassembler::kMaxFragments; ++i) {
    ASSERT_EQ(bench.add(v4_piece(payload, i * 16, 8, true)).drop, DropReason::none);
  }
  EXPECT_EQ(bench.add(v4_piece(payload, 16 * Reassembler::kMaxFragments, 8, true)).drop, DropReason::reassembly_limit);
}

TEST(Reassemble, WaitingEndsAfterItsTime) {
  const Bytes payload = made::pattern(1600);
  Bench bench;
  bench.add(v4_piece(payload, 0, 800, true));
  bench.now += Millis(4999);
  bench.reassembler.expire(bench.now);
  EXPECT_EQ(bench.lost(DropReason::reassembly_timeout), 0u);
  bench.now += Millis(1);
  bench.reassembler.expire(bench.now);
  EXPECT_EQ(bench.lost(DropReason::reassembly_timeout), 1u);
  EXPECT_EQ(bench.reassembler.waiting(), 0u);
  EXPECT_TRUE(bench.add(v4_piece(payload, 800, 800, false)).packet.empty());
}

TEST(Reassemble, OldPiecesDoNotMeetNewOnesEvenWhenNobodyCalledExpire) {
  const Bytes payload = made::pattern(1600);
  Bench bench;
  bench.add(v4_piece(payload, 0, 800, true));
  bench.now += Seconds(6);
  EXPECT_TRUE(bench.add(v4_piece(payload, 800, 800, false)).packet.empty());
  EXPECT_EQ(bench.lost(DropReason::reassembly_timeout), 1u) << "the old one is told";
}

TEST(Reassemble, TheOldestGivesWayWhenAllPlacesAreTaken) {
  const Bytes payload = made::pattern(1600);
  Bench bench({.datagrams = 4});
  for (uint16_t id = 0; id < 5; ++id) {
    bench.now += Millis(1);
    bench.add(v4_piece(payload, 0, 800, true, id));
  }
  EXPECT_EQ(bench.lost(DropReason::reassembly_limit), 1u);
  EXPECT_EQ(bench.reassembler.waiting(), 4u);
  EXPECT_FALSE(bench.add(v4_piece(payload, 800, 800, false, 1)).packet.empty());
  EXPECT_TRUE(bench.add(v4_piece(payload, 800, 800, false, 0)).packet.empty());
}

TEST(Reassemble, EcnOfFragmentsIsCombined) {
  const Bytes payload = made::pattern(1600);
  const auto with = [](Bytes piece, uint8_t ecn) {
    piece[1] = ecn;
    set_ipv4_checksum(piece.data());
    return piece;
  };
  Bench marked;
  marked.add(with(v4_piece(payload, 0, 800, true), 2));
  const Answer answer = marked.add(with(v4_piece(payload, 800, 800, false), 3));
  ASSERT_FALSE(answer.packet.empty());
  EXPECT_EQ(answer.packet[1], 3);
  EXPECT_EQ(checksum(ByteSpan(answer.packet).first(20)), 0);
  Bench impossible;
  impossible.add(with(v4_piece(payload, 0, 800, true), 0));
  EXPECT_EQ(impossible.add(with(v4_piece(payload, 800, 800, false), 3)).drop, DropReason::bad_header);
}

TEST(Reassemble, ABufferTooSmallIsSaid) {
  const Bytes payload = made::pattern(1600);
  Bench bench;
  bench.add(v4_piece(payload, 0, 800, true));
  const Bytes last = v4_piece(payload, 800, 800, false);
  IpHeader header;
  ASSERT_EQ(read_ip_header(last, header), DropReason::none);
  Bytes out(1619);
  uint32_t length = 0;
  EXPECT_EQ(bench.reassembler.add(1, last, header, bench.now, out, length), DropReason::no_buffer);
  EXPECT_EQ(length, 0u);
}

}  // namespace
}  // namespace adit::net
