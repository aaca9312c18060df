// Invariants I1 (nothing leaves but by a decision) and I6 (nothing enters but as the policy has it), attacked one by
// one.
#include "datapath/testing/two_sites.h"

namespace adit::datapath {
namespace {

Bytes hello() {
  return made::udp({}, 1000, 2000, made::pattern(100));
}

class FailClosed : public testing::Test {
 protected:
  // Alice's host sends one packet; nothing may leave, and the reason is that one.
  void expect_kept(DropReason reason) {
    sites.alice.host->send(hello());
    sites.run();
    EXPECT_TRUE(sites.alice.node->sent().empty());
    EXPECT_EQ(sites.alice.dropped_out(reason), 1u) << text_of(reason).name;
    EXPECT_EQ(sites.alice.counters().oerrors.get(), 1u);
    EXPECT_EQ(sites.alice.counters().opackets.get(), 0u);
  }
  // That datagram reaches Bob; nothing may come out of his tunnel.
  void expect_refused(FakeNode::Datagram datagram, DropReason reason) {
    const uint64_t before = sites.bob.dropped_in(reason);
    sites.bob.node->deliver(std::move(datagram));
    sites.run();
    EXPECT_TRUE(sites.bob.host->received().empty());
    EXPECT_EQ(sites.bob.dropped_in(reason), before + 1) << text_of(reason).name;
  }
  // What Alice's side makes of a packet; not delivered.
  FakeNode::Datagram sealed(const Bytes& inner) {
    sites.alice.node->connect(nullptr);
    sites.alice.host->send(inner);
    sites.run();
    auto sent = sites.alice.node->sent();
    EXPECT_EQ(sent.size(), 1u);
    return sent.empty() ? FakeNode::Datagram{} : sent[0];
  }
  FakeNode::Datagram clear(const Bytes& inner) const {
    FakeNode::Datagram datagram{WireKind::ipip, sites.a, sites.b};
    datagram.bytes = inner;
    return datagram;
  }

