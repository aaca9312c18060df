// What turning one list of rules into another means, rule by rule, for one head and namespace. Pure.
#pragma once

#include <string>
#include <vector>

#include "spd/rule.h"

namespace adit::spd {

struct HeadChange {
  std::string head;
  std::vector<Rule> removed;  // as they stand
  std::vector<Rule> added;    // index 0: not yet numbered
  // The same entry, in the same order among the kept: with the index that it has, with priority and origin as wanted.
  std::vector<Rule> kept;
  bool renewed = false;  // one of the kept has another priority or origin than before

  [[nodiscard]] bool changes_rules() const { return !removed.empty() || !added.empty(); }
  [[nodiscard]] bool changes_anything() const { return changes_rules() || renewed; }
};

// A rule whose place among the others changed so that another rule may decide is removed and added, as in a text's
// difference. The lists are in the order of `before` (REQUIRES: indexes not 0) and of `wanted`. Cost: n log n.
HeadChange compare_rules(std::string head, std::vector<Rule> before, std::vector<Rule> wanted);

}  // namespace adit::spd
