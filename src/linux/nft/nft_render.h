// Firewall -> the JSON document of one nftables transaction (libnftables-json(5)). Pure; nft_apply sends it.
//
// table inet adit
//   chains host_out, host_in     rules of the host head for the host's own traffic, in order; none without rules.
//   Passed first:
//                         lo, ESP, AH, IKE, neighbour discovery.
//   chains strong_out, strong_in hostmodel strong.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "linux/platform/platform.h"

namespace adit::platform {

constexpr const char* kTableName = "adit";

// The whole table, replacing what stands; a command a line. REQUIRES: interface names as tunnel::check_name lets them
// be.
std::string render_table(const Firewall& firewall);
std::string render_removal();

// Rules of host_out and host_in (nft_host_rules.cpp).
nlohmann::json host_rule_expressions(const HostRule& rule, bool outbound);

// What `nft -j list table inet adit` prints without what changes by itself (handles, counters): equal texts, equal
// tables.
std::string table_content(const nlohmann::json& listing);

}  // namespace adit::platform
