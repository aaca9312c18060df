#include "spd/database_state.h"

#include <algorithm>

#include "base/check.h"
#include "spd/conflict.h"

namespace adit::spd {

namespace {

// The rules of a shelf that are not in force already.
std::vector<const Rule*> new_on(const Shelf& coming, const Shelf* going) {
  std::vector<const Rule*> rules;
  for (const auto& [index, rule] : coming.rules()) {
    const auto standing = going == nullptr ? nullptr : going->find(index);
    if (standing != rule.get()) rules.push_back(rule.get());
  }
  return rules;
}

}  // namespace

Result<HeadState*> Database::State::make_head(std::string_view head) {
  if (HeadState* known = find(head)) return known;
  if (heads.size() >= limits.heads)
    std::erase_if(heads, [](const auto& entry) { return !entry.second.pinned && entry.second.shelves.empty(); });
  if (heads.size() >= limits.heads)
    return fail(EDQUOT, "there are {} policy heads already, which is the limit", limits.heads);
  return &heads.emplace(std::string(head), HeadState{}).first->second;
}

Result<> Database::State::check_room(std::string_view name_space, size_t adding, size_t removing) const {
  if (adding <= removing) return {};
  const size_t more = adding - removing;
  if (rules + more > limits.rules) return fail(EDQUOT, "the policy would have more than {} entries", limits.rules);
  if (rules_of(name_space) + more > quota_of(name_space))
    return fail(EDQUOT, "{} would have more than {} entries", spoken(name_space), quota_of(name_space));
  return {};
}

// What the rules of one namespace may do to those of others in the same head.
Result<> Database::State::check_neighbours(std::string_view head, std::string_view name_space, const Shelf& coming,
                                           bool override) const {
  const auto found = heads.find(head);
  if (found == heads.end()) return {};
  for (const auto& [neighbour, shelf] : found->second.shelves) {
    if (neighbour == name_space) continue;
    if ((coming.of_mode(Mode::tunnel) > 0 && shelf->of_mode(Mode::transport) > 0) ||
        (coming.of_mode(Mode::transport) > 0 && shelf->of_mode(Mode::tunnel) > 0))
      return mixed(head);
    if (!head.empty() && !override && coming.passing() > 0 && shelf->closing() > 0)
      return fail(EPERM,
                  "{} belongs to {}, which protects it: a rule that lets clear text pass needs its namespace or "
                  "an override",
                  spoken_head(head), spoken(neighbour));
  }
  return {};
}

// No namespace decides traffic that a rule of another decides, be it to let it pass, to weaken it or to drop it. What a
// rule of its own decides already stays its own.
Result<> Database::State::check_precedence(std::string_view head, std::string_view name_space,
                                           const std::vector<const Rule*>& coming) const {
  const auto found = heads.find(head);
  if (found == heads.end() || coming.empty()) return {};
  const uint32_t highest = (*std::ranges::max_element(coming, {}, &Rule::priority))->priority;
  const auto own = shelf_in(found->second.shelves, name_space);
  const auto decided_before = [&](const Rule& rule, const Rule& standing) {
    return own && std::ranges::any_of(own->rules(), [&](const auto& entry) {
             const Rule& mine = *entry.second;
             const bool first = mine.priority > standing.priority ||
                                (mine.priority == standing.priority && mine.index < standing.index);
             return first && covers(mine, rule, standing);
           });
  };
  for (const auto& [neighbour, shelf] : found->second.shelves) {
    if (neighbour == name_space) continue;
    for (const auto& [index, standing] : shelf->rules()) {
      if (standing->priority > highest) continue;
      for (const Rule* rule : coming) {
        if (!takes_from(*rule, *standing, head.empty()) || decided_before(*rule, *standing)) continue;
        const Origin& origin = rule->origin;
        return fail(EPERM,
                    "index {} of {} belongs to {} and decides traffic that {} would decide: give it a lower priority, "
                    "narrow it, or override as administrator",
                    index, spoken_head(head), spoken(neighbour),
                    origin.line == 0 ? "this rule" : fmt::format("the rule of {}:{}", origin.file, origin.line));
      }
    }
  }
  return {};
}

void Database::State::moved(std::string_view head) {
  changed.try_emplace(std::string(head), true);
}

// REQUIRES: checked. Counts and marks; does not commit.
void Database::State::replace(std::string_view head, std::string_view name_space, std::shared_ptr<Shelf> shelf) {
  HeadState* state = find(head);
  CHECK(state != nullptr);
  const auto old = shelf_in(state->shelves, name_space);
  const size_t before = old ? old->size() : 0, after = shelf ? shelf->size() : 0;
  rules = rules - before + after;
  space(name_space).rules += after - before;
  put(state->shelves, name_space, std::move(shelf));
  moved(head);
}

// REQUIRES: the indexes are there. Edits in place and commits.
void Database::State::take_out(std::string_view head, const std::string& name_space,
                               const std::vector<uint64_t>& indexes) {
  Shelves& shelves = find(head)->shelves;
  const auto slot = shelves.find(name_space);
  Shelf& shelf = own(slot->second);
  for (const uint64_t index : indexes) shelf.remove(index);
  rules -= indexes.size();
  space(name_space).rules -= indexes.size();
  if (shelf.size() == 0) shelves.erase(slot);
  moved(head);
  committed(name_space);
}

std::vector<std::string> Database::State::heads_of(const Draft& draft) const {
  std::vector<std::string> names = draft.heads();
  for (const auto& [name, state] : heads)
    if (shelf_in(state.shelves, draft.name_space_) && !draft.has_head(name)) names.push_back(name);
  return names;
}

Result<> Database::State::check_flip(const Draft& draft, const std::vector<std::string>& names,
                                     bool override_others) const {
  size_t adding = 0, removing = 0;
  for (const std::string& name : names) {
    const auto coming = shelf_in(draft.shelves_, name);
    const HeadState* state = find(name);
    const auto going = state == nullptr ? nullptr : shelf_in(state->shelves, draft.name_space_);
    adding += coming ? coming->size() : 0;
    removing += going ? going->size() : 0;
    if (!coming) continue;
    TRY(check_neighbours(name, draft.name_space_, *coming, override_others));
    if (!override_others) TRY(check_precedence(name, draft.name_space_, new_on(*coming, going.get())));
  }
  return check_room(draft.name_space_, adding, removing);
}

Result<uint64_t> Database::State::flip(Draft& draft, const std::vector<std::string>& names, bool force,
                                       bool override_others) {
  const uint64_t now = spaces.contains(draft.name_space_) ? space(draft.name_space_).generation : 0;
  if (draft.based_on_ != now && !force)
    return fail(EAGAIN, "the rules of {} changed since this draft was made; clone again, or force the flip",
                spoken(draft.name_space_));
  TRY(check_flip(draft, names, override_others));
  for (const std::string& name : names) TRY(make_head(name));

  for (const std::string& name : names) {
    auto coming = shelf_in(draft.shelves_, name);
    auto going = shelf_in(find(name)->shelves, draft.name_space_);
    if (coming == going) continue;
    HeadState& head = *find(name);  // made anew since the draft was: its indexes must not come twice
    if (coming) head.last_index = std::max(head.last_index, coming->rules().rbegin()->first);
    replace(name, draft.name_space_, std::move(coming));
    put(draft.shelves_, name, std::move(going));
  }
  committed(draft.name_space_);
  draft.based_on_ = generation;
  return generation;
}

}  // namespace adit::spd
