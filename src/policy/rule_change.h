// What a change of a policy head was, for who follows the events.
#pragma once

#include <string>

#include "spd/head.h"

namespace adit::engine {

struct RuleChange {
  size_t added = 0, removed = 0;
  std::string owners;  // " (svc:/a, svc:/b)": the namespaces concerned, some of them; empty: only the global one
};

// A rule is known by its index. Null: no rules.
RuleChange rule_change(const spd::Head* before, const spd::Head* after);

}  // namespace adit::engine
