#include "spd/head.h"

#include <gtest/gtest.h>

#include <random>

#include "spd/testing/samples.h"

namespace adit::spd {
namespace {

using namespace samples;

std::shared_ptr<const Head> head_of(std::vector<RuleSpec> specs, std::string name = "tun0") {
  std::vector<Rule> rules;
  for (const RuleSpec& spec : specs)
    for (Rule& rule : expand(spec)) rules.push_back(std::move(rule));
  auto head = Head::build(std::move(name), std::move(rules));
  EXPECT_TRUE(head.has_value()) << (head ? "" : head.error().text);
  return head.value_or(nullptr);
}

// What a rule means, said the long way: the reference that the index must agree with.
bool matches(const Rule& rule, const net::Flow& flow, Direction direction) {
  const bool out = direction == Direction::out;
  const Selector& wants = rule.selector;
  if (rule.direction != direction || rule.family != flow.source.family()) return false;
  if (wants.local && !wants.local->contains(out ? flow.source : flow.destination)) return false;
  if (wants.remote && !wants.remote->contains(out ? flow.destination : flow.source)) return false;
  if (wants.protocol && *wants.protocol != flow.protocol) return false;
  if ((wants.local_port || wants.remote_port) && !flow.has_ports) return false;
  if (wants.local_port && *wants.local_port != (out ? flow.source_port : flow.destination_port)) return false;
  if (wants.remote_port && *wants.remote_port != (out ? flow.destination_port : flow.source_port)) return false;
  if (!wants.icmp) return true;
  return flow.has_icmp && flow.icmp_type >= wants.icmp->type && flow.icmp_type <= wants.icmp->type_end &&
         (wants.icmp->code == 255 || (flow.icmp_code >= wants.icmp->code && flow.icmp_code <= wants.icmp->code_end));
}

const Rule* linear(const Head& head, const net::Flow& flow, Direction direction) {
  const Rule* best = nullptr;
  for (const Rule& rule : head.rules())
    if (matches(rule, flow, direction) && (best == nullptr || rule.priority > best->priority)) best = &rule;
  return best;
}

class Dice {
 public:
  explicit Dice(uint32_t seed) : engine_(seed) {}
  uint32_t below(uint32_t bound) { return engine_() % bound; }
  bool often() { return below(2) == 0; }

  // Few distinct values, so that random flows do hit random rules.
  net::Address address(net::Family family) {
    if (family == net::Family::v4) return net::Address::v4(0x0a000000 | below(4) << 16 | below(4) << 8 | below(8));
    uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
    bytes[7] = static_cast<uint8_t>(below(4));
    bytes[15] = static_cast<uint8_t>(below(8));
    return net::Address::from_v6(bytes);
  }
  net::Prefix prefix(net::Family family) {
    static constexpr uint8_t kV4[] = {0, 8, 16, 24, 29, 32}, kV6[] = {0, 32, 64, 125, 127, 128};
    return net::Prefix(address(family), (family == net::Family::v4 ? kV4 : kV6)[below(6)]).masked();
  }
  uint16_t port() { return static_cast<uint16_t>(1 + below(4)); }
  uint8_t protocol(net::Family family) {
    const uint8_t kinds[] = {net::kProtoTcp, net::kProtoUdp,
                             family == net::Family::v4 ? net::kProtoIcmp : net::kProtoIcmp6};
    return kinds[below(3)];
  }
  Rule rule() {
    Rule rule{.priority = below(50),
              .direction = often() ? Direction::in : Direction::out,
              .family = often() ? net::Family::v4 : net::Family::v6,
              .mode = Mode::tunnel,
              .actions = {gcm()}};
    if (often()) rule.selector.local = prefix(rule.family);
    if (often()) rule.selector.remote = prefix(rule.family);
    if (often()) rule.selector.protocol = protocol(rule.family);
    if (below(3) == 0) rule.selector.local_port = port();
    if (below(3) == 0) rule.selector.remote_port = port();
    if (below(4) == 0) rule.selector.icmp = icmp();
    return rule;
  }
  IcmpRange icmp() {
    IcmpRange range;
    range.type = static_cast<uint8_t>(below(4));
    range.type_end = static_cast<uint8_t>(range.type + (often() ? 0 : below(4)));
    if (often()) {
      range.code = static_cast<uint8_t>(below(3));
      range.code_end = static_cast<uint8_t>(range.code + below(3));
    }
    return range;
  }
  net::Flow flow() {
    const net::Family family = often() ? net::Family::v4 : net::Family::v6;
    net::Flow flow;
    flow.source = address(family);
    flow.destination = address(family);
    flow.protocol = protocol(family);
    const bool icmp = flow.protocol == net::kProtoIcmp || flow.protocol == net::kProtoIcmp6;
    flow.fragment = below(5) == 0;
    flow.has_ports = !icmp && !flow.fragment;
    flow.has_icmp = icmp && !flow.fragment;
    if (flow.has_ports) flow.source_port = port(), flow.destination_port = port();
    if (flow.has_icmp) flow.icmp_type = static_cast<uint8_t>(below(6)), flow.icmp_code = static_cast<uint8_t>(below(4));
    return flow;
  }

