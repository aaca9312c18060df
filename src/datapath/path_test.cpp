// What real networks do to packets: SAs that come late, MTUs, ECN, fragments, ICMP; and what the operator sees of it.
#include <thread>

#include "datapath/two_sites.h"
#include "net/segment.h"

namespace adit::datapath {
namespace {

Bytes datagram(size_t payload, const made::Ip& inner = {}) {
  return made::udp(inner, 1000, 2000, made::pattern(payload));
}

template <typename T>
std::vector<T> events_of(Site& site) {
  std::vector<T> found;
  for (const Event& event : site.shared.events.take_all())
    if (const T* one = std::get_if<T>(&event)) found.push_back(*one);
  return found;
}

// ---- acquire

class Acquire : public testing::Test {
 protected:
  Acquire() {
    for (Site* site : {&sites.alice, &sites.bob}) site->link.head = head_of(rules_of(action_of({})));
  }
  void add_sas() {
    for (Site* site : {&sites.alice, &sites.bob}) site->add(esp_spec({}, 0x1001, sites.a, sites.b));
    sites.publish();
  }
  TwoSites sites;
};

TEST_F(Acquire, AsksOnceAndSendsInOrderWhenTheSaComes) {
  sites.publish();
  std::vector<Bytes> packets;
  for (size_t i = 0; i < 5; ++i) packets.push_back(datagram(100 + i));
  for (const Bytes& packet : packets) sites.alice.host->send(packet);
  sites.run();
  sites.publish();  // a picture without SAs changes nothing and asks nobody
  sites.run();
  EXPECT_TRUE(sites.alice.node->sent().empty());
  const auto asked = events_of<AcquireNeeded>(sites.alice);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].link, kLink);
  EXPECT_EQ(asked[0].rule_index, 1u);
  EXPECT_EQ(asked[0].flow.destination_port, 2000);

  add_sas();
  sites.run();
  const auto received = sites.bob.host->received();
  ASSERT_EQ(received.size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(received[i].bytes, packets[i]);
}

TEST_F(Acquire, KeepsNoMoreThanTheBound) {
  sites.alice.acquire_queue_packets = 3;
  sites.publish();
  for (int i = 0; i < 10; ++i) sites.alice.host->send(datagram(100));
  sites.run();
  EXPECT_EQ(sites.alice.dropped_out(DropReason::acquire_queue_full), 7u);
  add_sas();
  sites.run();
  EXPECT_EQ(sites.bob.host->received().size(), 3u);
}

TEST_F(Acquire, GivesUpAfterTheWaitAndAsksAnew) {
  sites.alice.acquire_wait_seconds = 0;
  sites.publish();
  sites.alice.host->send(datagram(100));
  sites.run();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the coarse clock's tick
  sites.run();
  EXPECT_EQ(sites.alice.dropped_out(DropReason::acquire_timeout), 1u);
  sites.alice.host->send(datagram(100));
  sites.run();
  EXPECT_EQ(events_of<AcquireNeeded>(sites.alice).size(), 2u);
}

TEST_F(Acquire, WakesByItselfToGiveUp) {
  sites.alice.acquire_wait_seconds = 1;
  sites.publish();
  sites.alice.worker->start();
  sites.alice.host->send(datagram(100));
  for (int i = 0; i < 300 && sites.alice.dropped_out(DropReason::acquire_timeout) == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(sites.alice.dropped_out(DropReason::acquire_timeout), 1u);
  sites.alice.worker->stop();
}

// ---- sizes

TEST(Sizes, TooBigWithDontFragmentIsAnsweredWithTheMtu) {
  TwoSites sites;
  sites.protect({});
  sites.alice.host->send(datagram(1500));
  sites.run();
  EXPECT_TRUE(sites.alice.node->sent().empty());
  EXPECT_EQ(sites.alice.dropped_out(DropReason::too_big), 1u);
  const auto answers = sites.alice.host->received();
  ASSERT_EQ(answers.size(), 1u);
  const Bytes& icmp = answers[0].bytes;
  EXPECT_EQ(icmp[9], net::kProtoIcmp);
  EXPECT_EQ(icmp[20], 3);
  EXPECT_EQ(icmp[21], 4);
  EXPECT_EQ(load_be16(&icmp[26]), sites.alice.link.mtu);
  EXPECT_EQ(net::Address::from_v4(&icmp[16]), made::Ip{}.source);
}

TEST(Sizes, TooBigIpv6IsAnsweredWithPacketTooBig) {
  TwoSites sites;
  sites.protect({});
  sites.alice.host->send(datagram(1500, made::v6()));
  sites.run();
  const auto answers = sites.alice.host->received();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].bytes[40], 2);
  EXPECT_EQ(load_be32(&answers[0].bytes[44]), sites.alice.link.mtu);
}

