// What real networks do to packets: SAs that come late, MTUs, ECN, fragments, ICMP; and what the operator sees of it.
#include <chrono>
#include <thread>

#include "datapath/fragment_memo.h"
#include "datapath/testing/two_sites.h"
#include "ike/door/testing/fake_port.h"
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
  sites.publish();  // a snapshot without SAs changes nothing and asks nobody
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
  EXPECT_EQ(sites.alice.dropped_out(DropReason::send_too_big), 3u);
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
  EXPECT_FALSE(sent[0].has_encaplimit) << "off unless asked for";

  sites.alice.link.outer.encaplimit = 3;
  sites.publish();
  sites.alice.host->send(datagram(100));
  sites.run();
  const auto asked = sites.alice.node->sent();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_TRUE(asked[0].has_encaplimit);
  EXPECT_EQ(asked[0].encaplimit, 3);
}

// Eight bytes more than the link's MTU foresees: said to the sender, not lost at the socket.
TEST(Marks, AnOptionThatIsHandedOnCountsInTheMtu) {
  TwoSites sites(true);
  sites.alice.link.outer.hoplimit = 17;  // so counted, the header is 40 bytes
  sites.alice.link.mtu = tunnel::link_mtu(sites.alice.link.outer, 1500, tunnel::kEspOverhead);
  sites.protect({});
  const auto with_option = [](size_t bytes) {
    Bytes options{net::kProtoUdp, 0, 4, 1, 3, 1, 1, 0};
    options.resize(bytes - net::kIpv6HeaderBytes, 0);
    made::Ip inner = made::v6();
    inner.protocol = net::kNextDestination;
    return made::ip(inner, options);
  };
  sites.alice.host->send(with_option(1300));
  sites.run();
  ASSERT_EQ(sites.alice.node->sent().size(), 1u);
  // The largest without the option that still goes.
  uint32_t largest = 0;
  for (uint32_t bytes = 1300; bytes <= 1500; ++bytes) {
    sites.alice.host->send(datagram(bytes - 48, made::v6()));
    sites.run();
    if (sites.alice.node->sent().size() == 1) largest = bytes;
  }
  sites.alice.host->send(with_option(largest));
  sites.run();
  EXPECT_TRUE(sites.alice.node->sent().empty());
  sites.alice.host->send(with_option(largest - 8));
  sites.run();
  EXPECT_EQ(sites.alice.node->sent().size(), 1u);
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

  void expect_as_sent(const std::vector<Bytes>& sent) {
    std::vector<Bytes> received;
    for (const auto& item : sites.bob.host->received()) received.push_back(item.bytes);
    EXPECT_EQ(received, sent);
    EXPECT_EQ(sites.bob.counters().ipackets.get(), sent.size());
    EXPECT_EQ(sites.bob.counters().ierrors.get(), 0u);
  }
  void wait_too_long() {
    for (Site* site : {&sites.alice, &sites.bob}) site->worker->pass_time(Seconds(6));
    sites.run();
  }
  // Of the datagram another part, at `offset`.
  static Bytes part(const Bytes& whole, uint32_t offset, uint32_t bytes, bool more, uint16_t identification = 0x1234) {
    made::Ip spec;
    spec.identification = identification;
    spec.fragment = static_cast<uint16_t>((more ? 0x2000 : 0) | offset / 8);
    const auto from = whole.begin() + 20 + offset;
    return made::ip(spec, Bytes(from, from + bytes));
  }

 public:
  TwoSites sites;
  Bytes first, second;
};

TEST_F(Fragments, ComeOutAsTheyWereSent) {
  sites.alice.host->send(first);
  sites.alice.host->send(second);
  sites.run();
  expect_as_sent({first, second});
}

TEST_F(Fragments, OfIpv6ComeOutAsTheyWereSent) {
  const Bytes whole = datagram(2000, made::v6());
  const auto piece = [&](uint32_t offset, uint32_t bytes, bool more) {
    Bytes header{net::kProtoUdp, 0, 0, 0, 0, 0, 0, 9};
    store_be16(&header[2], static_cast<uint16_t>(offset | (more ? 1 : 0)));
    const auto from = whole.begin() + 40 + offset;
    return made::ip(made::v6(net::kNextFragment), made::operator+(header, Bytes(from, from + bytes)));
  };
  const std::vector<Bytes> sent{piece(0, 1200, true), piece(1200, 808, false)};
  for (const Bytes& one : sent) sites.alice.host->send(one);
  sites.run();
  expect_as_sent(sent);
}

