#include "host/host_rules.h"

#include <algorithm>

#include "net/protocol.h"

namespace adit::engine {
namespace {

constexpr uint8_t kNeighbourFirst = 133, kNeighbourLast = 137;

platform::HostRule always(net::Family family, uint8_t protocol, const char* comment) {
  platform::HostRule rule;
  rule.outbound = rule.inbound = true;
  rule.family = family;
  rule.protocol = protocol;
  rule.comment = comment;
  return rule;
}

void add_what_always_passes(std::vector<platform::HostRule>& rules) {
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    for (const uint16_t port : {net::kPortIke, net::kPortIkeNat}) {
      auto out = always(family, net::kProtoUdp, "key exchange");
      out.inbound = false;
      out.remote_port = port;
      auto in = always(family, net::kProtoUdp, "key exchange");
      in.outbound = false;
      in.local_port = port;
      // The answers of a peer that we asked, and ours to one that asked us.
      auto out_answer = out, in_answer = in;
      out_answer.remote_port.reset();
      out_answer.local_port = port;
      in_answer.local_port.reset();
      in_answer.remote_port = port;
      rules.insert(rules.end(), {out, out_answer, in, in_answer});
    }
    rules.push_back(always(family, net::kProtoEsp, "ESP"));
    rules.push_back(always(family, net::kProtoAh, "AH"));
  }
  auto neighbour = always(net::Family::v6, net::kProtoIcmp6, "neighbour discovery");
  neighbour.icmp_type = kNeighbourFirst;
  neighbour.icmp_type_end = kNeighbourLast;
  rules.push_back(neighbour);
}

platform::HostRule converted(const spd::Rule& rule) {
  platform::HostRule made;
  made.drop = rule.actions.front().verb == spd::Verb::drop;
  made.outbound = rule.direction == spd::Direction::out;
  made.inbound = rule.direction == spd::Direction::in;
  made.family = rule.family;
  made.local = rule.selector.local;
  made.remote = rule.selector.remote;
  made.protocol = rule.selector.protocol;
  made.local_port = rule.selector.local_port;
  made.remote_port = rule.selector.remote_port;
  if (rule.selector.icmp) {
    made.icmp_type = rule.selector.icmp->type;
    made.icmp_type_end = rule.selector.icmp->type_end;
    if (rule.selector.icmp->code != 255) {
      made.icmp_code = rule.selector.icmp->code;
      made.icmp_code_end = rule.selector.icmp->code_end;
    }
  }
  made.comment = rule.origin.line == 0 ? fmt::format("rule {}", rule.index)
                                       : fmt::format("rule {}, {}:{}", rule.index, rule.origin.file, rule.origin.line);
  return made;
}

}  // namespace

std::vector<platform::HostRule> host_rules(const spd::Head* head) {
  std::vector<platform::HostRule> rules;
  if (head == nullptr || !head->active()) return rules;
  std::vector<const spd::Rule*> ordered;
  for (const auto& rule : head->rules()) {
    if (!rule.waits()) ordered.push_back(&rule);
  }
  std::ranges::stable_sort(ordered, std::ranges::greater{}, &spd::Rule::priority);
  const auto drops = [](const spd::Rule* rule) { return rule->actions.front().verb == spd::Verb::drop; };
  if (std::ranges::any_of(ordered, drops)) add_what_always_passes(rules);
  for (const auto* rule : ordered) rules.push_back(converted(*rule));
  return rules;
}

bool passes_always(const net::Flow& flow) {
  const auto exchanges_keys = [](uint16_t port) { return port == net::kPortIke || port == net::kPortIkeNat; };
  switch (flow.protocol) {
    case net::kProtoEsp:
    case net::kProtoAh:
      return true;
    case net::kProtoUdp:
      return flow.has_ports && (exchanges_keys(flow.source_port) || exchanges_keys(flow.destination_port));
    case net::kProtoIcmp6:
      return flow.has_icmp && flow.icmp_type >= kNeighbourFirst && flow.icmp_type <= kNeighbourLast;
    default:
      return false;
  }
}

}  // namespace adit::engine
