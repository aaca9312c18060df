// The host head's bypass, pass and drop rules as nftables rules (policy.md §3.1).
#pragma once

#include <vector>

#include "linux/platform/platform.h"
#include "spd/head.h"

namespace adit::engine {

// In order of precedence. In front of them, when any of them drops, what no host policy may stop: key exchange (UDP 500
// and 4500), ESP, AH, and IPv6 neighbour discovery. Null or empty head: none.
std::vector<platform::HostRule> host_rules(const spd::Head* head);

// Is that such a packet?
bool passes_always(const net::Flow& flow);

}  // namespace adit::engine
