#include "spd/database.h"

#include <algorithm>

#include "base/check.h"
#include "spd/database_state.h"

namespace adit::spd {

namespace {

std::vector<const Rule*> pointers_to(const std::vector<Rule>& rules) {
  std::vector<const Rule*> pointers;
  pointers.reserve(rules.size());
  for (const Rule& rule : rules) pointers.push_back(&rule);
  return pointers;
}

bool only_drops(const Rule& rule) {
  return std::ranges::all_of(rule.actions, [](const Action& action) { return action.verb == Verb::drop; });
}

}  // namespace

std::shared_ptr<const Head> HeadSet::find(std::string_view name) const {
  const auto* found = heads_.find(name);
  return found == nullptr ? nullptr : *found;
}

std::vector<std::string> HeadSet::names() const {
  std::vector<std::string> names;
  for_each([&](const std::string& name, const auto&) { names.push_back(name); });
  std::ranges::sort(names);
  return names;
}

void HeadSet::put(std::shared_ptr<const Head> head) {
  const std::string name = head->name();
  heads_.put(name, std::move(head));
}

std::set<std::string> changed_heads(const HeadSet& before, const HeadSet& after) {
  std::set<std::string> names;
  const auto look_at = [&](const std::string& name) {
    if (before.find(name) != after.find(name)) names.insert(name);
  };
  if (after.made_from == before.generation) {
    for (const std::string& name : after.changed) look_at(name);
  } else if (&before != &after) {
    before.for_each([&](const std::string& name, const auto&) { look_at(name); });
    after.for_each([&](const std::string& name, const auto&) { look_at(name); });
  }
  return names;
}

Database::Database(Limits limits) : state_(std::make_unique<State>()) {
  state_->limits = limits;
  state_->heads.emplace("", HeadState{.pinned = true});
}
Database::~Database() = default;
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;

void Database::set_quota(const std::string& name_space, std::optional<size_t> rules) {
  if (rules)
    state_->quotas[name_space] = *rules;
  else
    state_->quotas.erase(name_space);
}

std::shared_ptr<const HeadSet> Database::current() {
  if (state_->published->generation == state_->generation) return state_->published;
  auto next = std::make_shared<HeadSet>(*state_->published);
  next->made_from = std::exchange(next->generation, state_->generation);
  next->changed.clear();
  for (const auto& [name, unused] : state_->changed) {
    next->changed.insert(name);
    next->erase(name);
    const HeadState* head = state_->find(name);
    if (head == nullptr || head->shelves.empty()) continue;
    auto built = Head::build(name, rules_in_order(*head));
    CHECK(built.has_value());  // every rule was checked when it came
    next->put(std::move(*built));
  }
  state_->changed.clear();
  state_->published = std::move(next);
  return state_->published;
}

uint64_t Database::generation() const {
  return state_->generation;
}

uint64_t Database::generation_of(std::string_view name_space) const {
  const auto found = state_->spaces.find(name_space);
  return found == state_->spaces.end() ? 0 : found->second.generation;
}

size_t Database::size() const {
  return state_->rules;
}
size_t Database::size_of(std::string_view name_space) const {
  return state_->rules_of(name_space);
}

std::vector<std::string> Database::namespaces() const {
  std::vector<std::string> names;
  for (const auto& [name, space] : state_->spaces)
    if (space.rules > 0) names.push_back(name);
  return names;
}

void Database::pin_head(std::string_view head) {
  state_->heads[std::string(head)].pinned = true;
}

void Database::remove_head(std::string_view head) {
  HeadState* state = state_->find(head);
  if (state == nullptr) return;
  const Shelves gone = state->shelves;
  for (const auto& [owner, shelf] : gone) {
    state_->replace(head, owner, nullptr);
    state_->committed(owner);
  }
  if (!head.empty()) state_->heads.erase(state_->heads.find(head));
}

bool Database::knows_head(std::string_view head) const {
  return state_->find(head) != nullptr;
}

Result<uint64_t> Database::add(const Owner& owner, std::string_view head, std::vector<Rule> entries) {
  TRY(state_->check_room(owner.name_space, entries.size(), 0));
  TRY_ASSIGN(HeadState * state, state_->make_head(head));
  if (entries.empty()) return state->last_index;  // neither direction: succeeds and installs nothing
  Shelf coming;
  for (const Rule& rule : entries) coming.count(rule);
  TRY(state_->check_neighbours(head, owner.name_space, coming, owner.override_others));
  if (!owner.override_others) TRY(state_->check_precedence(head, owner.name_space, pointers_to(entries)));
  const size_t count = entries.size();
  auto& slot = state->shelves[owner.name_space];
  const bool fresh = !slot;
  if (auto shelved = shelve(own(slot), *state, head, owner.name_space, entries); !shelved) {
    if (fresh) state->shelves.erase(owner.name_space);
    return std::unexpected(std::move(shelved).error());
  }
  state_->rules += count;
  state_->space(owner.name_space).rules += count;
  state_->moved(head);
  state_->committed(owner.name_space);
  return state->last_index;
}

Result<> Database::remove(const Owner& owner, std::string_view head, uint64_t index) {
  HeadState* state = state_->find(head);
  if (state == nullptr) return unknown_head(head);
  for (const auto& [name_space, shelf] : state->shelves) {
    if (!shelf->has(index)) continue;
    if (name_space != owner.name_space && !owner.override_others)
      return fail(EPERM, "index {} of {} belongs to {}", index, spoken_head(head), spoken(name_space));
    state_->take_out(head, std::string(name_space), {index});
    return {};
  }
  return fail(ESRCH, "{} has no rule of index {}", spoken_head(head), index);
}

Result<> Database::remove(const Owner& owner, std::string_view head, const std::vector<Rule>& like) {
  HeadState* state = state_->find(head);
  if (state == nullptr) return unknown_head(head);
  std::vector<std::pair<std::string, std::vector<uint64_t>>> others;
  for (const auto& [name_space, shelf] : state->shelves) {
    auto found = matching(*shelf, like);
    if (found.empty()) continue;
    if (name_space == owner.name_space) {
      state_->take_out(head, owner.name_space, found);
      return {};
    }
    others.emplace_back(name_space, std::move(found));
  }
  if (others.empty()) return fail(ESRCH, "{} has no such rule", spoken_head(head));
  if (!owner.override_others)
    return fail(EPERM, "that rule of {} belongs to {}", spoken_head(head), spoken(others.front().first));
  for (const auto& [name_space, indexes] : others) state_->take_out(head, name_space, indexes);
  return {};
}

Result<> Database::flush(const Owner& owner, std::string_view head) {
  HeadState* state = state_->find(head);
  if (state == nullptr) return unknown_head(head);
  if (!shelf_in(state->shelves, owner.name_space)) return {};
  state_->replace(head, owner.name_space, nullptr);
  state_->committed(owner.name_space);
  return {};
}

void Database::flush_all(const Owner& owner) {
  bool any = false;
  for (auto& [name, state] : state_->heads) {
    if (!shelf_in(state.shelves, owner.name_space)) continue;
    state_->replace(name, owner.name_space, nullptr);
    any = true;
  }
  if (any) state_->committed(owner.name_space);
}

size_t Database::host_drops(std::string_view name_space) const {
  const auto shelf = shelf_in(state_->find("")->shelves, name_space);
  if (!shelf) return 0;
  return static_cast<size_t>(
      std::ranges::count_if(shelf->rules(), [](const auto& entry) { return only_drops(*entry.second); }));
}

void Database::retire(const std::string& name_space) {
  bool any = false;
  for (auto& [name, state] : state_->heads) {
    const auto going = shelf_in(state.shelves, name_space);
    if (!going) continue;
    auto staying = std::make_shared<Shelf>();
    for (const auto& [index, rule] : going->rules()) {
      if (name.empty() && only_drops(*rule)) staying->add(rule);
    }
    if (staying->size() == going->size()) continue;
    state_->replace(name, name_space, std::move(staying));
    any = true;
  }
  if (any) state_->committed(name_space);
}

}  // namespace adit::spd
