// Packets from host to host through two workers and real crypto, over every kind of wire.
#include "datapath/testing/two_sites.h"

#include "net/segment.h"

namespace adit::datapath {

std::vector<Bytes> cut(const std::vector<FakeHost::Item>& items) {
  std::vector<Bytes> packets;
  for (const FakeHost::Item& item : items) {
    if (item.offload.kind == Offload::Kind::none) {
      packets.push_back(item.bytes);
      EXPECT_EQ(net::finish_checksum(packets.back(), item.offload), DropReason::none);
      continue;
    }
    net::Segmenter segmenter;
    EXPECT_EQ(segmenter.begin(item.bytes, item.offload), DropReason::none);
    for (uint32_t i = 0; i < segmenter.count(); ++i) {
      Bytes segment(segmenter.length(i));
      segmenter.write(i, segment.data());
      packets.push_back(std::move(segment));
    }
  }
  return packets;
}

namespace {

struct Way {
  const char* name;
  bool secured;
  Protection how;
  WireKind kind;
};

const Way kWays[] = {
    {"Clear", false, {}, WireKind::ipip},
    {"EspGcm", true, {}, WireKind::esp},
    {"EspGcmUdp", true, {.udp = true}, WireKind::udp},
    {"EspCbcSha256Esn",
     true,
     {crypto::EncrAlg::aes_cbc, crypto::AuthAlg::hmac_sha256, false, false, true},
     WireKind::esp},
    {"EspCbcSha256Udp",
     true,
     {crypto::EncrAlg::aes_cbc, crypto::AuthAlg::hmac_sha256, false, true, false},
     WireKind::udp},
    {"AhOverEsp", true, {.ah = true}, WireKind::ah},
    {"AhAlone", true, {crypto::EncrAlg::none, crypto::AuthAlg::none, true}, WireKind::ah},
};

class Ways : public testing::TestWithParam<std::tuple<Way, bool>> {
 protected:
  Ways() : sites(std::get<1>(GetParam())) {
    if (way.secured) {
      sites.protect(way.how);
    } else {
      sites.alice.link.secured = sites.bob.link.secured = false;
      sites.publish();
    }
  }
  void expect_no_drops() {
    for (const Site* site : {&sites.alice, &sites.bob})
      for (size_t r = 0; r < kDropReasons; ++r) {
        EXPECT_EQ(site->counters().drops_in[r].get(), 0u) << kDropReasonTexts[r].name;
        EXPECT_EQ(site->counters().drops_out[r].get(), 0u) << kDropReasonTexts[r].name;
        EXPECT_EQ(site->worker->unlinked().drops_in[r].get(), 0u) << kDropReasonTexts[r].name;
      }
  }

  const Way way = std::get<0>(GetParam());
  TwoSites sites;
};

made::Ip back(made::Ip spec) {
  std::swap(spec.source, spec.destination);
  return spec;
}

TEST_P(Ways, CarriesSmallPacketsOfBothFamiliesBothWays) {
  for (const made::Ip& inner : {made::Ip{}, made::v6()}) {
    const Bytes ping = made::udp(inner, 1000, 2000, made::pattern(56));
    sites.alice.host->send(ping);
    sites.run();
    const auto there = sites.bob.host->received();
    ASSERT_EQ(there.size(), 1u);
    EXPECT_EQ(there[0].bytes, ping);

    const Bytes pong = made::udp(back(inner), 2000, 1000, made::pattern(56, 7));
    sites.bob.host->send(pong);
    sites.run();
    const auto home = sites.alice.host->received();
    ASSERT_EQ(home.size(), 1u);
    EXPECT_EQ(home[0].bytes, pong);
  }
  expect_no_drops();
}

TEST_P(Ways, NothingReadableLeavesUnlessTheLinkIsClear) {
  const Bytes secret = made::pattern(200);
  sites.alice.host->send(made::udp({}, 1000, 2000, secret));
  sites.run();
  const auto sent = sites.alice.node->sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].kind, way.kind);
  const bool readable =
      std::search(sent[0].bytes.begin(), sent[0].bytes.end(), secret.begin(), secret.end()) != sent[0].bytes.end();
  EXPECT_EQ(readable, !way.secured || way.how.encr == crypto::EncrAlg::none);
}

