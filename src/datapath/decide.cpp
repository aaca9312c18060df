#include "datapath/decide.h"

#include <algorithm>

#include "esp/esp.h"

namespace adit::datapath {

namespace {

bool carries(const sad::Sa* sa) {
  return sa == nullptr || sa->state.load(std::memory_order_relaxed) == sad::SaState::mature;
}

uint32_t ah_bytes(const sad::Sa* ah) {
  if (ah == nullptr) return 0;
  const uint32_t unit = ah->spec.destination.is_v4() ? 4 : 8;  // RFC 4302 §2.6: padded to the IP version's unit
  return (12 + ah->transform->icv_bytes() + unit - 1) / unit * unit;
}

// What fits the path under this very SA; link.mtu reserves for the worst. Down to 1280 the outer packet may be
// fragmented.
uint32_t largest_inner(const Way& way) {
  const Link& link = *way.link;
  const uint32_t around = tunnel::outer_header_bytes(link.outer) + ah_bytes(way.ah) + (way.in_udp() ? 8 : 0);
  if (link.path_mtu <= around + tunnel::kMinMtu) return std::min(link.mtu, tunnel::kMinMtu);
  const uint32_t room = link.path_mtu - around;
  uint32_t largest = room;
  if (way.esp != nullptr)
    while (largest > tunnel::kMinMtu && largest + esp::overhead(*way.esp, largest) > room) --largest;
  return std::min(link.mtu, std::max(largest, tunnel::kMinMtu));
}

Decision drop(DropReason reason) {
  return {reason, {}};
}

}  // namespace

bool Way::in_udp() const {
  return ah == nullptr && esp != nullptr && esp->spec.nat.has_value();
}
bool Way::fresh() const {
  return carries(esp) && carries(ah);
}

Decision decide(const Snapshot& snapshot, const Link& link, const net::Flow& flow) {
  if (!link.up) return drop(DropReason::link_down);
  if (!link.bound) return drop(DropReason::no_remote);

  Decision decision{DropReason::none, Way{&link}};
  Way& way = decision.way;
  if (!has_policy(link)) {
    if (!passes_clear_text(link)) return drop(DropReason::no_policy);
    way.largest = largest_inner(way);
    return decision;
  }

  way.rule = link.head->lookup(flow, spd::Direction::out);
  if (way.rule == nullptr) return drop(DropReason::no_rule);
  switch (way.rule->actions.front().verb) {
    case spd::Verb::pass:
      break;
    case spd::Verb::ipsec: {
      const auto bundle = snapshot.sas == nullptr
                              ? sad::Table::Bundle{}
                              : snapshot.sas->select(*way.rule, {link.outer.local, link.outer.remote}, flow);
      if (!bundle.found()) {
        decision.drop = DropReason::no_sa;
        return decision;
      }
      way.esp = bundle.esp;
      way.ah = bundle.ah;
      break;
    }
    default:
      decision.drop = DropReason::rule_drop;
      return decision;
  }
  way.largest = largest_inner(way);
  return decision;
}

}  // namespace adit::datapath
