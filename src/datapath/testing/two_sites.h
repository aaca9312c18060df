// For tests: Alice and Bob, a worker each, their wires joined, their links and SAs as an operator would have made them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "datapath/worker.h"
#include "esp/esp.h"
#include "net/testing/made_packets.h"
#include "ports/testing/fake_ports.h"
#include "sad/sa.h"
#include "spd/head.h"

namespace adit::datapath {

namespace made = net::made;

struct Protection {
  crypto::EncrAlg encr = crypto::EncrAlg::aes_gcm16;
  crypto::AuthAlg auth = crypto::AuthAlg::none;
  bool ah = false;  // AH with HMAC-SHA-256, over ESP when there is a cipher
  bool udp = false;
  bool esn = false;
};

inline Secret key_of(size_t bytes, uint8_t seed) {
  Bytes key(bytes);
  for (size_t i = 0; i < bytes; ++i) key[i] = static_cast<uint8_t>(seed + i);
  return Secret(key);
}

inline sad::SaSpec esp_spec(const Protection& how, uint32_t spi, const net::Address& from, const net::Address& to) {
  sad::SaSpec spec;
  spec.spi = sad::Spi{spi};
  spec.source = from;
  spec.destination = to;
  spec.encr = how.encr;
  spec.encr_key = key_of(16, static_cast<uint8_t>(spi));
  if (crypto::is_combined(how.encr)) spec.salt = key_of(4, static_cast<uint8_t>(spi + 1));
  spec.auth = how.auth;
  if (how.auth != crypto::AuthAlg::none) spec.auth_key = key_of(32, static_cast<uint8_t>(spi + 2));
  spec.esn = how.esn;
  if (how.udp) spec.nat = sad::NatT{from, to};
  return spec;
}

inline sad::SaSpec ah_spec(uint32_t spi, const net::Address& from, const net::Address& to) {
  sad::SaSpec spec;
  spec.spi = sad::Spi{spi};
  spec.type = sad::SaType::ah;
  spec.source = from;
  spec.destination = to;
  spec.auth = crypto::AuthAlg::hmac_sha256;
  spec.auth_key = key_of(32, static_cast<uint8_t>(spi));
  return spec;
}

// Rules of both directions and both families over that action.
inline std::vector<spd::Rule> rules_of(const spd::Action& action, const spd::Selector& selector = {},
                                       spd::Mode mode = spd::Mode::tunnel) {
  std::vector<spd::Rule> rules;
  for (const auto direction : {spd::Direction::out, spd::Direction::in})
    for (const auto family : {net::Family::v4, net::Family::v6}) {
      if ((selector.local && selector.local->family() != family) ||
          (selector.remote && selector.remote->family() != family))
        continue;
      spd::Rule rule;
      rule.index = rules.size() + 1;
      rule.priority = 100;
      rule.direction = direction;
      rule.family = family;
      rule.mode = mode;
      rule.selector = selector;
      rule.actions = {action};
      rules.push_back(std::move(rule));
    }
  return rules;
}

inline spd::Action action_of(const Protection& how) {
  spd::Action action;
  action.verb = spd::Verb::ipsec;
  if (how.encr != crypto::EncrAlg::none) action.encr = spd::Cipher{how.encr, {128, 256}};
  if (how.auth != crypto::AuthAlg::none) action.espa = spd::Integrity{how.auth, {}};
  if (how.ah) action.ah = spd::Integrity{crypto::AuthAlg::hmac_sha256, {}};
  return action;
}

inline spd::Action pass_action() {
  spd::Action action;
  action.verb = spd::Verb::pass;
  action.bypass = true;
  return action;
}

inline std::shared_ptr<const spd::Head> head_of(std::vector<spd::Rule> rules) {
  auto head = spd::Head::build("tun0", std::move(rules));
  if (!head) ADD_FAILURE() << head.error().text;
  return *head;
}

constexpr tunnel::LinkId kLink{7};

class Site {
 public:
  Site(net::Address local, net::Address remote) {
    link.id = kLink;
    link.name = "tun0";
    link.outer = {local.is_v4() ? tunnel::Type::ipv4 : tunnel::Type::ipv6, local, remote};
    link.bound = link.up = link.secured = true;
    link.mtu = tunnel::link_mtu(link.outer, 1500, tunnel::kEspOverhead);
    link.counters = {std::make_shared<LinkCounters>()};
    auto engine = crypto::make_engine(crypto::EngineKind::best);
    worker = std::move(*Worker::make(0, shared, std::move(*engine), std::make_unique<FakeWire>(node)));
    CHECK(worker->attach(kLink, std::make_unique<FakeTun>(host)).has_value());
  }