// A 60 KB TCP super-packet, as the kernel hands it over: a partial checksum, no segments yet.
struct Super {
  Bytes bytes;
  Offload offload;
};
Super super_packet(const made::Ip& inner, uint16_t mss, size_t payload) {
  made::Tcp tcp;
  tcp.flags = 0x18;  // PSH, ACK
  Super super{made::tcp(inner, tcp, made::pattern(payload)), {}};
  const bool v4 = inner.source.is_v4();
  const uint16_t start = v4 ? 20 : 40;
  const auto bytes = static_cast<uint32_t>(super.bytes.size() - start);
  const net::Sum pseudo = net::pseudo_header(inner.source.family(), inner.source.bytes().data(),
                                             inner.destination.bytes().data(), net::kProtoTcp, bytes);
  store_be16(&super.bytes[start + 16u], pseudo.partial());
  super.offload.kind = v4 ? Offload::Kind::tcp4 : Offload::Kind::tcp6;
  super.offload.needs_checksum = true;
  super.offload.segment_bytes = mss;
  super.offload.header_length = static_cast<uint16_t>(start + 20);
  super.offload.checksum_start = start;
  super.offload.checksum_offset = 16;
  return super;
}

TEST_P(Ways, CarriesATcpSuperPacketWhole) {
  for (const made::Ip& inner : {made::Ip{}, made::v6()}) {
    const uint32_t headers = inner.source.is_v4() ? 40 : 60;
    const auto mss = static_cast<uint16_t>(1280 - headers);
    const Super super = super_packet(inner, mss, 44 * size_t{mss} + 100);
    sites.alice.host->send(super.bytes, super.offload);
    sites.run();

    Bytes payload;
    for (const Bytes& packet : cut(sites.bob.host->received())) {
      EXPECT_TRUE(made::checksums_hold(packet, headers - 20, net::kProtoTcp));
      payload.insert(payload.end(), packet.begin() + headers, packet.end());
    }
    EXPECT_EQ(payload, made::pattern(44 * size_t{mss} + 100));
  }
  EXPECT_EQ(sites.alice.counters().opackets.get(), 90u);
  EXPECT_EQ(sites.bob.counters().ipackets.get(), 90u);
  expect_no_drops();
}

INSTANTIATE_TEST_SUITE_P(All, Ways, testing::Combine(testing::ValuesIn(kWays), testing::Bool()), [](const auto& param) {
  return std::string(std::get<0>(param.param).name) + (std::get<1>(param.param) ? "Outer6" : "Outer4");
});

TEST(TwoSites, OneSuperPacketIsOneSendAndOneWriteOverUdp) {
  TwoSites sites;
  sites.protect({.udp = true});
  sites.alice.host->send(super_packet({}, 1362, 45 * 1362).bytes, super_packet({}, 1362, 45 * 1362).offload);
  sites.run();
  const auto sent = sites.alice.node->sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].segment_bytes, 8 + 8 + 1402 + 2 + 16);  // header, IV, packet (no padding needed), trailer, ICV
  const auto received = sites.bob.host->received();
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].offload.segment_bytes, 1362);
}

TEST(TwoSites, SmallDatagramsReadInOneRoundLeaveAsOneTrain) {
  TwoSites sites;
  sites.protect({.udp = true});
  for (int i = 0; i < 20; ++i)
    sites.alice.host->send(made::udp({}, 1000, 2000, made::pattern(1300, static_cast<uint32_t>(i))));
  sites.run();
  const auto sent = sites.alice.node->sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].bytes.size(), 20u * sent[0].segment_bytes);
  EXPECT_EQ(cut(sites.bob.host->received()).size(), 20u);
}

TEST(TwoSites, TransportPolicyCarriesTheEncapsulatedPacket) {
  TwoSites sites;
  for (Site* site : {&sites.alice, &sites.bob}) {
    site->link.head = head_of(rules_of(action_of({}), {}, spd::Mode::transport));
    for (const auto& [spi, from, to] : {std::tuple{0x1001u, sites.a, sites.b}, {0x1002u, sites.b, sites.a}}) {
      sad::SaSpec spec = esp_spec({}, spi, from, to);
      spec.mode = sad::SaMode::transport;
      site->add(std::move(spec));
    }
  }
  sites.publish();
  const Bytes packet = made::udp({}, 1, 2, made::pattern(100));
  sites.alice.host->send(packet);
  sites.run();
  const auto received = sites.bob.host->received();
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].bytes, packet);
}

}  // namespace
}  // namespace adit::datapath