TEST_F(Fragments, NothingOfADatagramGoesInThatTheRuleDoesNotPass) {
  auto rules = rules_of(action_of({}), {});
  for (spd::Rule& rule : rules) rule.selector.protocol = net::kProtoUdp;
  auto here = rules;
  for (spd::Rule& rule : here) rule.selector.remote_port = 2000;
  sites.alice.link.head = head_of(here);
  for (spd::Rule& rule : rules) rule.selector.local_port = 2001;
  sites.bob.link.head = head_of(rules);
  sites.publish();
  sites.alice.host->send(first);
  sites.alice.host->send(second);
  sites.run();
  EXPECT_TRUE(sites.bob.host->received().empty());
  EXPECT_EQ(sites.bob.dropped_in(DropReason::no_inbound_rule), 2u) << "each fragment is counted";
}

TEST_F(Fragments, ThatComeBeforeTheirFirstWaitForIt) {
  const Bytes whole = datagram(2000);
  const Bytes middle = part(whole, 1024, 512, true), last = part(whole, 1536, 472, false);
  sites.alice.host->send(last);
  sites.alice.host->send(middle);
  sites.run();
  EXPECT_TRUE(sites.alice.node->sent().empty()) << "nobody knows yet whether they may";
  EXPECT_EQ(sites.alice.counters().oerrors.get(), 0u);
  sites.alice.host->send(first);
  sites.run();
  expect_as_sent({first, middle, last});
  EXPECT_EQ(sites.alice.counters().opackets.get(), 3u);
}

TEST_F(Fragments, WhoseFirstDoesNotPassDoNotPassEither) {
  auto rules = rules_of(action_of({}));
  for (spd::Rule& rule : rules) {
    rule.selector.protocol = net::kProtoUdp;
    rule.selector.remote_port = 2001;
  }
  sites.alice.link.head = head_of(rules);
  sites.publish();
  sites.alice.host->send(second);
  sites.alice.host->send(first);
  sites.run();
  EXPECT_TRUE(sites.alice.node->sent().empty());
  EXPECT_EQ(sites.alice.dropped_out(DropReason::no_rule), 2u);
}

TEST_F(Fragments, WhoseFirstNeverComesAreCountedWhenTheirTimeIsOver) {
  sites.alice.host->send(second);
  sites.run();
  EXPECT_EQ(sites.alice.counters().oerrors.get(), 0u);
  wait_too_long();
  EXPECT_TRUE(sites.alice.node->sent().empty());
  EXPECT_EQ(sites.alice.dropped_out(DropReason::reassembly_timeout), 1u);
}

TEST_F(Fragments, BeyondTheBoundAreDroppedAndSaySo) {
  const Bytes whole = datagram(2000);
  for (uint16_t id = 1; id <= 100; ++id) sites.alice.host->send(part(whole, 1024, 984, false, id));
  sites.run();
  EXPECT_EQ(sites.alice.dropped_out(DropReason::reassembly_limit), 100 - FragmentMemo::kMostOfLink);
  wait_too_long();
  EXPECT_EQ(sites.alice.dropped_out(DropReason::reassembly_timeout), FragmentMemo::kMostOfLink);
  EXPECT_EQ(sites.alice.counters().oerrors.get(), 100u);
}

