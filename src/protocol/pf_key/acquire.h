// What an ACQUIRE says: addresses, and every alternative of the rule as proposals (pf_key.md §1.4).
#pragma once

#include <optional>

#include "crypto/algorithm.h"
#include "protocol/pf_key/message.h"
#include "sad/acquire.h"

namespace adit::protocol {

// For extended-registered sockets: satype 0, all alternatives in one EPROP.
sad::KeyMessage extended_acquire(const sad::Acquire& acquire, const crypto::AlgorithmTable& algorithms);
// For sockets registered for `type`: the alternatives that want it, as a PROPOSAL. nullopt: none does.
std::optional<sad::KeyMessage> plain_acquire(const sad::Acquire& acquire, sad::SaType type,
                                             const crypto::AlgorithmTable& algorithms);

}  // namespace adit::protocol
