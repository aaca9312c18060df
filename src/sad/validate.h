// What PF_KEY asks of a new SA, before any state is touched. Pure.
#pragma once

#include <string>

#include "crypto/algorithm.h"
#include "sad/database.h"
#include "sad/diagnostic.h"

namespace adit::sad {

// ADD, and UPDATE of a larval SA. EINVAL with the diagnostic of the first thing that is wrong: SPI, addresses, inner
// selectors, algorithms against the table, keys, lifetimes, replay window and value. Texts name bits, never key bytes.
KeyResult<> validate(const SaRequest& request, const crypto::AlgorithmTable& algorithms);

// Soft against hard, idle against hard (diagnostics 14-17, 82).
KeyResult<> validate_lifetimes(const Lifetime& hard, const Lifetime& soft, const Lifetime& idle);

// "128, 192 or 256 bits"; with salt "160, 224 or 288 bits (the last 32 are the salt)".
std::string expected_bits(const crypto::Algorithm& algorithm);
// Is this a key length of the algorithm, salt not counted?
bool is_key_length(const crypto::Algorithm& algorithm, size_t bits);

}  // namespace adit::sad