 private:
  std::mt19937 engine_;
};

TEST(Head, AgreesWithTheLinearSearchOnRandomRulesAndFlows) {
  size_t hits = 0;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    Dice dice(seed);
    std::vector<Rule> rules(1 + dice.below(seed % 3 == 0 ? 400 : 12));
    for (size_t at = 0; at < rules.size(); ++at) {
      rules[at] = dice.rule();
      rules[at].index = at + 1;
    }
    const auto head = Head::build("tun0", rules);
    ASSERT_TRUE(head.has_value());
    for (int round = 0; round < 300; ++round) {
      const net::Flow flow = dice.flow();
      for (const Direction direction : {Direction::in, Direction::out}) {
        const Rule* expected = linear(**head, flow, direction);
        ASSERT_EQ((*head)->lookup(flow, direction), expected) << "seed " << seed << " round " << round;
        hits += expected != nullptr;
      }
    }
  }
  EXPECT_GT(hits, 5000u);  // the test is of something
}

TEST(Head, InboundTheDestinationIsLocal) {
  RuleSpec spec = both_ways(gcm());
  spec.selector.local = prefix("10.0.0.0/24");
  spec.selector.remote = prefix("10.0.1.0/24");
  spec.selector.local_port = 80;
  const auto head = head_of({spec});
  EXPECT_NE(head->lookup(tcp("10.0.0.2", 80, "10.0.1.2", 999), Direction::out), nullptr);
  EXPECT_NE(head->lookup(tcp("10.0.1.2", 999, "10.0.0.2", 80), Direction::in), nullptr);
  EXPECT_EQ(head->lookup(tcp("10.0.0.2", 80, "10.0.1.2", 999), Direction::in), nullptr);
  EXPECT_EQ(head->lookup(tcp("10.0.0.2", 999, "10.0.1.2", 80), Direction::out), nullptr);
}

TEST(Head, TheHighestPriorityWinsAndTheFirstAmongEquals) {
  RuleSpec wide = both_ways(gcm()), narrow = both_ways(drop()), twin = both_ways(cbc_sha512());
  narrow.selector.remote = prefix("10.0.1.2");
  wide.priority = twin.priority = 7;
  narrow.priority = 6;
  const auto flow = tcp("10.0.0.1", 1, "10.0.1.2", 2);
  EXPECT_EQ(head_of({narrow, wide, twin})->lookup(flow, Direction::out)->actions.front(), gcm());
  narrow.priority = 8;  // no longest-prefix rule: only priority counts
  EXPECT_EQ(head_of({wide, twin, narrow})->lookup(flow, Direction::out)->actions.front(), drop());
}

TEST(Head, ALaterFragmentMatchesNoRuleWithPortsOrIcmpTypes) {
  RuleSpec ports = both_ways(bypass()), echo = both_ways(bypass());
  ports.selector.remote_port = 53;
  echo.selector.icmp = IcmpRange{8, 8, 255, 255};
  net::Flow fragment = tcp("10.0.0.1", 0, "10.0.1.2", 0);
  fragment.fragment = true;
  fragment.has_ports = false;
  const auto head = head_of({ports, echo});
  EXPECT_TRUE(head->uses_ports());
  EXPECT_EQ(head->lookup(fragment, Direction::out), nullptr);
  fragment.protocol = net::kProtoIcmp;
  EXPECT_EQ(head->lookup(fragment, Direction::out), nullptr);
  EXPECT_FALSE(head_of({both_ways(gcm())})->uses_ports());
}

TEST(Head, AnIcmpErrorGoesByTheTrafficItIsAbout) {
  RuleSpec spec = both_ways(gcm());
  spec.selector.protocol = net::kProtoTcp;
  spec.selector.local_port = 22;
  const auto head = head_of({spec});
  net::Flow embedded = tcp("10.0.1.2", 999, "10.0.0.2", 22);  // as net::read_embedded_flow gives it: swapped
  embedded.icmp_error = true;
  EXPECT_NE(head->lookup(embedded, Direction::in), nullptr);
}

TEST(Head, RefusesWhatCannotBe) {
  RuleSpec transport = both_ways(gcm(), Mode::transport);
  const auto build = [](std::vector<RuleSpec> specs, std::string name) {
    std::vector<Rule> rules;
    for (const RuleSpec& spec : specs)
      for (Rule& rule : expand(spec)) rules.push_back(std::move(rule));
    const auto head = Head::build(std::move(name), std::move(rules));
    return head ? 0 : head.error().code;
  };
  EXPECT_EQ(build({transport}, "tun0"), 0);
  EXPECT_EQ(build({transport, both_ways(gcm())}, "tun0"), EBUSY);
  transport.selector.protocol = net::kProtoTcp;
  EXPECT_EQ(build({transport}, "tun0"), EINVAL);
  RuleSpec unique = both_ways(gcm());
  unique.actions.front().unique = true;
  EXPECT_EQ(build({unique}, "tun0"), EINVAL);
  unique.mode = Mode::transport;
  EXPECT_EQ(build({unique}, "tun0"), 0);
  EXPECT_EQ(build({both_ways(gcm(), Mode::none)}, ""), ENOTSUP);
  EXPECT_EQ(build({both_ways(drop(), Mode::none)}, ""), 0);
  EXPECT_EQ(build({both_ways(drop(), Mode::tunnel)}, ""), EINVAL);
  EXPECT_EQ(build({both_ways(drop(), Mode::none)}, "tun0"), EINVAL);
}

TEST(Head, WithoutRulesIsNotActive) {
  const auto head = head_of({});
  EXPECT_FALSE(head->active());
  EXPECT_EQ(head->lookup(tcp("10.0.0.1", 1, "10.0.1.2", 2), Direction::out), nullptr);
}

}  // namespace
}  // namespace adit::spd
