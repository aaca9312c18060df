// A tunnel's rules under another name.
#include <algorithm>

#include "spd/database_state.h"

namespace adit::spd {
namespace {

// What moves: the shelves of the namespaces that have none under the new name.
Shelves moving(const HeadState& from, const HeadState* to) {
  Shelves shelves;
  for (const auto& [name_space, shelf] : from.shelves)
    if (to == nullptr || !to->shelves.contains(name_space)) shelves.emplace(name_space, shelf);
  return shelves;
}

// Indexes go on where the new name's counter stands, so that none comes twice.
std::shared_ptr<Shelf> renumbered(const Shelf& shelf, uint64_t& last_index) {
  auto moved = std::make_shared<Shelf>();
  for (const auto& [index, rule] : shelf.rules()) {
    Rule copy = *rule;
    copy.index = ++last_index;
    moved->add(std::make_shared<const Rule>(std::move(copy)));
  }
  return moved;
}

}  // namespace

Result<> Database::may_rename_head(std::string_view from, std::string_view to) const {
  const HeadState *going = state_->find(from), *there = state_->find(to);
  if (going == nullptr || there == nullptr) return {};
  for (const auto& [name_space, shelf] : moving(*going, there)) {
    TRY(state_->check_neighbours(to, name_space, *shelf, false));
    std::vector<const Rule*> coming;
    for (const auto& [index, rule] : shelf->rules()) coming.push_back(rule.get());
    TRY(state_->check_precedence(to, name_space, coming));
  }
  return {};
}

Result<> Database::rename_head(std::string_view from, std::string_view to) {
  TRY(may_rename_head(from, to));
  const HeadState* going = state_->find(from);
  if (going == nullptr || from == to) return {};
  HeadState& there = state_->heads[std::string(to)];
  const Shelves all = going->shelves, moved = moving(*going, &there);
  if (there.shelves.empty()) there.last_index = std::max(there.last_index, going->last_index);
  const bool keep_numbers = there.shelves.empty();
  for (const auto& [name_space, shelf] : all) {
    state_->replace(from, name_space, nullptr);
    if (moved.contains(name_space))
      state_->replace(to, name_space, keep_numbers ? shelf : renumbered(*shelf, there.last_index));
    state_->committed(name_space);
  }
  if (!from.empty()) state_->heads.erase(state_->heads.find(from));
  return {};
}

void Database::rename_head(Draft& draft, std::string_view from, std::string_view to) {
  const auto found = draft.shelves_.find(from);
  if (found == draft.shelves_.end()) return;
  auto node = draft.shelves_.extract(found);
  node.key() = std::string(to);
  draft.shelves_.insert(std::move(node));
}

}  // namespace adit::spd
