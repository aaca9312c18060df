#include "config/ipsecconf/memory.h"

namespace adit::config {

const spd::Origin* LoadMemory::other_mode(const std::string& head, const spd::RuleSpec& spec) {
  const auto& [mode, origin] = modes_.emplace(head, std::pair(spec.mode, spec.origin)).first->second;
  return mode == spec.mode ? nullptr : &origin;
}

const spd::Origin* LoadMemory::same_entry(const std::string& head, const spd::RuleSpec& spec) {
  const auto entries = spd::expand(spec);
  auto& seen = seen_[head];
  for (const spd::Rule& rule : entries) {
    const auto [first, last] = seen.equal_range(spd::hash_entry(rule));
    for (auto at = first; at != last; ++at)
      if (spd::same_entry(at->second, rule)) return &at->second.origin;
  }
  for (const spd::Rule& rule : entries) seen.emplace(spd::hash_entry(rule), rule);
  return nullptr;
}

}  // namespace adit::config
