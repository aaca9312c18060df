#include "spd/rule_changes.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_map>

namespace adit::spd {
namespace {

void sort_by_precedence(std::vector<Rule>& rules) {
  std::ranges::stable_sort(rules, std::ranges::greater{}, &Rule::priority);
}

// For each wanted rule, where the same entry stands in `before`.
std::vector<std::optional<size_t>> partners(const std::vector<Rule>& before, const std::vector<Rule>& wanted) {
  std::unordered_multimap<size_t, size_t> places;
  for (size_t at = 0; at < before.size(); ++at) places.emplace(hash_entry(before[at]), at);
  std::vector<std::optional<size_t>> found(wanted.size());
  for (size_t at = 0; at < wanted.size(); ++at) {
    const auto [first, last] = places.equal_range(hash_entry(wanted[at]));
    for (auto place = first; place != last; ++place) {
      if (!same_entry(before[place->second], wanted[at])) continue;
      found[at] = place->second;
      places.erase(place);  // each stands for one
      break;
    }
  }
  return found;
}

// Leaves the longest run of partners that is in the same order on both sides; the others lose theirs.
void keep_in_order(std::vector<std::optional<size_t>>& partner) {
  std::vector<size_t> ends;  // ends[n]: the wanted rule that ends the run of length n + 1 with the earliest partner
  std::vector<std::optional<size_t>> previous(partner.size());
  for (size_t at = 0; at < partner.size(); ++at) {
    if (!partner[at]) continue;
    const auto slot = std::ranges::lower_bound(ends, *partner[at], {}, [&](size_t end) { return *partner[end]; });
    if (slot != ends.begin()) previous[at] = *std::prev(slot);
    if (slot == ends.end())
      ends.push_back(at);
    else
      *slot = at;
  }
  std::vector<std::optional<size_t>> kept(partner.size());
  for (std::optional<size_t> at = ends.empty() ? std::nullopt : std::optional(ends.back()); at; at = previous[*at])
    kept[*at] = partner[*at];
  partner = std::move(kept);
}

bool same_place(const Origin& a, const Origin& b) {
  return a.file == b.file && a.line == b.line;
}

}  // namespace

HeadChange compare_rules(std::string head, std::vector<Rule> before, std::vector<Rule> wanted) {
  sort_by_precedence(before);
  sort_by_precedence(wanted);
  auto partner = partners(before, wanted);
  keep_in_order(partner);
  HeadChange change{.head = std::move(head)};
  std::vector<bool> stays(before.size());
  for (size_t at = 0; at < wanted.size(); ++at) {
    if (!partner[at]) {
      wanted[at].index = 0;
      change.added.push_back(std::move(wanted[at]));
      continue;
    }
    const Rule& old = before[*partner[at]];
    stays[*partner[at]] = true;
    if (old.priority != wanted[at].priority || !same_place(old.origin, wanted[at].origin)) change.renewed = true;
    wanted[at].index = old.index;
    change.kept.push_back(std::move(wanted[at]));
  }
  for (size_t at = 0; at < before.size(); ++at)
    if (!stays[at]) change.removed.push_back(std::move(before[at]));
  return change;
}

}  // namespace adit::spd
