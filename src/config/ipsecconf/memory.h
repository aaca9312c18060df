// What one load of policy has seen so far, over all its files: which mode a tunnel's rules have, which entries there
// are, which weak algorithms were warned about.
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "config/ipsecconf/action.h"
#include "spd/rule.h"

namespace adit::config {

class LoadMemory {
 public:
  // Where rules of that head were given another mode; nullptr: nowhere. The first one settles it.
  const spd::Origin* other_mode(const std::string& head, const spd::RuleSpec& spec);
  // Where one of its SPD entries stands already, which ADDRULE would refuse with EEXIST; nullptr: nowhere, and
  // remembered from now on.
  const spd::Origin* same_entry(const std::string& head, const spd::RuleSpec& spec);

  ipsecconf::WeakSeen weak;

 private:
  std::map<std::string, std::pair<spd::Mode, spd::Origin>> modes_;
  std::map<std::string, std::unordered_multimap<size_t, spd::Rule>> seen_;
};

}  // namespace adit::config
