#include "spd/conflict.h"

#include <algorithm>

namespace adit::spd {
namespace {

bool prefixes_meet(const std::optional<net::Prefix>& a, const std::optional<net::Prefix>& b) {
  return !a || !b || a->contains(b->address()) || b->contains(a->address());
}
bool prefix_covers(const std::optional<net::Prefix>& outer, const std::optional<net::Prefix>& inner) {
  return !outer || (inner && outer->length() <= inner->length() && outer->contains(inner->address()));
}

template <typename T>
bool values_meet(const std::optional<T>& a, const std::optional<T>& b) {
  return !a || !b || *a == *b;
}
template <typename T>
bool value_covers(const std::optional<T>& outer, const std::optional<T>& inner) {
  return !outer || outer == inner;
}

bool ranges_meet(const std::optional<IcmpRange>& a, const std::optional<IcmpRange>& b) {
  if (!a || !b) return true;
  if (a->type > b->type_end || b->type > a->type_end) return false;
  return a->code == 255 || b->code == 255 || (a->code <= b->code_end && b->code <= a->code_end);
}

bool has_ports(const Selector& selector) {
  return selector.local_port || selector.remote_port;
}

bool selectors_meet(const Selector& a, const Selector& b) {
  if ((a.icmp && has_ports(b)) || (b.icmp && has_ports(a))) return false;  // no packet has both
  return prefixes_meet(a.local, b.local) && prefixes_meet(a.remote, b.remote) && values_meet(a.protocol, b.protocol) &&
         values_meet(a.local_port, b.local_port) && values_meet(a.remote_port, b.remote_port) &&
         ranges_meet(a.icmp, b.icmp);
}

// Each selector of `outer` is implied by one of the two.
bool selector_covers(const Selector& outer, const Selector& a, const Selector& b) {
  const auto either = [&](auto implied, auto member) {
    return implied(outer.*member, a.*member) || implied(outer.*member, b.*member);
  };
  return either(prefix_covers, &Selector::local) && either(prefix_covers, &Selector::remote) &&
         either(value_covers<uint8_t>, &Selector::protocol) && either(value_covers<uint16_t>, &Selector::local_port) &&
         either(value_covers<uint16_t>, &Selector::remote_port) && either(value_covers<IcmpRange>, &Selector::icmp);
}

bool all_of(const Rule& rule, Verb verb) {
  return std::ranges::all_of(rule.actions, [verb](const Action& action) { return action.verb == verb; });
}

}  // namespace

bool overlap(const Rule& a, const Rule& b) {
  if (a.waits() || b.waits()) return false;  // asked again when the name resolves
  return a.direction == b.direction && a.family == b.family && selectors_meet(a.selector, b.selector);
}

bool covers(const Rule& outer, const Rule& inner, const Rule& with) {
  return outer.direction == inner.direction && outer.family == inner.family &&
         selector_covers(outer.selector, inner.selector, with.selector);
}

bool takes_from(const Rule& coming, const Rule& standing, bool of_host) {
  if (coming.priority < standing.priority || !overlap(coming, standing)) return false;
  const bool nested = covers(coming, standing, standing) || covers(standing, coming, coming);
  if (of_host && !nested) return false;
  for (const Verb verb : {Verb::drop, Verb::pass}) {
    if (all_of(coming, verb) && all_of(standing, verb)) return false;
  }
  return true;
}

}  // namespace adit::spd
