// Which addresses the guard closes, and for which tunnels they stay open: overlapping networks laid out as disjoint ranges,
// each decided by the most specific network that covers it. Pure.
#pragma once

#include <string>
#include <vector>

#include "linux/platform.h"

namespace adit::platform {

struct GuardRange {
  net::Address first, last;              // inclusive
  net::Prefix network;                   // whose protection it is: masked
  std::vector<std::string> tunnels;      // sorted, each once; may be empty: closed for everyone
  friend bool operator==(const GuardRange&, const GuardRange&) = default;
};

// In ascending order. Ranges that belong to a local network (Firewall::local_networks and the link-scope ones below) are left out.
std::vector<GuardRange> guard_ranges(const Firewall& firewall, net::Family family);

// Never routed over a tunnel by a wider network: loopback, link-local, multicast, limited broadcast, unspecified.
const std::vector<net::Prefix>& link_scope_networks(net::Family family);

}  // namespace adit::platform
