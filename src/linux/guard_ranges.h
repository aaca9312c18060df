// Which addresses the guard closes, and for which tunnels they stay open: overlapping networks laid out as disjoint
// ranges, each decided by the most specific network that covers it. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "linux/platform.h"

namespace adit::platform {

struct GuardRange {
  net::Address first, last;          // inclusive
  net::Prefix network;               // whose protection it is: masked
  std::vector<std::string> tunnels;  // sorted, each once; may be empty: closed for everyone
  friend bool operator==(const GuardRange&, const GuardRange&) = default;
};

// In ascending order. Ranges that belong to a local network (Firewall::local_networks and the link-scope ones below)
// are left out.
std::vector<GuardRange> guard_ranges(const Firewall& firewall, net::Family family);

// The smaller of two ways to change the table: ranges that go, ranges that come.
struct GuardDifference {
  std::vector<GuardRange> gone, come;
};
// nullopt: a network that stays would have its range split or given back (and lose its counts), or very many ranges
// change.
std::optional<GuardDifference> guard_difference(const std::vector<GuardRange>& before,
                                                const std::vector<GuardRange>& after);

// The address behind; nullopt: there is none.
std::optional<net::Address> next_address(const net::Address& address);

// Never routed over a tunnel by a wider network: loopback, link-local, multicast, limited broadcast, unspecified.
const std::vector<net::Prefix>& link_scope_networks(net::Family family);

}  // namespace adit::platform
