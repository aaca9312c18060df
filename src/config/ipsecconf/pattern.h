// The first braces of an entry: which traffic.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/ipsecconf/entry.h"
#include "config/ipsecconf/policy_source.h"
#include "config/source/resolver.h"
#include "spd/rule.h"

namespace adit::config::ipsecconf {

// The new style says local and remote, the old one source and destination; no entry may mix them.
enum class Style : uint8_t { open, old, fresh };

struct Value {
  Token name, value;
};

struct Pattern {
  Style style = Style::open;
  // Old style: source and destination; new style: local and remote. Several prefixes: a host name of several addresses.
  std::optional<std::vector<net::Prefix>> first, second;
  std::optional<uint16_t> first_port, second_port;
  std::optional<uint8_t> protocol;
  std::optional<spd::IcmpRange> icmp;
  std::string waits_for;                    // a name that does not resolve; its side is not in first or second
  std::optional<spd::Direction> direction;  // with both_ways: dir both
  bool both_ways = false;
  std::optional<std::string> tunnel;
  spd::Mode mode = spd::Mode::none;
};

// nullopt: something was wrong and has been reported.
std::optional<Pattern> read_pattern(const Entry& entry, const PolicySource& source, const Resolver& resolver,
                                    Report& report);

// "W F on line: N", as ipsecconf says it.
std::string complaint(std::string_view what, std::string_view field, const Token& at);

}  // namespace adit::config::ipsecconf
