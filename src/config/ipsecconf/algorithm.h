// An algorithm word of the policy language: aes, AES-CBC(256), 12, any(128..), none.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/algorithm.h"
#include "spd/rule.h"

namespace adit::config::ipsecconf {

struct AlgorithmWish {
  uint8_t number = 0;                      // 0: any
  spd::KeyBits bits;                       // not yet clipped to what the algorithm has
  const crypto::Algorithm* row = nullptr;  // null: any
};

// nullopt: "none", which asks for nothing. The error says what was expected.
std::expected<std::optional<AlgorithmWish>, std::string> read_algorithm(std::string_view word, crypto::AlgProto proto,
                                                                        const crypto::AlgorithmTable& table);

}  // namespace adit::config::ipsecconf
