// ACQUIRE: a packet needs an SA that is not there. One record for each link and rule, until an SA comes, the key
// manager gives up, or the wait is over. The record outlives changes of the policy: it holds its own copy of the rule.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "net/flow.h"
#include "sad/sa.h"
#include "spd/rule.h"

namespace adit::sad {

struct AcquireKey {
  std::string link;  // the tunnel's name
  uint64_t rule_index = 0;
  friend auto operator<=>(const AcquireKey&, const AcquireKey&) = default;
};

struct Acquire {
  uint32_t seq = 0;  // of the ACQUIRE message and of the answers to it; 0x80000000 and above
  AcquireKey key;
  Endpoints outer;
  spd::Rule rule;
  net::Flow flow;  // the packet that asked
  MonoTime deadline{};
};

// Inner selectors for an SA of this rule, in outbound direction: from the rule, not from the packet (policy.md §3.2).
InnerSelector inner_selector(const spd::Rule& rule);

}  // namespace adit::sad
