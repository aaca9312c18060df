#include "spd/shelf.h"

#include <algorithm>

#include "base/check.h"

namespace adit::spd {
namespace {

bool passes(const Rule& rule) {
  return std::ranges::any_of(rule.actions, [](const Action& action) { return action.verb == Verb::pass; });
}

}  // namespace

const Rule* Shelf::find(uint64_t index) const {
  const auto found = rules_.find(index);
  return found == rules_.end() ? nullptr : found->second.get();
}

const Rule* Shelf::find_same(const Rule& rule) const {
  const auto [first, last] = by_entry_.equal_range(hash_entry(rule));
  for (auto at = first; at != last; ++at)
    if (same_entry(*at->second, rule)) return at->second;
  return nullptr;
}

void Shelf::count(const Rule& rule) {
  bytes_ += memory_of(rule);
  ++modes_[static_cast<size_t>(rule.mode)];
  ++(passes(rule) ? passing_ : closing_);
}

void Shelf::add(std::shared_ptr<const Rule> rule) {
  count(*rule);
  by_entry_.emplace(hash_entry(*rule), rule.get());
  rules_.emplace_hint(rules_.end(), rule->index, std::move(rule));
}

void Shelf::remove(uint64_t index) {
  const auto found = rules_.find(index);
  CHECK(found != rules_.end());
  const Rule& rule = *found->second;
  bytes_ -= memory_of(rule);
  --modes_[static_cast<size_t>(rule.mode)];
  --(passes(rule) ? passing_ : closing_);
  const auto [first, last] = by_entry_.equal_range(hash_entry(rule));
  for (auto at = first; at != last; ++at)
    if (at->second == &rule) {
      by_entry_.erase(at);
      break;
    }
  rules_.erase(found);
}

}  // namespace adit::spd
