#include "spd/rule_changes.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <unordered_map>

namespace adit::spd {
namespace {

// The places of rules, the first to match first.
std::vector<size_t> by_precedence(const std::vector<Rule>& rules) {
  std::vector<size_t> order(rules.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](size_t at) { return rules[at].priority; });
  return order;
}

// For each wanted rule, in order of precedence, how manieth the same entry is in `before`.
std::vector<std::optional<size_t>> partners(const std::vector<Rule>& before, const std::vector<size_t>& before_order,
                                            const std::vector<Rule>& wanted, const std::vector<size_t>& wanted_order) {
  std::unordered_multimap<size_t, size_t> ranks;
  for (size_t rank = 0; rank < before.size(); ++rank) ranks.emplace(hash_entry(before[before_order[rank]]), rank);
  std::vector<std::optional<size_t>> found(wanted.size());
  for (size_t at = 0; at < wanted.size(); ++at) {
    const Rule& rule = wanted[wanted_order[at]];
    const auto [first, last] = ranks.equal_range(hash_entry(rule));
    for (auto rank = first; rank != last; ++rank) {
      if (!same_entry(before[before_order[rank->second]], rule)) continue;
      found[at] = rank->second;
      ranks.erase(rank);  // each stands for one
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
  const auto before_order = by_precedence(before), wanted_order = by_precedence(wanted);
  auto partner = partners(before, before_order, wanted, wanted_order);
  keep_in_order(partner);
  HeadChange change{.head = std::move(head)};
  std::vector<bool> stays(before.size());
  for (Rule& rule : wanted) rule.index = 0;
  for (size_t at = 0; at < wanted.size(); ++at) {
    if (!partner[at]) continue;
    const Rule& old = before[before_order[*partner[at]]];
    Rule& rule = wanted[wanted_order[at]];
    stays[before_order[*partner[at]]] = true;
    if (old.priority != rule.priority || !same_place(old.origin, rule.origin)) change.renewed = true;
    rule.index = old.index;
  }
  for (Rule& rule : wanted) (rule.index == 0 ? change.added : change.kept).push_back(std::move(rule));
  for (size_t at = 0; at < before.size(); ++at)
    if (!stays[at]) change.removed.push_back(std::move(before[at]));
  return change;
}

}  // namespace adit::spd
