// Numbers and names of protocols, and the ports that Adit itself knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace adit::net {

#define ADIT_PROTOCOL(constant, number, ...) inline constexpr uint8_t constant = number;
#include "net/protocol.def"
#undef ADIT_PROTOCOL

inline constexpr uint16_t kPortIke = 500;      // RFC 7296 §2
inline constexpr uint16_t kPortIkeNat = 4500;  // IKE and ESP in UDP: RFC 3948, RFC 7296 §2.23

// Any of the names in the table, in lower case. Nothing if it has none such; the system's own list may know more.
[[nodiscard]] std::optional<uint8_t> protocol_number(std::string_view name);
// The name that is printed; empty where the table has none.
[[nodiscard]] std::string_view protocol_name(uint8_t number);

}  // namespace adit::net