// Each that came under an SA is delivered or has a reason, whatever became of its datagram.
TEST_F(Fragments, AreAllCountedAtTheFarEnd) {
  const Bytes whole = datagram(2000);
  sites.alice.host->send(first);                          // 1: never whole
  sites.alice.host->send(part(whole, 0, 1024, true, 2));  // 2: whole, with a part that comes twice
  sites.alice.host->send(part(whole, 0, 1024, true, 2));
  sites.alice.host->send(part(whole, 1024, 984, false, 2));
  sites.alice.host->send(part(whole, 0, 1024, true, 3));  // 3: overlaps
  sites.alice.host->send(part(whole, 1016, 992, false, 3));
  sites.run();
  wait_too_long();
  EXPECT_EQ(sites.bob.counters().ipackets.get(), 2u);
  EXPECT_EQ(sites.bob.dropped_in(DropReason::reassembly_timeout), 1u);
  EXPECT_EQ(sites.bob.dropped_in(DropReason::reassembly_duplicate), 1u);
  EXPECT_EQ(sites.bob.dropped_in(DropReason::reassembly_overlap), 2u);
  EXPECT_EQ(sites.bob.counters().ipackets.get() + sites.bob.counters().ierrors.get(),
            sites.alice.counters().opackets.get());
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

FakeNode::Datagram ike_datagram(const TwoSites& sites, const Bytes& message) {
  FakeNode::Datagram datagram{WireKind::udp, sites.a, sites.b, 4500, 4500};
  datagram.bytes = made::operator+(Bytes(4), message);
  return datagram;
}

uint64_t unlinked(const Site& site, DropReason reason) {
  return site.worker->unlinked().drops_in[static_cast<size_t>(reason)].get();
}

TEST(Port4500, IkeGoesToItsPortAndKeepalivesNowhere) {
  TwoSites sites;
  const auto port = std::make_shared<ike::FakePort>();
  ASSERT_TRUE(sites.bob.worker->attach_ike(port, true));
  sites.protect({.udp = true});
  const Bytes message = made::pattern(40);
  sites.bob.node->deliver(ike_datagram(sites, message));
  FakeNode::Datagram keepalive{WireKind::udp, sites.a, sites.b, 4500, 4500};
  keepalive.bytes = {0xff};
  sites.bob.node->deliver(keepalive);
  sites.run();
  const auto received = port->received();
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(received[0].bytes, message);
  EXPECT_EQ(received[0].peer, sites.a);
  EXPECT_EQ(received[0].local, sites.b);
  EXPECT_EQ(received[0].peer_port, 4500);
  EXPECT_EQ(sites.bob.counters().ierrors.get() + sites.bob.worker->unlinked().ierrors.get(), 0u);
}

// As GRO joins them: the kernel keeps a train's datagrams equally long, but for the last.
TEST(Port4500, EachDatagramOfATrainIsToldApart) {
  TwoSites sites;
  const auto port = std::make_shared<ike::FakePort>();
  ASSERT_TRUE(sites.bob.worker->attach_ike(port, true));
  sites.protect({.udp = true});
  sites.alice.node->connect(nullptr);
  for (int i = 0; i < 20; ++i) sites.alice.host->send(datagram(100));
  sites.run();
  const auto sent = sites.alice.node->sent();
  ASSERT_EQ(sent.size(), 1u);
  FakeNode::Datagram train = sent[0];
  const size_t step = train.segment_bytes;
  const auto ike_of = [step](uint8_t octet) { return made::operator+(Bytes(4), Bytes(step - 4, octet)); };
  const auto at = [step](int datagram) { return static_cast<ptrdiff_t>(step) * datagram; };
  for (const int place : {15, 7, 0}) {
    const Bytes message = ike_of(static_cast<uint8_t>(place + 1));
    train.bytes.insert(train.bytes.begin() + at(place), message.begin(), message.end());
  }
  const Bytes last = made::operator+(Bytes(4), Bytes(40, 99));
  train.bytes.insert(train.bytes.end(), last.begin(), last.end());
  sites.bob.node->deliver(train);
  sites.run();
  const auto received = port->received();
  ASSERT_EQ(received.size(), 4u);
  EXPECT_EQ(received[0].bytes, Bytes(step - 4, 1));
  EXPECT_EQ(received[1].bytes, Bytes(step - 4, 8));
  EXPECT_EQ(received[2].bytes, Bytes(step - 4, 16));
  EXPECT_EQ(received[3].bytes, Bytes(40, 99));
  EXPECT_EQ(sites.bob.counters().ipackets.get(), 20u) << "and all of the ESP came in";
}

TEST(Port4500, IkeThatNobodyTakesIsCounted) {
  TwoSites sites;
  sites.protect({.udp = true});
  sites.bob.node->deliver(ike_datagram(sites, Bytes(40)));
  sites.run();
  EXPECT_EQ(unlinked(sites.bob, DropReason::no_ike), 1u);
  const auto port = std::make_shared<ike::FakePort>(2);
  ASSERT_TRUE(sites.bob.worker->attach_ike(port, true));
  for (int i = 0; i < 5; ++i) sites.bob.node->deliver(ike_datagram(sites, Bytes(40)));
  sites.run();
  EXPECT_EQ(port->received().size(), 2u);
  EXPECT_EQ(unlinked(sites.bob, DropReason::ike_queue_full), 3u);
  ASSERT_TRUE(sites.bob.worker->attach_ike(nullptr, true));
  sites.bob.node->deliver(ike_datagram(sites, Bytes(40)));
  sites.run();
  EXPECT_EQ(port->received().size(), 0u);
  EXPECT_EQ(unlinked(sites.bob, DropReason::no_ike), 2u);
  EXPECT_EQ(sites.bob.worker->unlinked().ierrors.get(), 5u);
}

TEST(Port4500, WhatInIkedSendsLeavesBehindTheMarkerOrIsCounted) {
  TwoSites sites;
  const auto port = std::make_shared<ike::FakePort>();
  ASSERT_TRUE(sites.bob.worker->attach_ike(port, true));
  sites.protect({.udp = true});
  const Bytes message = made::pattern(300);
  port->send({sites.b, sites.a, 4500, message});
  port->send({sites.b, sites.a, 0, message});
  sites.run();
  const auto sent = sites.bob.node->sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].bytes, made::operator+(Bytes(4), message));
  EXPECT_EQ(unlinked(sites.alice, DropReason::no_ike), 1u) << "there it is IKE too";
  sites.bob.node->fail_sends(EPERM);
  port->send({sites.b, sites.a, 4500, message});
  sites.run();
  const auto& out = sites.bob.worker->unlinked().drops_out;
  EXPECT_EQ(out[static_cast<size_t>(DropReason::bad_header)].get(), 1u);
  EXPECT_EQ(out[static_cast<size_t>(DropReason::send_refused)].get(), 1u);
  EXPECT_EQ(sites.bob.worker->unlinked().oerrors.get(), 2u);
}