TEST(Sizes, TooBigWithoutDontFragmentGoesInFragments) {
  TwoSites sites;
  sites.protect({});
  made::Ip inner;
  inner.fragment = 0;
  sites.alice.host->send(datagram(3000, inner));
  sites.run();
  const auto received = sites.bob.host->received();
  ASSERT_EQ(received.size(), 3u);
  Bytes payload;
  for (const auto& fragment : received)
    payload.insert(payload.end(), fragment.bytes.begin() + 20, fragment.bytes.end());
  EXPECT_EQ(Bytes(payload.begin() + 8, payload.end()), made::pattern(3000));
}

TEST(Sizes, AnswersAreRationed) {
  TwoSites sites;
  sites.protect({});
  for (int i = 0; i < 500; ++i) sites.alice.host->send(datagram(1500));
  sites.run();
  EXPECT_EQ(sites.alice.dropped_out(DropReason::too_big), 500u);
  EXPECT_LT(sites.alice.host->received().size(), 50u);
}

TEST(Sizes, AHeavySuiteGetsItsExactMtu) {
  TwoSites sites;
  Protection heavy{crypto::EncrAlg::aes_cbc, crypto::AuthAlg::hmac_sha256, true, false, true};
  sites.protect(heavy);
  sites.alice.link.mtu = 1500;  // an operator pinned too much
  sites.publish();
  sites.alice.host->send(datagram(1472));
  sites.run();
  const auto answers = sites.alice.host->received();
  ASSERT_EQ(answers.size(), 1u);
  const uint16_t mtu = load_be16(&answers[0].bytes[26]);
  sites.alice.host->send(datagram(mtu - 28u));
  sites.run();
  const auto sent = sites.alice.node->sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_LE(sent[0].bytes.size() + 20, 1500u);
  EXPECT_GT(sent[0].bytes.size() + 20, 1500u - 16);  // and not less than the cipher's blocks take
  EXPECT_EQ(sites.bob.host->received().size(), 1u);
}

TEST(Sizes, RefusedByTheUnderlayTellsTheEngineThePathMtu) {
  TwoSites sites;
  sites.protect({});
  sites.alice.node->limit(1380, 1400);
  for (int i = 0; i < 3; ++i) {
    sites.alice.host->send(datagram(1350));
    sites.run();
  }
  EXPECT_EQ(sites.alice.dropped_out(DropReason::send_failed), 3u);
  const auto events = events_of<PathMtuChanged>(sites.alice);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].path_mtu, 1400u);

  sites.alice.link.path_mtu = 1400;  // as the engine does, and the sender then hears of it
  sites.publish();
  sites.alice.host->send(datagram(1350));
  sites.run();
  EXPECT_EQ(sites.alice.dropped_out(DropReason::too_big), 1u);
  EXPECT_EQ(sites.alice.host->received().size(), 1u);
}

TEST(Sizes, SmallPacketsMayBeFragmentedOnTheWayOthersNot) {
  TwoSites sites;
  sites.protect({});
  sites.alice.host->send(datagram(1252));
  sites.alice.host->send(datagram(1253));
  sites.run();
  const auto sent = sites.alice.node->sent();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_FALSE(sent[0].dont_fragment);
  EXPECT_TRUE(sent[1].dont_fragment);
}

Bytes syn() {
  made::Tcp tcp;
  tcp.flags = 2;
  tcp.options = {2, 4, 0x05, 0xb4};  // 1460
  return made::tcp({}, tcp, {});
}

TEST(Sizes, MssIsClampedBothWaysUnlessTurnedOff) {
  TwoSites sites;
  sites.protect({});
  sites.alice.link.clamp_mss = false;
  sites.bob.link.clamp_mss = false;
  sites.publish();
  sites.alice.host->send(syn());
  sites.run();
  EXPECT_EQ(load_be16(&sites.bob.host->received().at(0).bytes[42]), 1460);

  sites.alice.link.clamp_mss = true;
  sites.publish();
  sites.alice.host->send(syn());
  sites.run();
  Bytes got = sites.bob.host->received().at(0).bytes;
  EXPECT_EQ(load_be16(&got[42]), sites.alice.link.mtu - 40);
  EXPECT_TRUE(made::checksums_hold(got, 20, net::kProtoTcp));

  sites.alice.link.clamp_mss = false;
  sites.bob.link.clamp_mss = true;
  sites.publish();
  sites.alice.host->send(syn());
  sites.run();
  got = sites.bob.host->received().at(0).bytes;
  EXPECT_EQ(load_be16(&got[42]), sites.bob.link.mtu - 40);
  EXPECT_TRUE(made::checksums_hold(got, 20, net::kProtoTcp));
}

