#include "net/coalesce.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "net/segment.h"
#include "net/testing/made_packets.h"

namespace adit::net {
namespace {

using made::Bytes;
using Kind = Offload::Kind;

constexpr uint8_t kFin = 1, kSyn = 2, kPsh = 8, kAck = 16;

// A flow that sends; each call gives its next segment.
struct Sender {
  made::Ip ip{};
  made::Tcp tcp{};
  Bytes next(size_t payload, uint8_t flags = kAck) {
    tcp.flags = flags;
    Bytes packet = made::tcp(ip, tcp, made::pattern(payload, tcp.sequence));
    tcp.sequence += static_cast<uint32_t>(payload);
    ++ip.identification;
    return packet;
  }
};

// Keeps the bytes of what it was given, and tells what came out.
struct Burst {
  explicit Burst(CoalesceOptions options = {}) : coalescer(options) {}
  void add(Bytes packet) {
    packets.push_back(std::move(packet));
    EXPECT_TRUE(coalescer.add(packets.back()));
  }
  std::vector<uint32_t> sizes() {
    std::vector<uint32_t> counts;
    for (uint32_t i = 0; i < coalescer.trains(); ++i) counts.push_back(coalescer.train(i).packets);
    return counts;
  }
  Bytes gathered(uint32_t index) {
    Bytes bytes;
    for (const ByteSpan piece : coalescer.train(index).pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
    EXPECT_EQ(bytes.size(), coalescer.train(index).bytes);
    return bytes;
  }
  Coalescer coalescer;
  std::deque<Bytes> packets;
};

// What the device makes of the train: the packets as they came, IPv4 identifications aside.
std::vector<Bytes> cut_again(Burst& burst, uint32_t index) {
  const Bytes super = burst.gathered(index);
  Segmenter segmenter;
  EXPECT_EQ(segmenter.begin(super, burst.coalescer.train(index).offload), DropReason::none);
  std::vector<Bytes> all;
  for (uint32_t i = 0; i < segmenter.count(); ++i) {
    all.emplace_back(segmenter.length(i));
    segmenter.write(i, all.back().data());
  }
  return all;
}

using Sizes = std::vector<uint32_t>;

TEST(Coalesce, ATrainCutAgainIsWhatCame) {
  for (const bool v6 : {false, true}) {
    Sender sender;
    if (v6) sender.ip = made::v6();
    sender.tcp.options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
    Burst burst;
    std::vector<Bytes> sent;
    for (int i = 0; i < 9; ++i) sent.push_back(sender.next(1000));
    sent.push_back(sender.next(300, kAck | kPsh));
    for (const Bytes& packet : sent) burst.add(packet);
    ASSERT_EQ(burst.sizes(), Sizes{10});
    const Train train = burst.coalescer.train(0);
    EXPECT_EQ(train.offload.kind, v6 ? Kind::tcp6 : Kind::tcp4);
    EXPECT_TRUE(train.offload.needs_checksum);
    EXPECT_EQ(train.offload.header_length, v6 ? 72 : 52);
    EXPECT_EQ(train.offload.segment_bytes, 1000);
    EXPECT_EQ(train.offload.checksum_start, v6 ? 40 : 20);
    EXPECT_EQ(train.offload.checksum_offset, 16);
    EXPECT_EQ(cut_again(burst, 0), sent);
  }
}

TEST(Coalesce, ThePartialChecksumCompletesToARightOne) {
  Sender sender;
  Burst burst;
  for (int i = 0; i < 5; ++i) burst.add(sender.next(777));
  Bytes super = burst.gathered(0);
  ASSERT_EQ(finish_checksum(super, burst.coalescer.train(0).offload), DropReason::none);
  EXPECT_TRUE(made::checksums_hold(super, 20, kProtoTcp));
}

TEST(Coalesce, ALonePacketLeavesExactlyAsItCame) {
  Sender sender;
  const Bytes packet = sender.next(500);
  Burst burst;
  burst.add(packet);
  EXPECT_EQ(burst.gathered(0), packet);
  EXPECT_FALSE(burst.coalescer.train(0).offload.needs_checksum);
  EXPECT_EQ(burst.coalescer.train(0).offload.kind, Kind::none);
}

TEST(Coalesce, InterleavedFlowsDoNotMix) {
  std::vector<Sender> senders(6);
  senders[1].tcp.source_port = 40001;
  senders[2].tcp.destination_port = 81;
  senders[3].ip.source = made::address("10.0.0.3");
  senders[4].ip = made::v6();
  senders[5].ip = made::v6();
  senders[5].ip.source = made::address("2001:db8::3");
  Burst burst;
  std::vector<std::vector<Bytes>> sent(senders.size());
  for (int round = 0; round < 8; ++round) {
    for (size_t i = 0; i < senders.size(); ++i) {
      sent[i].push_back(senders[i].next(900));
      burst.add(sent[i].back());
    }
  }
  ASSERT_EQ(burst.sizes(), Sizes(6, 8));
  for (uint32_t i = 0; i < senders.size(); ++i) EXPECT_EQ(cut_again(burst, i), sent[i]) << "flow " << i;
}

TEST(Coalesce, PshFinAndShortSegmentsEndATrain) {
  Sender sender;
  Burst burst;
  burst.add(sender.next(1000));
  burst.add(sender.next(1000, kAck | kPsh));
  burst.add(sender.next(1000));
  burst.add(sender.next(999));
  burst.add(sender.next(999));
  burst.add(sender.next(999, kAck | kFin));
  EXPECT_EQ(burst.sizes(), (Sizes{2, 2, 2}));
  EXPECT_EQ(burst.gathered(0)[33], kAck | kPsh);
  EXPECT_EQ(burst.gathered(1)[33], kAck);
  EXPECT_EQ(burst.gathered(2)[33], kAck | kFin);
}

TEST(Coalesce, LargerSegmentsGapsAndRepetitionsBeginAnew) {
  Sender sender;
  Burst burst;
  burst.add(sender.next(500));
  burst.add(sender.next(600));
  sender.tcp.sequence += 1;
  burst.add(sender.next(600));
  sender.tcp.sequence -= 600;
  burst.add(sender.next(600));
  EXPECT_EQ(burst.sizes(), (Sizes{1, 1, 1, 1}));
}

TEST(Coalesce, OrderOfAFlowIsKeptAroundPacketsThatStayAlone) {
  Sender sender;
  Burst burst;
  burst.add(sender.next(1000));
  burst.add(sender.next(1000));
  burst.add(sender.next(0));  // a pure ACK
  burst.add(sender.next(1000));
  burst.add(sender.next(1000));
  EXPECT_EQ(burst.sizes(), (Sizes{2, 1, 2}));
  EXPECT_EQ(burst.gathered(1).size(), 40u);
  EXPECT_EQ(load_be32(&burst.gathered(2)[24]), 3000u);
}

TEST(Coalesce, FragmentsAndUnknownProtocolsAreNotOvertaken) {
  Sender sender, other;
  other.ip.source = made::address("10.0.0.9");
  Burst burst;
  burst.add(sender.next(1000));
  burst.add(other.next(1000));
  made::Ip fragment;
  fragment.protocol = kProtoTcp;
  fragment.fragment = 0x2000;
  burst.add(made::ip(fragment, made::pattern(80)));
  burst.add(sender.next(1000));
  burst.add(other.next(1000));
  EXPECT_EQ(burst.sizes(), (Sizes{1, 2, 1, 1})) << "flows of other hosts go on";
}

TEST(Coalesce, AnyDifferenceThatTheReceiverWouldSeeForbidsMerging) {
  const std::vector<std::pair<const char*, void (*)(Sender&)>> changes{
      {"acknowledgment", [](Sender& s) { ++s.tcp.acknowledgment; }},
      {"window", [](Sender& s) { ++s.tcp.window; }},
      {"timestamps", [](Sender& s) { ++s.tcp.options[5]; }},
      {"options length", [](Sender& s) { s.tcp.options.resize(16, 1); }},
      {"TTL", [](Sender& s) { --s.ip.hoplimit; }},
      {"traffic class", [](Sender& s) { s.ip.traffic_class ^= 3; }},
  };
  for (const bool v6 : {false, true}) {
    for (const auto& [name, change] : changes) {
      Sender sender;
      if (v6) sender.ip = made::v6();
      sender.tcp.options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
      Burst burst;
      burst.add(sender.next(100));
      burst.add(sender.next(100));
      change(sender);
      burst.add(sender.next(100));
      EXPECT_EQ(burst.sizes(), (Sizes{2, 1})) << name;
    }
  }
}

TEST(Coalesce, FlagsThatMustStayAloneDo) {
  for (const int flag : {int{kSyn}, 4, 32, 128}) {
    Sender sender;
    Burst burst;
    burst.add(sender.next(100));
    burst.add(sender.next(100, static_cast<uint8_t>(kAck | flag)));
    burst.add(sender.next(100));
    EXPECT_EQ(burst.sizes(), (Sizes{1, 1, 1})) << flag;
  }
}

TEST(Coalesce, WithoutDfTheIdentificationMustCountUp) {
  Sender sender;
  sender.ip.fragment = 0;
  Burst burst;
  burst.add(sender.next(100));
  burst.add(sender.next(100));
  sender.ip.identification += 5;
  burst.add(sender.next(100));
  EXPECT_EQ(burst.sizes(), (Sizes{2, 1}));

  Sender constant;  // with DF it says nothing
  Burst second;
  second.add(constant.next(100));
  constant.ip.identification = 0;
  second.add(constant.next(100));
  EXPECT_EQ(second.sizes(), Sizes{2});
}

TEST(Coalesce, OptionsAndExtensionHeadersStayAlone) {
  Sender sender;
  sender.ip.options = {0x94, 4, 0, 0};
  Burst burst;
  burst.add(sender.next(100));
  burst.add(sender.next(100));
  EXPECT_EQ(burst.sizes(), (Sizes{1, 1}));
}

TEST(Coalesce, WrongChecksumsAreNeverVouchedFor) {
  for (const size_t place : {size_t{0}, size_t{1}, size_t{2}}) {
    for (const size_t byte : {size_t{8}, size_t{300}}) {  // the IPv4 header's TTL; the payload
      Sender sender;
      Burst burst;
      Bytes damaged;
      for (size_t i = 0; i < 4; ++i) {
        Bytes packet = sender.next(500);
        if (i == place) {
          packet[byte] ^= 1;
          damaged = packet;
        }
        burst.add(packet);
      }
      bool found = false;
      for (uint32_t i = 0; i < burst.coalescer.trains(); ++i) {
        if (burst.coalescer.train(i).packets != 1) continue;
        found = found || burst.gathered(i) == damaged;
      }
      EXPECT_TRUE(found) << "packet " << place << " must leave alone and as it came";
    }
  }
}

TEST(Coalesce, TrustedChecksumsAreNotLookedAt) {
  Sender sender;
  Burst burst({.checksums = Checksums::trusted});
  Bytes first = sender.next(500);
  first[36] ^= 1;
  burst.add(first);
  burst.add(sender.next(500));
  EXPECT_EQ(burst.sizes(), Sizes{2});
}

TEST(Coalesce, SuperPacketsStayBelow64KiB) {
  for (const bool v6 : {false, true}) {
    Sender sender;
    if (v6) sender.ip = made::v6();
    Burst burst;
    for (int i = 0; i < 100; ++i) burst.add(sender.next(1400));
    uint32_t total = 0;
    for (uint32_t i = 0; i < burst.coalescer.trains(); ++i) {
      EXPECT_LE(burst.coalescer.train(i).bytes, 65535u);
      total += burst.coalescer.train(i).packets;
    }
    EXPECT_EQ(total, 100u);
    EXPECT_EQ(burst.coalescer.trains(), 3u);
  }
}

TEST(Coalesce, UdpTrainsOnlyWhenAskedFor) {
  for (const bool asked : {false, true}) {
    Burst burst({.udp = asked});
    std::vector<Bytes> sent;
    made::Ip spec;
    for (uint32_t i = 0; i < 4; ++i) {
      sent.push_back(made::udp(spec, 5000, 6000, made::pattern(i == 3 ? 100 : 1200, i)));
      ++spec.identification;
      burst.add(sent.back());
    }
    burst.add(made::udp(spec, 5000, 6000, made::pattern(100)));
    if (!asked) {
      EXPECT_EQ(burst.sizes(), Sizes(5, 1));
      continue;
    }
    ASSERT_EQ(burst.sizes(), (Sizes{4, 1}));
    EXPECT_EQ(burst.coalescer.train(0).offload.kind, Kind::udp);
    EXPECT_EQ(cut_again(burst, 0), sent);
  }
}

TEST(Coalesce, UdpWithoutChecksumStaysAlone) {
  Burst burst({.udp = true});
  for (int i = 0; i < 2; ++i) {
    Bytes packet = made::udp({}, 1, 2, made::pattern(50));
    store_be16(&packet[26], 0);
    burst.add(packet);
  }
  EXPECT_EQ(burst.sizes(), (Sizes{1, 1}));
}

TEST(Coalesce, TrailingBytesAreCut) {
  Sender sender;
  Burst burst;
  Bytes padded = sender.next(100);
  padded.resize(padded.size() + 30);
  burst.add(padded);
  burst.add(sender.next(100));
  EXPECT_EQ(burst.gathered(0).size(), 240u);
}

TEST(Coalesce, WhatIsNoIpPacketPassesThrough) {
  Burst burst;
  for (size_t size = 0; size < 20; ++size) burst.add(Bytes(size, 0x45));
  EXPECT_EQ(burst.coalescer.trains(), 20u);
}

TEST(Coalesce, IsFullAtItsBoundAndEmptyAfterClear) {
  Coalescer coalescer;
  Sender sender;
  std::deque<Bytes> packets;
  for (uint32_t i = 0; i < Coalescer::kMaxPackets; ++i) {
    packets.push_back(sender.next(i % 3 == 0 ? 0 : 10));
    ASSERT_TRUE(coalescer.add(packets.back()));
  }
  packets.push_back(sender.next(10));
  EXPECT_FALSE(coalescer.add(packets.back()));
  coalescer.clear();
  EXPECT_EQ(coalescer.trains(), 0u);
  EXPECT_TRUE(coalescer.add(packets.back()));
  EXPECT_EQ(coalescer.train(0).packets, 1u);
}

// Many bursts of random mixtures: what comes out, cut again, is each flow's bytes in order.
TEST(Coalesce, RandomMixturesLoseNothingAndKeepOrder) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Sender> senders(4);
    for (uint16_t i = 0; i < 4; ++i) {
      if (i % 2 != 0) senders[i].ip = made::v6();
      senders[i].tcp.source_port = static_cast<uint16_t>(100 + i);
    }
    Burst burst;
    std::vector<std::vector<Bytes>> sent(4), got(4);
    for (int i = 0; i < 60; ++i) {
      const size_t which = random() % 4;
      const uint8_t flags = random() % 8 == 0 ? kAck | kPsh : kAck;
      const size_t size = random() % 6 == 0 ? random() % 200 : 200;
      if (random() % 10 == 0) ++senders[which].tcp.acknowledgment;
      sent[which].push_back(senders[which].next(size, flags));
      burst.add(sent[which].back());
    }
    for (uint32_t i = 0; i < burst.coalescer.trains(); ++i) {
      const bool alone = burst.coalescer.train(i).packets == 1;
      for (const Bytes& packet : alone ? std::vector<Bytes>{burst.gathered(i)} : cut_again(burst, i)) {
        const size_t ports = (packet[0] >> 4) == 4 ? 20 : 40;
        got[load_be16(&packet[ports]) - 100u].push_back(packet);
      }
    }
    ASSERT_EQ(got, sent) << "round " << round;
  }
}

}  // namespace
}  // namespace adit::net
