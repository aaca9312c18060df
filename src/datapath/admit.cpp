#include "datapath/admit.h"

namespace adit::datapath {

namespace {

const spd::Rule* inbound_rule(const Link& link, const net::Flow& flow, const net::Flow& about) {
  const spd::Rule* rule = link.head->lookup(about, spd::Direction::in);
  return rule == nullptr && about != flow ? link.head->lookup(flow, spd::Direction::in) : rule;
}

bool covers_port(uint16_t wanted, bool known, uint16_t port) {
  return wanted == 0 || (known && port == wanted);
}

bool covers(const sad::Sa* sa, const net::Flow& flow) {
  if (sa == nullptr || !sa->spec.inner.has_value()) return true;
  const sad::InnerSelector& inner = *sa->spec.inner;
  return inner.source.contains(flow.source) && inner.destination.contains(flow.destination) &&
         (inner.protocol == 0 || inner.protocol == flow.protocol) &&
         covers_port(inner.source_port, flow.has_ports, flow.source_port) &&
         covers_port(inner.destination_port, flow.has_ports, flow.destination_port);
}

}  // namespace

DropReason admit_arrival(const Arrival& arrival, const net::Flow& flow, const net::Flow& about) {
  const Link& link = *arrival.link;
  if (!link.up) return DropReason::link_down;
  if (!arrival.clear()) return DropReason::none;
  if (!has_policy(link)) return link.secured ? DropReason::got_clear : DropReason::none;
  if (flow.fragment) return DropReason::got_clear;
  const spd::Rule* rule = inbound_rule(link, flow, about);
  const bool passes = rule != nullptr && rule->actions.front().verb == spd::Verb::pass;
  return passes ? DropReason::none : DropReason::got_clear;
}

bool is_martian(const Link& link, const net::Address& source) {
  return source.is_unspecified() || source.is_loopback() || source.is_multicast() || source.is_limited_broadcast() ||
         source == link.outer.local;
}

Admission admit(const Arrival& arrival, const net::Flow& flow, const net::Flow& about) {
  for (const sad::Sa* sa : {arrival.esp, arrival.ah})
    if (!covers(sa, flow) && !covers(sa, about)) return {DropReason::outside_sa};

  const Link& link = *arrival.link;
  if (!has_policy(link)) return {link.secured ? DropReason::no_policy : DropReason::none};
  const spd::Rule* rule = inbound_rule(link, flow, about);
  if (rule == nullptr) return {DropReason::no_inbound_rule};
  switch (rule->actions.front().verb) {
    case spd::Verb::pass:
      return {arrival.clear() ? DropReason::none : DropReason::wrong_protection, rule};
    case spd::Verb::ipsec:
      return {sad::Table::satisfies(*rule, arrival.esp, arrival.ah) ? DropReason::none : DropReason::wrong_protection,
              rule};
    default:
      return {DropReason::rule_drop, rule};
  }
}

}  // namespace adit::datapath
