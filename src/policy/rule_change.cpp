#include "policy/rule_change.h"

#include <set>
#include <span>

namespace adit::engine {
namespace {

constexpr size_t kOwnersTold = 3;

std::span<const spd::Rule> rules_of(const spd::Head* head) {
  return head == nullptr ? std::span<const spd::Rule>{} : head->rules();
}

std::string in_brackets(const std::set<std::string>& owners) {
  if (owners.empty() || (owners.size() == 1 && owners.begin()->empty())) return "";
  std::string text;
  size_t told = 0;
  for (const auto& owner : owners) {
    if (told++ == kOwnersTold) return " (" + text + " and others)";
    text += (text.empty() ? "" : ", ") + (owner.empty() ? std::string("global") : owner);
  }
  return " (" + text + ")";
}

}  // namespace

// Both are in the order of their indexes.
RuleChange rule_change(const spd::Head* before, const spd::Head* after) {
  const auto old = rules_of(before), now = rules_of(after);
  RuleChange change;
  std::set<std::string> owners;
  const auto note = [&](size_t& count, const spd::Rule& rule) {
    ++count;
    if (owners.size() <= kOwnersTold) owners.insert(rule.name_space);
  };
  size_t left = 0, right = 0;
  while (left < old.size() || right < now.size()) {
    if (right == now.size() || (left < old.size() && old[left].index < now[right].index))
      note(change.removed, old[left++]);
    else if (left == old.size() || now[right].index < old[left].index)
      note(change.added, now[right++]);
    else
      ++left, ++right;
  }
  change.owners = in_brackets(owners);
  return change;
}

}  // namespace adit::engine