// ---- marks

TEST(Marks, EcnTravelsOutAndCongestionComesBackIn) {
  TwoSites sites;
  sites.protect({});
  sites.alice.node->connect(sites.bob.node.get(), [](FakeNode::Datagram& passing) {
    EXPECT_EQ(passing.traffic_class, 0xb8 | 2);  // DSCP of IPv4 in IPv4, ECT(0)
    passing.traffic_class |= 3;                  // a router is congested
    return true;
  });
  made::Ip inner;
  inner.traffic_class = 0xb8 | 2;
  sites.alice.host->send(datagram(100, inner));
  sites.run();
  const auto received = sites.bob.host->received();
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].bytes[1], 0xb8 | 3);
  EXPECT_EQ(net::checksum(ByteSpan(received[0].bytes).first(20)), 0);
}

TEST(Marks, CongestionOnAPacketThatKnowsNoEcnIsDropped) {
  TwoSites sites;
  sites.protect({});
  sites.alice.node->connect(sites.bob.node.get(), [](FakeNode::Datagram& passing) {
    passing.traffic_class |= 3;
    return true;
  });
  sites.alice.host->send(datagram(100));
  sites.run();
  EXPECT_TRUE(sites.bob.host->received().empty());
  EXPECT_EQ(sites.bob.dropped_in(DropReason::ecn_illegal), 1u);
}

TEST(Marks, HopLimitOfTheLinkAndEncapsulationLimitOfIpv6) {
  TwoSites sites(true);
  sites.alice.link.outer.hoplimit = 17;
  sites.protect({});
  sites.alice.host->send(datagram(100));
  sites.run();
  const auto sent = sites.alice.node->sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].hoplimit, 17);
  EXPECT_EQ(sent[0].encaplimit, tunnel::kDefaultEncapLimit);
}

// ---- fragments of inner packets

class Fragments : public testing::Test {
 protected:
  Fragments() {
    spd::Selector only_2000;
    only_2000.protocol = net::kProtoUdp;
    for (Site* site : {&sites.alice, &sites.bob}) {
      site->add(esp_spec({}, 0x1001, sites.a, sites.b));
      auto rules = rules_of(action_of({}), only_2000);
      for (spd::Rule& rule : rules)
        (site == &sites.alice ? rule.selector.remote_port : rule.selector.local_port) = 2000;
      site->link.head = head_of(std::move(rules));
    }
    sites.publish();
    const Bytes whole = datagram(2000);
    made::Ip spec;
    spec.fragment = 0x2000;
    first = made::ip(spec, Bytes(whole.begin() + 20, whole.begin() + 20 + 1024));
    spec.fragment = 1024 / 8;
    second = made::ip(spec, Bytes(whole.begin() + 20 + 1024, whole.end()));
  }
  TwoSites sites;
  Bytes first, second;
};

TEST_F(Fragments, FollowTheFirstOneOutAndArePutTogetherBeforeTheyAreJudged) {
  sites.alice.host->send(first);
  sites.alice.host->send(second);
  sites.run();
  const auto received = sites.bob.host->received();
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(Bytes(received[0].bytes.begin() + 28, received[0].bytes.end()), made::pattern(2000));
}

TEST_F(Fragments, LaterOneWithoutTheFirstStays) {
  sites.alice.host->send(second);
  sites.run();
  EXPECT_TRUE(sites.alice.node->sent().empty());
  EXPECT_EQ(sites.alice.dropped_out(DropReason::reassembly_timeout), 1u);
}

// ---- the underlay's errors

WireError too_big_about(const Site& site, WireKind kind, const Bytes& quoted) {
  WireError error;
  error.offender = made::address("192.0.2.254");
  error.source = site.link.outer.local;
  error.destination = site.link.outer.remote;
  error.icmp_type = 3;
  error.icmp_code = 4;
  error.kind = kind;
  error.mtu = 1400;
  error.quoted_length = static_cast<uint32_t>(std::min(quoted.size(), error.quoted.size()));
  std::copy_n(quoted.begin(), error.quoted_length, error.quoted.begin());
  return error;
}

