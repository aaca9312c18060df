// Invariant I6: what an inner packet that came through the wire must be to get in. Pure functions of the snapshot.
#pragma once

#include "base/drop_reason.h"
#include "datapath/snapshot.h"
#include "net/flow.h"

namespace adit::datapath {

// May a packet come under this SA? It is alive, and not said to be for what leaves only.
inline bool receives(const sad::Sa& sa) {
  const sad::SaState state = sa.state.load(std::memory_order_relaxed);
  const bool alive = state == sad::SaState::mature || state == sad::SaState::dying;
  return alive && (sa.spec.inbound || !sa.spec.outbound);
}

// How an inner packet came.
struct Arrival {
  const Link* link = nullptr;
  const sad::Sa* esp = nullptr;
  const sad::Sa* ah = nullptr;
  [[nodiscard]] bool clear() const { return esp == nullptr && ah == nullptr; }
  friend bool operator==(const Arrival&, const Arrival&) = default;
};

// Whatever the packet is: link_down; got_clear: it came in the clear, the link is secured or has a policy, and no
// inbound rule passes this flow in the clear (a fragment never: it hides what it is); none.
DropReason admit_arrival(const Arrival& arrival, const net::Flow& flow, const net::Flow& about);

// loopback, multicast, unspecified or broadcast source, or the tunnel's own outer address.
bool is_martian(const Link& link, const net::Address& source);

struct Admission {
  DropReason drop = DropReason::none;
  const spd::Rule* rule = nullptr;  // null: the link has no policy
};

// `flow` is the packet's own; `about` of an ICMP error what it is about, swapped, else the same.
// REQUIRES: admit_arrival said none. outside_sa, no_policy, no_inbound_rule, rule_drop, wrong_protection; none.
Admission admit(const Arrival& arrival, const net::Flow& flow, const net::Flow& about);

}  // namespace adit::datapath