TEST(Port4500, ARunningWorkerSendsAndDoesNotSpinOnAClosedPair) {
  TwoSites sites;
  const auto port = std::make_shared<ike::FakePort>();
  sites.protect({.udp = true});
  sites.bob.worker->start();
  ASSERT_TRUE(sites.bob.worker->attach_ike(port, true));
  port->send({sites.b, sites.a, 4500, Bytes(40, 1)});
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  size_t left = 0;
  while (left == 0 && std::chrono::steady_clock::now() < until) left = sites.bob.node->sent().size();
  EXPECT_EQ(left, 1u);
  port->close();
  const auto spent = [&] {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  };
  const double before = spent();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_LT(spent() - before, 0.2) << "the worker sleeps";
  ASSERT_TRUE(sites.bob.worker->attach_ike(nullptr, true));
  sites.bob.worker->stop();
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

// ---- sends that fail

TEST(Sends, EachKindOfErrorHasAReasonOfItsOwn) {
  const std::vector<std::pair<int, DropReason>> kinds{
      {EPERM, DropReason::send_refused},           {EACCES, DropReason::send_refused},
      {ENETUNREACH, DropReason::send_unreachable}, {EHOSTUNREACH, DropReason::send_unreachable},
      {ENETDOWN, DropReason::send_unreachable},    {EINVAL, DropReason::send_no_source},
      {EADDRNOTAVAIL, DropReason::send_no_source}, {EMSGSIZE, DropReason::send_too_big},
      {EAGAIN, DropReason::send_queue_full},       {ENOBUFS, DropReason::send_queue_full},
      {EAFNOSUPPORT, DropReason::send_no_socket},  {EPROTO, DropReason::send_failed}};
  for (const auto& [error, reason] : kinds) {
    TwoSites sites;
    sites.protect({});
    sites.alice.node->fail_sends(error);
    sites.alice.host->send(datagram(100));
    sites.run();
    EXPECT_EQ(sites.alice.dropped_out(reason), 1u) << strerror(error);
    EXPECT_EQ(sites.alice.counters().oerrors.get(), 1u);
    EXPECT_EQ(sites.alice.counters().send_error.load(), error);
  }
}

TEST(Sends, OfATrainThatLeavesInPartOnlyTheRestIsDropped) {
  TwoSites sites;
  sites.protect({.udp = true});
  sites.alice.node->fail_sends(ENOBUFS, 3);
  for (int i = 0; i < 10; ++i) sites.alice.host->send(datagram(100));
  sites.run();
  EXPECT_EQ(sites.alice.counters().opackets.get(), 3u);
  EXPECT_EQ(sites.alice.dropped_out(DropReason::send_queue_full), 7u);
}

// ---- a NAT on the way

TEST(Nat, AnotherPortOfThePeerIsSeenOnceThePacketIsProven) {
  TwoSites sites;
  uint16_t port = 4500;
  bool forge = false;
  sites.alice.node->connect(sites.bob.node.get(), [&](FakeNode::Datagram& datagram) {
    datagram.source_port = port;
    if (forge) datagram.bytes.back() ^= 1;
    return true;
  });
  sites.protect({.udp = true});
  const auto ping = [&] {
    sites.alice.host->send(datagram(100));
    sites.run();
    return sites.bob.counters().other_port.load();
  };
  EXPECT_EQ(ping(), 0);
  port = 61001;
  forge = true;
  EXPECT_EQ(ping(), 0) << "anybody may say anything";
  forge = false;
  EXPECT_EQ(ping(), 61001);
  port = 4500;
  EXPECT_EQ(ping(), 0) << "and is over when it is";
}

TEST(Nat, AnotherAddressIsToldToTheSAsLink) {
  TwoSites sites;
  sites.alice.node->connect(sites.bob.node.get(), [&](FakeNode::Datagram& datagram) {
    datagram.source = made::address("203.0.113.9");
    return true;
  });
  sites.protect({});
  sites.alice.host->send(datagram(100));
  sites.run();
  EXPECT_EQ(sites.bob.dropped_in(DropReason::wrong_outer), 1u);
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
  sites.alice.worker->drain_older_snapshots();
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

// A drop says of which packet, also where nobody knows what is inside.
TEST(Trace, OfADropHasAddressesSpiAndRule) {
  TwoSites sites;
  sites.protect({});
  sites.bob.shared.trace.enable(true);
  uint32_t spi = 0x7777;
  bool forge = false;
  sites.alice.node->connect(sites.bob.node.get(), [&](FakeNode::Datagram& datagram) {
    if (forge) datagram.bytes.back() ^= 1;
    if (spi != 0) store_be32(datagram.bytes.data(), spi);
    return true;
  });
  const auto dropped = [&](DropReason reason) {
    sites.alice.host->send(datagram(100));
    sites.run();
    const auto records = sites.bob.shared.trace.take();
    EXPECT_EQ(records.size(), 1u);
    if (records.empty()) return TraceRecord{};
    EXPECT_EQ(records[0].drop, reason);
    EXPECT_GT(records[0].when_ns, 0u);
    return records[0];
  };
  const TraceRecord unknown = dropped(DropReason::unknown_spi);
  EXPECT_TRUE(unknown.outer);
  EXPECT_EQ(unknown.flow.source, sites.a);
  EXPECT_EQ(unknown.flow.destination, sites.b);
  EXPECT_EQ(unknown.flow.protocol, net::kProtoEsp);
  EXPECT_EQ(unknown.spi, 0x7777u);
  spi = 0;
  forge = true;
  const TraceRecord bad = dropped(DropReason::bad_icv);
  EXPECT_TRUE(bad.outer);
  EXPECT_EQ(bad.flow.source, sites.a);
  EXPECT_EQ(bad.spi, 0x1001u);
  EXPECT_EQ(bad.sequence, 2u);
  forge = false;
  sites.bob.host->fail_writes(-EAGAIN);
  const TraceRecord full = dropped(DropReason::tun_backlog);
  EXPECT_FALSE(full.outer);
  EXPECT_EQ(full.flow.destination_port, 2000);
  EXPECT_EQ(full.rule_index, 3u);
}

TEST(Trace, OfWhatWaitedInVainHasAddressesAndRule) {
  TwoSites sites;
  sites.alice.link.head = head_of(rules_of(action_of({})));
  sites.publish();
  sites.alice.shared.trace.enable(true);
  sites.alice.host->send(datagram(100));
  sites.run();
  sites.alice.worker->pass_time(Seconds(11));
  sites.run();
  const auto records = sites.alice.shared.trace.take();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].drop, DropReason::acquire_timeout);
  EXPECT_EQ(records[0].flow.source, made::Ip{}.source);
  EXPECT_EQ(records[0].flow.destination_port, 2000);
  EXPECT_EQ(records[0].rule_index, 1u);
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

// ---- I3 under traffic: two workers run, the snapshot is swapped all the time (meant for ThreadSanitizer)

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
    if (i % 10 == 0) sites.bob.worker->drain_older_snapshots();
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
    sites.alice.worker->drain_older_snapshots();
    sites.alice.node->sent();
    sites.alice.host->send(datagram(100));
    sites.alice.worker->drain_older_snapshots();
    EXPECT_TRUE(sites.alice.node->sent().empty());
    sites.alice.link.up = true;
    sites.alice.publish();
  }
  sites.alice.worker->stop();
}

}  // namespace
}  // namespace adit::datapath