  TwoSites sites;
};

// ---- I1

TEST_F(FailClosed, I1SecuredLinkWithoutPolicy) {
  sites.publish();
  expect_kept(DropReason::no_policy);
}

TEST_F(FailClosed, I1BeforeAnythingIsPublished) {
  sites.alice.host->send(hello());
  sites.alice.worker->run_once();
  EXPECT_TRUE(sites.alice.node->sent().empty());
  EXPECT_EQ(sites.alice.worker->unlinked().drops_out[static_cast<size_t>(DropReason::link_down)].get(), 1u);
}

TEST_F(FailClosed, I1LinkThatIsNotUp) {
  sites.protect({});
  sites.alice.link.up = false;
  sites.publish();
  expect_kept(DropReason::link_down);
}

TEST_F(FailClosed, I1LinkWithoutRemote) {
  sites.protect({});
  sites.alice.link.bound = false;
  sites.publish();
  expect_kept(DropReason::no_remote);
}

TEST_F(FailClosed, I1NoRuleMatchesThoughTheLinkIsUnsecured) {
  spd::Selector other;
  other.local = *net::Prefix::parse("10.9.0.0/16");
  sites.alice.link.secured = false;
  sites.alice.link.head = head_of(rules_of(pass_action(), other));
  sites.publish();
  expect_kept(DropReason::no_rule);
}

TEST_F(FailClosed, I1DropRule) {
  spd::Action drop;
  drop.verb = spd::Verb::drop;
  sites.alice.link.head = head_of(rules_of(drop));
  sites.publish();
  expect_kept(DropReason::rule_drop);
}

TEST_F(FailClosed, I1RuleWithoutSaKeepsThePacket) {
  sites.alice.acquire_queue_packets = 0;
  sites.alice.link.head = head_of(rules_of(action_of({})));
  sites.publish();
  expect_kept(DropReason::no_sa);
}

TEST_F(FailClosed, I1SaThatTheRuleDoesNotAllow) {
  sites.alice.acquire_queue_packets = 0;
  sites.protect({});
  sites.alice.link.head = head_of(rules_of(action_of({crypto::EncrAlg::aes_cbc, crypto::AuthAlg::hmac_sha256})));
  sites.publish();
  expect_kept(DropReason::no_sa);
}

TEST_F(FailClosed, I1ExplicitBypassLeavesInTheClear) {
  sites.alice.link.head = sites.bob.link.head = head_of(rules_of(pass_action()));
  sites.publish();
  sites.alice.host->send(hello());
  sites.run();
  ASSERT_EQ(sites.bob.host->received().size(), 1u);
  EXPECT_EQ(sites.alice.node->sent().at(0).kind, WireKind::ipip);
}

TEST_F(FailClosed, I1DeadSaIsNotUsedFromTheCacheEither) {
  sites.protect({});
  sites.alice.acquire_queue_packets = 0;
  sites.publish();
  sites.alice.host->send(hello());
  sites.run();
  EXPECT_EQ(sites.alice.node->sent().size(), 1u);
  sites.alice.all[0]->state = sad::SaState::dead;  // no new snapshot
  sites.alice.host->send(hello());
  sites.run();
  EXPECT_TRUE(sites.alice.node->sent().empty());
}

TEST_F(FailClosed, I1HardByteLimitStopsTheSaAndIsReportedOnce) {
  sad::SaSpec spec = esp_spec({}, 0x1001, sites.a, sites.b);
  spec.hard.bytes = 1000;
  spec.soft.bytes = 500;
  sites.alice.add(std::move(spec));
  sites.alice.acquire_queue_packets = 0;
  sites.alice.link.head = head_of(rules_of(action_of({})));
  sites.publish();
  for (int i = 0; i < 20; ++i) {
    sites.alice.host->send(hello());
    sites.run();
  }
  EXPECT_EQ(sites.alice.node->sent().size(), 8u);  // 8 * 128 bytes are the first to pass 1000
  EXPECT_EQ(sites.alice.dropped_out(DropReason::sa_expired), 1u);
  EXPECT_EQ(sites.alice.all[0]->state, sad::SaState::dead);
  std::vector<sad::Expiry> expiries;
  for (const Event& event : sites.alice.shared.events.take_all())
    if (const auto* reached = std::get_if<SaReached>(&event)) expiries.push_back(reached->expiry);
  EXPECT_EQ(expiries, (std::vector{sad::Expiry::soft, sad::Expiry::hard}));
}

TEST_F(FailClosed, I1SequenceNumbersNeverWrap) {
  sites.protect({});
  sites.alice.all[0]->set_last_sequence(0xffffffff - 2);
  for (int i = 0; i < 5; ++i) sites.alice.host->send(hello());
  sites.run();
  uint32_t left = 0;
  for (const auto& datagram : sites.alice.node->sent()) {
    EXPECT_GE(load_be32(datagram.bytes.data() + 4), 0xfffffffeu);
    ++left;
  }
  EXPECT_LE(left, 2u);
  EXPECT_EQ(sites.alice.dropped_out(DropReason::sequence_exhausted), 5u - left);
  EXPECT_EQ(sites.alice.all[0]->state, sad::SaState::dead);
}

TEST_F(FailClosed, I1TheTunnelsOwnOuterPacketIsALoop) {
  sites.protect({});
  made::Ip outer;
  outer.source = sites.a;
  outer.destination = sites.b;
  outer.protocol = net::kProtoEsp;
  sites.alice.host->send(made::ip(outer, made::pattern(100)));
  sites.run();
  EXPECT_TRUE(sites.alice.node->sent().empty());
  EXPECT_EQ(sites.alice.dropped_out(DropReason::loop), 1u);
  const auto events = sites.alice.shared.events.take_all();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<LoopCaught>(events[0]));
}

TEST_F(FailClosed, I1BrokenPacketsAreNotCarried) {
  sites.protect({});
  const Bytes whole = hello();
  for (size_t length = 0; length < whole.size(); ++length)
    sites.alice.host->send(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)));
  sites.run();
  EXPECT_TRUE(sites.alice.node->sent().empty());
}

// ---- I6

TEST_F(FailClosed, I6ClearPacketForASecuredTunnel) {
  sites.protect({});
  expect_refused(clear(hello()), DropReason::got_clear);
}

TEST_F(FailClosed, I6ClearPacketForATunnelWithAPolicy) {
  sites.bob.link.secured = false;
  sites.protect({});
  expect_refused(clear(hello()), DropReason::got_clear);
}

TEST_F(FailClosed, I6ClearFragmentEvenWhereARulePasses) {
  sites.bob.link.head = head_of(rules_of(pass_action()));
  sites.publish();
  made::Ip spec;
  spec.fragment = 0x2000;  // more fragments
  expect_refused(clear(made::udp(spec, 1, 2, made::pattern(64))), DropReason::got_clear);
}

TEST_F(FailClosed, I6ReplayedPacket) {
  sites.protect({});
  const auto datagram = sealed(hello());
  sites.bob.node->deliver(datagram);
  sites.run();
  EXPECT_EQ(sites.bob.host->received().size(), 1u);
  expect_refused(datagram, DropReason::replay);
}

TEST_F(FailClosed, I6OneTrainThatHoldsAPacketTwice) {
  sites.protect({.udp = true});
  auto datagram = sealed(hello());
  datagram.segment_bytes = static_cast<uint16_t>(datagram.bytes.size());
  const Bytes once = datagram.bytes;
  datagram.bytes.insert(datagram.bytes.end(), once.begin(), once.end());
  sites.bob.node->deliver(datagram);
  sites.run();
  EXPECT_EQ(sites.bob.host->received().size(), 1u);
  EXPECT_EQ(sites.bob.dropped_in(DropReason::replay), 1u);
}

