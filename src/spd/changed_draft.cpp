// Drafts made of changes: what stays is the very same rule.
#include <algorithm>

#include "spd/database_state.h"

namespace adit::spd {
namespace {

bool same_but_index(const Rule& a, const Rule& b) {
  return a.priority == b.priority && a.origin.file == b.origin.file && a.origin.line == b.origin.line;
}

// REQUIRES: every index is on `old`.
std::shared_ptr<Shelf> shelf_of(const Shelf* old, std::vector<Rule> kept, const std::string& name_space) {
  auto shelf = std::make_shared<Shelf>();
  std::ranges::sort(kept, {}, &Rule::index);
  for (Rule& rule : kept) {
    const auto& standing = old->rules().at(rule.index);
    rule.name_space = name_space;
    shelf->add(same_but_index(*standing, rule) ? standing : std::make_shared<const Rule>(std::move(rule)));
  }
  return shelf;
}

}  // namespace

Result<> Database::apply_change(Draft& draft, const HeadChange& change) {
  const auto old = shelf_in(draft.shelves_, change.head);
  const size_t others = draft.size() - (old ? old->size() : 0), quota = state_->quota_of(draft.name_space_);
  if (others + change.kept.size() + change.added.size() > quota)
    return fail(EDQUOT, "{} would have more than {} entries", spoken(draft.name_space_), quota);
  auto shelf = shelf_of(old.get(), change.kept, draft.name_space_);
  TRY_ASSIGN(HeadState * state, state_->make_head(change.head));
  auto added = change.added;
  TRY(shelve(*shelf, *state, change.head, draft.name_space_, added));
  put(draft.shelves_, change.head, std::move(shelf));
  return {};
}

Result<Draft> Database::changed_draft(std::string name_space, const std::vector<HeadChange>& changes) {
  Draft draft = empty_draft(std::move(name_space));
  clone_all(draft);
  for (const HeadChange& change : changes)
    if (change.changes_anything()) TRY(apply_change(draft, change));
  return draft;
}

Result<> Database::rehearse(const std::string& name_space, const std::vector<HeadChange>& changes) {
  std::map<std::string, std::optional<uint64_t>> indexes;  // nullopt: a head that is not there yet
  for (const HeadChange& change : changes) {
    const HeadState* head = state_->find(change.head);
    indexes[change.head] = head == nullptr ? std::nullopt : std::optional(head->last_index);
  }
  const auto draft = changed_draft(name_space, changes);
  const Result<> checked =
      draft ? state_->check_flip(*draft, state_->heads_of(*draft), false) : std::unexpected(draft.error());
  for (const auto& [name, index] : indexes) {
    const auto head = state_->heads.find(name);
    if (head == state_->heads.end()) continue;
    if (index)
      head->second.last_index = *index;
    else
      state_->heads.erase(head);
  }
  return checked;
}

}  // namespace adit::spd
