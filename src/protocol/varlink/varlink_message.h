// Bytes of a peer to JSON, bounded before anything is built of them: what nests is copied, printed and destroyed by
// recursion.
#pragma once

#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

namespace adit::protocol {

constexpr size_t kMaxVarlinkDepth = 32;  // no message of ours nests deeper than 8

// Brackets that are open at once, outside of strings. Of any bytes; linear.
size_t nesting_of(std::string_view text);

// One message without its NUL. nullopt: no JSON object, or one that nests deeper than kMaxVarlinkDepth.
std::optional<nlohmann::json> parse_varlink(std::string_view text);

}  // namespace adit::protocol