  void add(sad::SaSpec spec) {
    auto sa = sad::Sa::make(std::move(spec));
    ASSERT_TRUE(sa) << sa.error().text;
    auto table = sas->with(*sa);
    ASSERT_TRUE(table) << table.error().text;
    sas = *table;
    all.push_back(*sa);
  }

  // The snapshot of now, out to the worker.
  void publish() {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->generation = ++generation;
    snapshot->links = std::make_shared<const LinkSet>(LinkSet::Links{std::make_shared<Link>(link)}, 1);
    snapshot->sas = sas;
    snapshot->acquire_queue_packets = acquire_queue_packets;
    snapshot->acquire_wait_seconds = acquire_wait_seconds;
    shared.publisher.publish(std::move(snapshot));
  }

  [[nodiscard]] LinkCounters& counters() const { return *link.counters[0]; }
  [[nodiscard]] uint64_t dropped_in(DropReason reason) const {
    return counters().drops_in[static_cast<size_t>(reason)].get();
  }
  [[nodiscard]] uint64_t dropped_out(DropReason reason) const {
    return counters().drops_out[static_cast<size_t>(reason)].get();
  }

  Shared shared;
  std::shared_ptr<FakeHost> host = std::make_shared<FakeHost>();
  std::shared_ptr<FakeNode> node = std::make_shared<FakeNode>();
  Link link;
  std::shared_ptr<const sad::Table> sas = std::make_shared<sad::Table>();
  std::vector<std::shared_ptr<sad::Sa>> all;
  uint64_t generation = 0;
  uint32_t acquire_queue_packets = 64, acquire_wait_seconds = 10;
  std::unique_ptr<Worker> worker;
};

struct TwoSites {
  explicit TwoSites(bool outer_v6 = false)
      : a(made::address(outer_v6 ? "2001:db8:f::1" : "192.0.2.1")),
        b(made::address(outer_v6 ? "2001:db8:f::2" : "192.0.2.2")),
        alice(a, b),
        bob(b, a) {
    alice.node->connect(bob.node.get());
    bob.node->connect(alice.node.get());
  }

  // SAs of both directions at both ends, and the rule that asks for them.
  void protect(const Protection& how, spd::Mode mode = spd::Mode::tunnel) {
    for (Site* site : {&alice, &bob}) {
      if (how.encr != crypto::EncrAlg::none) {
        site->add(esp_spec(how, 0x1001, a, b));
        site->add(esp_spec(how, 0x1002, b, a));
      }
      if (how.ah) {
        site->add(ah_spec(0x2001, a, b));
        site->add(ah_spec(0x2002, b, a));
      }
      site->link.head = head_of(rules_of(action_of(how), {}, mode));
    }
    publish();
  }
  void publish() {
    alice.publish();
    bob.publish();
  }
  void run() {
    while (alice.worker->run_once() + bob.worker->run_once() != 0) {
    }
  }

  net::Address a, b;
  Site alice, bob;
};

// The packets that the kernel would make of what came out of a TUN: super-packets cut again.
std::vector<Bytes> cut(const std::vector<FakeHost::Item>& items);

}  // namespace adit::datapath
