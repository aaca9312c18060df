// Invariant I1: what becomes of an inner packet that wants to leave through a link. A pure function of the snapshot.
#pragma once

#include "base/drop_reason.h"
#include "datapath/snapshot.h"
#include "net/flow.h"

namespace adit::datapath {

// How a packet leaves: under these SAs, or in the clear. Valid as long as the snapshot that it came from.
struct Way {
  const Link* link = nullptr;
  const spd::Rule* rule = nullptr;  // null: the link has no policy
  sad::Sa* esp = nullptr;
  sad::Sa* ah = nullptr;
  uint32_t largest = 0;  // bytes of the largest inner packet that goes this way whole

  [[nodiscard]] bool clear() const { return esp == nullptr && ah == nullptr; }
  [[nodiscard]] bool in_udp() const;  // ESP in UDP; AH cannot be, it covers the addresses that a NAT changes
  // The SAs may still carry; a cached way whose answer is no is decided anew.
  [[nodiscard]] bool fresh() const;
  friend bool operator==(const Way&, const Way&) = default;
};

struct Decision {
  DropReason drop = DropReason::none;  // no_sa: `way.rule` asks for IPsec and no SA is there
  Way way;
};

// REQUIRES: `link` is of this snapshot. `flow` is the inner packet's (of an ICMP error: what it is about, swapped).
// link_down, no_remote, no_policy, no_rule, rule_drop, no_sa; none.
Decision decide(const Snapshot& snapshot, const Link& link, const net::Flow& flow);

}  // namespace adit::datapath
