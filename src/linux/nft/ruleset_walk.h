// What the firewall's rules would do with a packet, read from what `nft -j list ruleset` prints: pure. A rule whose
// match cannot be told from here (connection tracking, marks, limits, iptables' extensions …) counts as one that may
// match, so that what it drops is told as "may drop" and never as nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace adit::platform {

enum class Hook : uint8_t { ingress, prerouting, input, forward, output, postrouting, egress };

struct WalkedPacket {
  net::Address source, destination;
  uint8_t protocol = 0;
  std::optional<uint16_t> source_port, destination_port;
  std::optional<uint8_t> icmp_type;
  std::string in, out;  // devices; empty: not known, or none
  std::optional<uint32_t> mark;
  std::optional<bool> source_routed;     // a route leads back to the source
  std::optional<bool> source_routed_in;  // … over the device that it comes in by
};

struct RuleFinding {
  bool certain = false;  // else: may drop it
  std::string where;     // table inet filter, chain output, rule 7
};

// The rule or policy that stops the packet at one of these hooks: a certain one first, else those that may, at most
// three. Empty: it passes. Tables for which `skip` (family, name) says true are not looked at.
using SkipTable = bool (*)(std::string_view family, std::string_view name);
std::vector<RuleFinding> walk_ruleset(const std::string& ruleset_json, const std::vector<Hook>& hooks,
                                      const WalkedPacket& packet, SkipTable skip);

}  // namespace adit::platform