TEST(OuterErrors, PathMtuIsLearntFromAnErrorAboutOurSaOnly) {
  TwoSites sites;
  sites.protect({});
  Bytes quoted(8);
  store_be32(quoted.data(), 0x9999);
  sites.alice.node->deliver(too_big_about(sites.alice, WireKind::esp, quoted));
  sites.run();
  EXPECT_TRUE(events_of<PathMtuChanged>(sites.alice).empty());
  store_be32(quoted.data(), 0x1001);
  sites.alice.node->deliver(too_big_about(sites.alice, WireKind::esp, quoted));
  sites.run();
  const auto events = events_of<PathMtuChanged>(sites.alice);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].path_mtu, 1400u);
}

TEST(OuterErrors, UnreachableOfAClearTunnelReachesTheInnerSender) {
  TwoSites sites;
  sites.alice.link.secured = false;
  sites.publish();
  WireError error = too_big_about(sites.alice, WireKind::ipip, datagram(60));
  error.icmp_code = 1;
  sites.alice.node->deliver(error);
  sites.run();
  const auto answers = sites.alice.host->received();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].bytes[20], 3);
  EXPECT_EQ(answers[0].bytes[21], 1);
}

// ---- UDP port 4500

TEST(Port4500, IkeGoesToItsSinkAndKeepalivesNowhere) {
  TwoSites sites;
  Bytes seen;
  sites.bob.shared.ike_sink = [&](const IkeDatagram& ike) {
    EXPECT_EQ(ike.source, sites.a);
    seen.assign(ike.bytes.begin(), ike.bytes.end());
  };
  sites.protect({.udp = true});
  const Bytes message = made::pattern(40);
  FakeNode::Datagram ike{WireKind::udp, sites.a, sites.b, 4500, 4500};
  ike.bytes = made::operator+(Bytes(4), message);
  sites.bob.node->deliver(ike);
  FakeNode::Datagram keepalive{WireKind::udp, sites.a, sites.b, 4500, 4500};
  keepalive.bytes = {0xff};
  sites.bob.node->deliver(keepalive);
  sites.run();
  EXPECT_EQ(seen, message);
  EXPECT_EQ(sites.bob.counters().ierrors.get() + sites.bob.worker->unlinked().ierrors.get(), 0u);
}

TEST(Devices, ALoopOrABrokenDeviceDoesNotFloodTheEventQueue) {
  TwoSites sites;
  sites.protect({});
  made::Ip outer;
  outer.source = sites.a;
  outer.destination = sites.b;
  outer.protocol = net::kProtoEsp;
  for (int i = 0; i < 2000; ++i) sites.alice.host->send(made::ip(outer, made::pattern(100)));
  sites.run();
  EXPECT_EQ(sites.alice.dropped_out(DropReason::loop), 2000u);
  EXPECT_LT(events_of<LoopCaught>(sites.alice).size(), 50u);
  EXPECT_EQ(sites.alice.shared.events.lost(), 0u);
}

// ---- devices

TEST(Devices, AFullOrLostDeviceIsCounted) {
  TwoSites sites;
  sites.protect({});
  sites.bob.host->fail_writes(-EAGAIN);
  sites.alice.host->send(datagram(100));
  sites.run();
  EXPECT_EQ(sites.bob.dropped_in(DropReason::tun_backlog), 1u);
  sites.bob.host->fail_writes(-EBADFD);
  sites.alice.host->send(datagram(100));
  sites.run();
  EXPECT_EQ(sites.bob.dropped_in(DropReason::link_down), 1u);
  EXPECT_EQ(events_of<LinkIoFailed>(sites.bob).size(), 1u);
}