TEST_F(FailClosed, I6ForgedAndTruncatedPackets) {
  sites.protect({});
  const auto datagram = sealed(hello());
  for (size_t i = 8; i < datagram.bytes.size(); i += 7) {
    auto forged = datagram;
    forged.bytes[i] ^= 0x40;
    expect_refused(forged, DropReason::bad_icv);
  }
  for (size_t length = 0; length < datagram.bytes.size(); ++length) {
    auto cut_short = datagram;
    cut_short.bytes.resize(length);
    sites.bob.node->deliver(cut_short);
  }
  sites.run();
  EXPECT_TRUE(sites.bob.host->received().empty());
}

TEST_F(FailClosed, I6UnknownSpi) {
  sites.protect({});
  auto datagram = sealed(hello());
  store_be32(datagram.bytes.data(), 0x7777);
  expect_refused(datagram, DropReason::unknown_spi);
}

TEST_F(FailClosed, I6SaOfAnotherSource) {
  sites.protect({});
  auto datagram = sealed(hello());
  datagram.source = made::address("192.0.2.66");
  sites.bob.node->deliver(datagram);
  sites.run();
  EXPECT_TRUE(sites.bob.host->received().empty());
  EXPECT_EQ(sites.bob.dropped_in(DropReason::wrong_outer), 1u) << "told to the link whose key it names";
}

TEST_F(FailClosed, I6DeadSa) {
  sites.protect({});
  const auto datagram = sealed(hello());
  sites.bob.all[0]->state = sad::SaState::dead;
  expect_refused(datagram, DropReason::sa_not_valid);
}

TEST_F(FailClosed, I6InnerAddressOutsideTheSasSelectors) {
  sites.alice.add(esp_spec({}, 0x1001, sites.a, sites.b));
  sad::SaSpec narrow = esp_spec({}, 0x1001, sites.a, sites.b);
  narrow.inner = sad::InnerSelector{*net::Prefix::parse("10.0.7.0/24"), *net::Prefix::parse("10.0.1.0/24")};
  sites.bob.add(std::move(narrow));
  sites.alice.link.head = sites.bob.link.head = head_of(rules_of(action_of({})));
  sites.publish();
  expect_refused(sealed(hello()), DropReason::outside_sa);
}

TEST_F(FailClosed, I6NoInboundRule) {
  sites.protect({});
  spd::Selector other;
  other.remote = *net::Prefix::parse("10.7.0.0/24");
  sites.bob.link.head = head_of(rules_of(action_of({}), other));
  sites.publish();
  expect_refused(sealed(hello()), DropReason::no_inbound_rule);
}

TEST_F(FailClosed, I6WeakerProtectionThanTheRuleAsks) {
  sites.protect({});
  Protection stronger;
  stronger.ah = true;
  sites.bob.link.head = head_of(rules_of(action_of(stronger)));
  sites.publish();
  expect_refused(sealed(hello()), DropReason::wrong_protection);
}

TEST_F(FailClosed, I6ProtectedPacketWhereTheLinkIsDown) {
  sites.protect({});
  const auto datagram = sealed(hello());
  sites.bob.link.up = false;
  sites.publish();
  expect_refused(datagram, DropReason::link_down);
}

TEST_F(FailClosed, I6MartianSources) {
  sites.protect({});
  for (const char* source : {"127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "192.0.2.1", "192.0.2.2"}) {
    made::Ip spec;
    spec.source = made::address(source);
    const Bytes packet = made::udp(spec, 1, 2, made::pattern(20));
    const auto datagram = sealed(packet);
    if (std::string(source) == "192.0.2.1") continue;  // the far end's own address is no martian here
    expect_refused(datagram, DropReason::martian);
  }
}

TEST_F(FailClosed, I6EspInsideEspIsNotOpenedAgain) {
  sites.protect({});
  // A packet of Alice's whose next header says ESP: sealed by hand.
  auto engine = *crypto::make_engine(crypto::EngineKind::best);
  auto sa = *sad::Sa::make(esp_spec({}, 0x1001, sites.a, sites.b));
  Bytes buffer(1024);
  net::Packet packet{buffer.data() + net::kHeadroom, 100, net::kHeadroom, net::kTailroom, net::kProtoEsp};
  esp::seal(*engine, *sa, {&packet, 1});
  FakeNode::Datagram datagram{WireKind::esp, sites.a, sites.b};
  datagram.bytes.assign(packet.data, packet.data + packet.length);
  expect_refused(datagram, DropReason::nested_protocol);
}

TEST_F(FailClosed, I6UnsecuredLinkWithoutPolicyTakesClearPackets) {
  sites.bob.link.secured = false;
  sites.publish();
  sites.bob.node->deliver(clear(hello()));
  sites.run();
  EXPECT_EQ(sites.bob.host->received().size(), 1u);
}

TEST_F(FailClosed, I6ClearPacketOfNoTunnel) {
  sites.publish();
  auto datagram = clear(hello());
  datagram.source = made::address("198.51.100.1");
  sites.bob.node->deliver(datagram);
  sites.run();
  EXPECT_EQ(sites.bob.worker->unlinked().drops_in[static_cast<size_t>(DropReason::no_tunnel)].get(), 1u);
}

}  // namespace
}  // namespace adit::datapath
