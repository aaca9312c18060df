// Firewall -> the JSON document of one nftables transaction (libnftables-json(5)). Pure; nft_apply sends it.
//
// table inet adit
//   set guard_pass{4,6}   addr . ifname, intervals: a protected range and an interface that may carry it
//   set guard_out{4,6}, guard_in{4,6}   intervals, with a counter an element: what came here was stopped (the leak
//   witness);
//                         the element's comment is the network that it belongs to
//   chain guard_out       postrouting, last: host and forwarded traffic by its final destination and interface. Passed:
//   lo; our
//                         outer packets, by mark and protocol; guard_pass. Then guard_out drops.
//   chain guard_in        input: traffic from a protected network. Passed: lo; what carries tunnels (ESP, AH, IP in IP,
//   UDP 500
//                         and 4500) and ICMP errors about it, since with a default route over a tunnel the peer itself
//                         is in a protected network; guard_pass. Then guard_in drops.
//   chain guard_forward   forward: the same without exceptions.
//   chains host_out, host_in     rules of the host head for the host's own traffic, in order; none without rules.
//   Passed first:
//                         lo, ESP, AH, IKE, neighbour discovery.
//   chains strong_out, strong_in hostmodel strong.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "linux/guard_ranges.h"
#include "linux/platform.h"

namespace adit::platform {

constexpr const char* kTableName = "adit";

// The whole table, replacing what stands; a command a line. REQUIRES: interface names as tunnel::check_name lets them
// be.
std::string render_table(const Firewall& firewall);
std::string render_removal();

// Rules of host_out and host_in (nft_host_rules.cpp).
nlohmann::json host_rule_expressions(const HostRule& rule, bool outbound);

// How much of everything the table holds: rules a chain, elements a set. Of a document that render_table made, or of
// what `nft -j list table inet adit` prints; equal when nobody took or added a part.
std::map<std::string, size_t> table_shape(const nlohmann::json& document);

// Sums of the witnesses a network, from what `nft -j list table inet adit` prints.
std::vector<LeakCount> read_leaks(const nlohmann::json& listing);

}  // namespace adit::platform
