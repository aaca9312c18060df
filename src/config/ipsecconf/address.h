// Addresses of the policy language: literals, host and network names, prefix lengths and the old style's masks.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/source/resolver.h"

namespace adit::config::ipsecconf {

// The prefixes that a word stands for; several: a host name of several addresses; none: a name that does not resolve,
// where the resolver lets entries wait. The error: why not, in ipsecconf's words.
std::expected<std::vector<net::Prefix>, std::string> read_address(std::string_view word, const Resolver& resolver);
bool has_prefix_length(std::string_view word);

// 255.255.255.0 or 0xffffff00, contiguous -> 24.
std::optional<uint8_t> read_mask(std::string_view word);

}  // namespace adit::config::ipsecconf
