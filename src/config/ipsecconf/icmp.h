// ICMP types and codes as the policy language names them (policy.md §2.1).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace adit::config::ipsecconf {

// A keyword, a number or n-m, 0 to 255; first and last. nullopt: none of these.
std::optional<std::pair<uint8_t, uint8_t>> icmp_type(std::string_view word);
std::optional<std::pair<uint8_t, uint8_t>> icmp_code(std::string_view word);

// A decimal number up to `max`; nullopt: anything else.
std::optional<uint32_t> decimal(std::string_view word, uint32_t max);

}  // namespace adit::config::ipsecconf
