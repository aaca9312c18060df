// The alternatives of an entry: what happens to the traffic.
#pragma once

#include <optional>
#include <vector>

#include "config/ipsecconf/entry.h"
#include "config/ipsecconf/pattern.h"
#include "config/ipsecconf/policy_source.h"
#include "crypto/algorithm.h"
#include "spd/rule.h"

namespace adit::config::ipsecconf {

struct Actions {
  std::vector<spd::Action> actions;         // algorithms resolved
  std::optional<spd::Direction> direction;  // of apply, permit, or `dir` among the properties
  bool old_style = false;                   // the direction came from there
};

// nullopt: reported. `first_weak` remembers across entries which weak algorithms were warned about.
class WeakSeen {
 public:
  // True the first time.
  bool first(crypto::AlgProto proto, uint8_t number);

 private:
  std::vector<std::pair<crypto::AlgProto, uint8_t>> seen_;
};
std::optional<Actions> read_actions(const Entry& entry, const Pattern& pattern, const crypto::AlgorithmTable& table,
                                    WeakSeen& weak, Report& report);

}  // namespace adit::config::ipsecconf
