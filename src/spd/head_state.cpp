#include "spd/head_state.h"

#include <algorithm>

namespace adit::spd {

Shelf& own(std::shared_ptr<Shelf>& shelf) {
  if (!shelf)
    shelf = std::make_shared<Shelf>();
  else if (shelf.use_count() > 1)
    shelf = std::make_shared<Shelf>(*shelf);
  return *shelf;
}

std::shared_ptr<Shelf> shelf_in(const Shelves& shelves, std::string_view key) {
  const auto found = shelves.find(key);
  return found == shelves.end() ? nullptr : found->second;
}

void put(Shelves& shelves, std::string_view key, std::shared_ptr<Shelf> shelf) {
  const auto found = shelves.find(key);
  if (!shelf || shelf->size() == 0) {
    if (found != shelves.end()) shelves.erase(found);
  } else if (found != shelves.end()) {
    found->second = std::move(shelf);
  } else {
    shelves.emplace(std::string(key), std::move(shelf));
  }
}

std::string_view spoken(std::string_view name_space) {
  return name_space.empty() ? "the global namespace" : name_space;
}
std::string spoken_head(std::string_view head) {
  return head.empty() ? "the host" : fmt::format("tunnel {}", head);
}

std::unexpected<Error> unknown_head(std::string_view head) {
  return fail(ENOENT, "no tunnel and no policy by the name of {}", head.empty() ? "the host" : head);
}
std::unexpected<Error> mixed(std::string_view head) {
  return fail(EBUSY, "tunnel {} would mix 'negotiate tunnel' and 'negotiate transport'; remove the rules of one first",
              head);
}

std::vector<Rule> rules_in_order(const HeadState& head) {
  std::vector<const Rule*> order;
  for (const auto& [owner, shelf] : head.shelves)
    for (const auto& [index, rule] : shelf->rules()) order.push_back(rule.get());
  std::ranges::stable_sort(order, {}, &Rule::index);
  std::vector<Rule> rules;
  rules.reserve(order.size());
  for (const Rule* rule : order) rules.push_back(*rule);
  return rules;
}

Result<> shelve(Shelf& shelf, HeadState& state, std::string_view head, std::string_view name_space,
                std::vector<Rule>& entries) {
  for (const Rule& rule : entries) {
    TRY(check_rule(head, rule));
    if (rule.mode != entries.front().mode || (rule.mode == Mode::tunnel && shelf.of_mode(Mode::transport) > 0) ||
        (rule.mode == Mode::transport && shelf.of_mode(Mode::tunnel) > 0))
      return mixed(head);
    if (const Rule* same = shelf.find_same(rule))
      return fail(EEXIST, "{} has the same entry already, index {}", spoken_head(head), same->index);
  }
  for (Rule& rule : entries) {
    rule.index = ++state.last_index;
    rule.name_space = name_space;
    shelf.add(std::make_shared<const Rule>(std::move(rule)));
  }
  return {};
}

std::vector<uint64_t> matching(const Shelf& shelf, const std::vector<Rule>& like) {
  std::vector<uint64_t> found;
  for (const auto& [index, rule] : shelf.rules())
    if (std::ranges::any_of(like, [&mine = *rule](const Rule& one) { return same_traffic(one, mine); }))
      found.push_back(index);
  return found;
}

}  // namespace adit::spd
