// SPD_EXT_ACTION of ALGLIST, DUMPALGS and UPDATEALGS: attributes <-> the algorithm table (pf_policy.md §8).
#pragma once

#include "config/ipsecalgs/ipsecalgs_file.h"
#include "protocol/pf_policy/message.h"

namespace adit::protocol {

// ALGLIST's answer: number, minimum, maximum, default and increment of the key length, by minimum; AH algorithms under
// the AH tag and, being ESP's integrity too, under the ESP_AUTH tag.
PolicyActions encode_algorithm_list(const crypto::AlgorithmTable& table);

// The form of UPDATEALGS, which DUMPALGS answers with too: every field of the table.
PolicyActions encode_algorithms(const config::AlgorithmText& algorithms);
// EINVAL with diagnostic: id out of range or unknown (37), key sizes (38), block sizes (39), mechanism name (40), count
// (7).
PolicyResult<config::AlgorithmText> decode_algorithms(const PolicyActions& from);

}  // namespace adit::protocol
