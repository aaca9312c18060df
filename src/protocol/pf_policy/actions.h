// SPD_EXT_ACTION of rules: attributes <-> actions (pf_policy.md §5).
#pragma once

#include <span>

#include "protocol/pf_policy/message.h"

namespace adit::protocol {

// Algorithms are not yet resolved: number 0 is "any". EINVAL with diagnostic: wrong count (7), type (8), flags (9, 10),
// unknown attribute (21).
PolicyResult<std::vector<spd::Action>> decode_actions(const PolicyActions& actions, bool tunnel_mode);

PolicyActions encode_actions(std::span<const spd::Action> actions);

}  // namespace adit::protocol
