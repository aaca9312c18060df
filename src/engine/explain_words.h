// Words that both directions of an explanation use.
#pragma once

#include <string>
#include <string_view>

#include "sad/sa.h"
#include "spd/rule.h"

namespace adit::engine {

struct Explanation;

bool conclude(Explanation& about, std::string_view reason, std::string verdict);  // false, for a return
std::string name_of_rule(const spd::Rule& rule);                                  // rule 5 (FILE:LINE)
std::string_view name_of(sad::SaState state);
bool can_protect(const sad::Sa& sa);  // mature or dying

}  // namespace adit::engine
