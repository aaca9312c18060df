#include "server/pf_policy_lookup.h"

#include <adit/pfpolicy.h>

namespace adit::protocol {
namespace {

// The packet that a LOOKUP describes: both addresses, protocol, what it has of ports and ICMP.
PolicyResult<net::Flow> flow_of(const PolicyMessage& message, spd::Direction direction) {
  const spd::Selector& selector = message.selector;
  if (!selector.local || !selector.local->is_host())
    return refuse(EINVAL, SPD_DIAGNOSTIC_MALFORMED_LCLADDR, "a packet has one local address");
  if (!selector.remote || !selector.remote->is_host())
    return refuse(EINVAL, SPD_DIAGNOSTIC_MALFORMED_REMADDR, "a packet has one remote address");
  const bool out = direction == spd::Direction::out;
  net::Flow flow;
  flow.source = (out ? selector.local : selector.remote)->address();
  flow.destination = (out ? selector.remote : selector.local)->address();
  flow.protocol = selector.protocol.value_or(0);
  flow.has_ports = selector.local_port && selector.remote_port;
  flow.source_port = (out ? selector.local_port : selector.remote_port).value_or(0);
  flow.destination_port = (out ? selector.remote_port : selector.local_port).value_or(0);
  flow.has_icmp = selector.icmp.has_value();
  if (selector.icmp) flow.icmp_type = selector.icmp->type, flow.icmp_code = selector.icmp->code;
  return flow;
}

}  // namespace

PolicyResult<const spd::Rule*> lookup_rule(const PolicyMessage& message, const spd::Head* head) {
  if (!message.rule) return refuse(EINVAL, SPD_DIAGNOSTIC_NO_RULE_EXT, "a RULE extension says the direction");
  const uint32_t flags = message.rule->flags & (SPD_RULE_FLAG_INBOUND | SPD_RULE_FLAG_OUTBOUND);
  if (flags != SPD_RULE_FLAG_INBOUND && flags != SPD_RULE_FLAG_OUTBOUND)
    return refuse(EINVAL, SPD_DIAGNOSTIC_MALFORMED_RULE, "a packet goes in or out");
  const auto direction = static_cast<spd::Direction>(flags);
  const auto flow = flow_of(message, direction);
  if (!flow) return std::unexpected(flow.error());
  if (head == nullptr) return refuse(ENOENT, 0, "there is no policy: nothing is decided");
  if (const spd::Rule* rule = head->lookup(*flow, direction)) return rule;
  return refuse(ESRCH, 0,
                head->name().empty() ? "no rule matches: the packet passes in the clear"
                                     : "no rule matches: the packet is dropped");
}

}  // namespace adit::protocol
