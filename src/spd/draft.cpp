// Drafts: what a namespace shall have, edited apart and swapped in whole.
#include "spd/database_state.h"

namespace adit::spd {

size_t Draft::size() const {
  size_t total = 0;
  for (const auto& [head, shelf] : shelves_) total += shelf->size();
  return total;
}

size_t Draft::bytes() const {
  size_t total = 0;
  for (const auto& [head, shelf] : shelves_) total += shelf->bytes();
  return total;
}

bool Draft::has_head(std::string_view head) const {
  return shelves_.find(head) != shelves_.end();
}

std::vector<Rule> Draft::rules(std::string_view head) const {
  std::vector<Rule> rules;
  if (const auto shelf = shelf_in(shelves_, head))
    for (const auto& [index, rule] : shelf->rules()) rules.push_back(*rule);
  return rules;
}

std::vector<const Rule*> Draft::rule_pointers(std::string_view head) const {
  std::vector<const Rule*> rules;
  if (const auto shelf = shelf_in(shelves_, head))
    for (const auto& [index, rule] : shelf->rules()) rules.push_back(rule.get());
  return rules;
}

std::vector<std::string> Draft::heads() const {
  std::vector<std::string> names;
  names.reserve(shelves_.size());
  for (const auto& [head, shelf] : shelves_) names.push_back(head);
  return names;
}

Draft Database::empty_draft(std::string name_space) const {
  Draft draft;
  draft.name_space_ = std::move(name_space);
  draft.based_on_ = generation_of(draft.name_space_);
  return draft;
}

void Database::clone_all(Draft& draft) const {
  draft.shelves_.clear();
  for (const auto& [name, state] : state_->heads) put(draft.shelves_, name, shelf_in(state.shelves, draft.name_space_));
  draft.based_on_ = generation_of(draft.name_space_);
}

Result<> Database::clone(Draft& draft, std::string_view head) const {
  const HeadState* state = state_->find(head);
  if (state == nullptr) return unknown_head(head);
  put(draft.shelves_, head, shelf_in(state->shelves, draft.name_space_));
  draft.based_on_ = generation_of(draft.name_space_);
  return {};
}

Result<uint64_t> Database::add(Draft& draft, std::string_view head, std::vector<Rule> entries) {
  TRY_ASSIGN(HeadState * state, state_->make_head(head));
  if (entries.empty()) return state->last_index;
  if (const size_t quota = state_->quota_of(draft.name_space_); draft.size() + entries.size() > quota)
    return fail(EDQUOT, "{} would have more than {} entries", spoken(draft.name_space_), quota);
  auto shelf = shelf_in(draft.shelves_, head);
  const auto slot = draft.shelves_.find(head);
  if (slot != draft.shelves_.end()) slot->second.reset();  // the draft's own reference is not somebody else's
  Shelf& editable = own(shelf);
  auto shelved = shelve(editable, *state, head, draft.name_space_, entries);
  put(draft.shelves_, head, std::move(shelf));
  if (!shelved) return std::unexpected(std::move(shelved).error());
  return state->last_index;
}

Result<> Database::remove(Draft& draft, std::string_view head, uint64_t index) {
  if (!knows_head(head)) return unknown_head(head);
  auto shelf = shelf_in(draft.shelves_, head);
  if (!shelf || !shelf->has(index))
    return fail(ESRCH, "the draft has no rule of index {} for {}", index, spoken_head(head));
  own(shelf).remove(index);
  put(draft.shelves_, head, std::move(shelf));
  return {};
}

Result<> Database::remove(Draft& draft, std::string_view head, const std::vector<Rule>& like) {
  if (!knows_head(head)) return unknown_head(head);
  auto shelf = shelf_in(draft.shelves_, head);
  const auto found = shelf ? matching(*shelf, like) : std::vector<uint64_t>{};
  if (found.empty()) return fail(ESRCH, "the draft has no such rule for {}", spoken_head(head));
  Shelf& editable = own(shelf);
  for (const uint64_t index : found) editable.remove(index);
  put(draft.shelves_, head, std::move(shelf));
  return {};
}

Result<> Database::flush(Draft& draft, std::string_view head) {
  if (!knows_head(head) && !draft.has_head(head)) return unknown_head(head);
  put(draft.shelves_, head, nullptr);
  return {};
}

void Database::flush_all(Draft& draft) {
  draft.shelves_.clear();
}

Result<uint64_t> Database::flip_all(Draft& draft, bool force, bool override_others) {
  return state_->flip(draft, state_->heads_of(draft), force, override_others);
}

Result<uint64_t> Database::flip(Draft& draft, std::string_view head, bool force, bool override_others) {
  if (!knows_head(head) && !draft.has_head(head)) return fail(ESRCH, "no tunnel and no policy by the name of {}", head);
  return state_->flip(draft, {std::string(head)}, force, override_others);
}

Result<> Database::take_back_by(Draft& before, const std::function<Result<uint64_t>()>& flip) {
  const uint64_t generation = before.based_on_;
  TRY(flip());
  state_->space(before.name_space_).generation = generation;
  return {};
}

Result<> Database::take_back(Draft before) {
  return take_back_by(before, [&] { return flip_all(before, true, true); });
}

Result<> Database::take_back(Draft before, std::string_view head) {
  return take_back_by(before, [&] { return flip(before, head, true, true); });
}

}  // namespace adit::spd
