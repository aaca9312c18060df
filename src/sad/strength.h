// Whether an SA's algorithms and key lengths are what an alternative of a rule asks.
#pragma once

#include "sad/table_parts.h"
#include "spd/rule.h"

namespace adit::sad {

Strength strength_of(const SaSpec& spec);

bool wants_esp(const spd::Action& action);
bool wants_ah(const spd::Action& action);

// Integrity beside a combined cipher is not asked, for the cipher has its own (decision 1). ESP integrity that nobody
// asked for is stronger than asked and fits.
bool esp_fits(const spd::Action& action, const Strength& esp);
bool ah_fits(const spd::Action& action, const Strength& ah);

}  // namespace adit::sad