TEST(Devices, DetachedLinkCarriesNothingAndMayComeBack) {
  TwoSites sites;
  sites.protect({});
  sites.alice.worker->start();
  sites.alice.worker->detach(kLink);
  sites.alice.host->send(datagram(100));
  sites.alice.worker->settle();
  EXPECT_TRUE(sites.alice.node->sent().empty());
  ASSERT_TRUE(sites.alice.worker->attach(kLink, std::make_unique<FakeTun>(sites.alice.host)));
  for (int i = 0; i < 200 && sites.alice.counters().opackets.get() == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  sites.alice.worker->stop();
  EXPECT_EQ(sites.alice.counters().opackets.get(), 1u);
}

// ---- what the operator sees

TEST(Trace, TellsRuleSaAndReasonOfEachPacket) {
  TwoSites sites;
  sites.protect({});
  sites.alice.shared.trace.enable(true);
  sites.bob.shared.trace.enable(true);
  sites.alice.host->send(datagram(100));
  sites.run();
  sites.alice.host->send(datagram(1500));
  sites.run();
  const auto out = sites.alice.shared.trace.take();
  ASSERT_EQ(out.size(), 2u);
  EXPECT_TRUE(out[0].outbound);
  EXPECT_EQ(out[0].rule_index, 1u);
  EXPECT_EQ(out[0].spi, 0x1001u);
  EXPECT_EQ(out[0].sequence, 1u);
  EXPECT_EQ(out[0].flow.destination_port, 2000);
  EXPECT_EQ(out[1].drop, DropReason::too_big);
  const auto in = sites.bob.shared.trace.take();
  ASSERT_EQ(in.size(), 1u);
  EXPECT_FALSE(in[0].outbound);
  EXPECT_EQ(in[0].rule_index, 3u);
  EXPECT_EQ(in[0].spi, 0x1001u);
  EXPECT_EQ(in[0].drop, DropReason::none);
}

TEST(Trace, BoundedAndCounted) {
  TraceTap tap;
  tap.put({});
  EXPECT_EQ(tap.take().size(), 0u);
  tap.enable(true);
  for (int i = 0; i < 5000; ++i) tap.put({});
  EXPECT_EQ(tap.take().size(), 4096u);
  EXPECT_EQ(tap.lost(), 905u);
}

TEST(Events, AFullQueueLosesTheNewestAndCounts) {
  EventQueue queue(2);
  int rung = 0;
  queue.bell = [&] { ++rung; };
  EXPECT_TRUE(queue.put(LoopCaught{tunnel::LinkId{1}}));
  EXPECT_TRUE(queue.put(LoopCaught{tunnel::LinkId{2}}));
  EXPECT_FALSE(queue.put(LoopCaught{tunnel::LinkId{3}}));
  EXPECT_EQ(queue.lost(), 1u);
  EXPECT_EQ(rung, 2);
  EXPECT_EQ(queue.take_all().size(), 2u);
  EXPECT_TRUE(queue.take_all().empty());
}

// ---- I3 under traffic: two workers run, the picture is swapped all the time (meant for ThreadSanitizer)

TEST(Swap, I3PacketsFlowAndNothingLeaksWhileThePictureIsSwapped) {
  TwoSites sites;
  sites.protect({.udp = true});
  std::atomic<uint64_t> readable{0};
  for (Site* site : {&sites.alice, &sites.bob}) {
    FakeNode* other = (site == &sites.alice ? sites.bob : sites.alice).node.get();
    site->node->keep_capture(false);
    site->node->connect(other, [&readable](FakeNode::Datagram& passing) {
      if (passing.kind != WireKind::udp) ++readable;
      return true;
    });
  }
  sites.alice.worker->start();
  sites.bob.worker->start();
  constexpr size_t kPackets = 3000;
  std::thread hosts([&] {
    for (size_t i = 0; i < kPackets; ++i) {
      sites.alice.host->send(datagram(200));
      sites.bob.host->send(datagram(300));
      if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (int i = 0; i < 300; ++i) {
    for (Site* site : {&sites.alice, &sites.bob}) {
      site->link.up = i % 7 != 0;  // also closed now and then
      site->link.head = i % 5 == 0 ? nullptr : head_of(rules_of(action_of({})));
    }
    sites.publish();
    sites.alice.worker->wake();
    if (i % 10 == 0) sites.bob.worker->settle();
  }
  for (Site* site : {&sites.alice, &sites.bob}) {
    site->link.up = true;
    site->link.head = head_of(rules_of(action_of({})));
  }
  sites.publish();
  hosts.join();
  uint64_t told = 0;
  const auto count = [&](const Site& site) {
    uint64_t sum = site.counters().opackets.get();
    for (const Counter& counter : site.counters().drops_out) sum += counter.get();
    return sum;
  };
  for (int i = 0; i < 500 && told != 2 * kPackets; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    told = count(sites.alice) + count(sites.bob);
  }
  sites.alice.worker->stop();
  sites.bob.worker->stop();
  EXPECT_EQ(told, 2 * kPackets);  // every packet is accounted for
  EXPECT_EQ(readable, 0u);
  EXPECT_GT(sites.alice.counters().opackets.get(), 0u);
}

TEST(Swap, SettleMeansThatTheOldPictureIsGone) {
  TwoSites sites;
  sites.protect({});
  sites.alice.worker->start();
  for (int i = 0; i < 50; ++i) {
    sites.alice.host->send(datagram(100));
    sites.alice.link.up = false;
    sites.alice.publish();
    sites.alice.worker->settle();
    sites.alice.node->sent();
    sites.alice.host->send(datagram(100));
    sites.alice.worker->settle();
    EXPECT_TRUE(sites.alice.node->sent().empty());
    sites.alice.link.up = true;
    sites.alice.publish();
  }
  sites.alice.worker->stop();
}

}  // namespace
}  // namespace adit::datapath
