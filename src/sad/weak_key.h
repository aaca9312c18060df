// Keys under which DES encrypts and decrypts alike, or in turns, and 3DES keys that make it single DES.
#pragma once

#include <cstdint>
#include <span>

#include "crypto/algorithm.h"

namespace adit::sad {
// Parity bits do not count. Only DES and 3DES have such keys; false for all others.
bool is_weak_key(crypto::EncrAlg alg, std::span<const uint8_t> key);
}  // namespace adit::sad
