// The policy language of ipsecconf(8) (policy.md §2): text -> SPD rules. Pure but for the names it asks the Resolver
// for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/ipsecconf/policy_limits.h"
#include "config/ipsecconf/policy_source.h"
#include "config/source/problem.h"
#include "config/source/resolver.h"
#include "crypto/algorithm.h"
#include "spd/rule.h"

namespace adit::config {

// One entry as written. Host names of several addresses make several specs; spd::expand makes SPD entries of each.
struct PolicyEntry {
  std::string head;                  // "": the host
  std::vector<spd::RuleSpec> specs;  // algorithms resolved, every rule checked by spd::check_rule
  std::string text;                  // as typed, from its first brace to its last
};

struct PolicyText {
  std::vector<PolicyEntry> entries;  // empty when there is an error
  std::vector<Problem> problems;     // errors and warnings, in the order of the text

  [[nodiscard]] bool ok() const { return count_errors(problems) == 0; }
  // Ready for spd::Database: each element is one add.
  [[nodiscard]] std::vector<std::pair<std::string, std::vector<spd::Rule>>> adds() const;
};

// Every error of the text is told; with one, nothing is to be applied. The same entry twice is a warning and counts
// once.
PolicyText parse_policy(std::string_view text, const PolicySource& source, const crypto::AlgorithmTable& table,
                        const Resolver& resolver);

}  // namespace adit::config
