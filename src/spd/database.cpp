#include "spd/database.h"

#include <algorithm>

#include "base/check.h"
#include "spd/shelf.h"

namespace adit::spd {

std::shared_ptr<const Head> HeadSet::find(std::string_view name) const {
  const auto found = heads.find(name);
  return found == heads.end() ? nullptr : found->second;
}

namespace {

using Shelves = std::map<std::string, std::shared_ptr<Shelf>, std::less<>>;

// What may be edited in place: unshared, because a draft may hold the same shelf.
Shelf& own(std::shared_ptr<Shelf>& shelf) {
  if (!shelf) shelf = std::make_shared<Shelf>();
  else if (shelf.use_count() > 1) shelf = std::make_shared<Shelf>(*shelf);
  return *shelf;
}

std::shared_ptr<Shelf> shelf_in(const Shelves& shelves, std::string_view key) {
  const auto found = shelves.find(key);
  return found == shelves.end() ? nullptr : found->second;
}

// Puts it back, or takes it out when nothing is left on it.
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

std::string_view spoken(std::string_view name_space) { return name_space.empty() ? "the global namespace" : name_space; }
std::string spoken_head(std::string_view head) { return head.empty() ? "the host" : fmt::format("tunnel {}", head); }

std::unexpected<Error> unknown_head(std::string_view head) {
  return fail(ENOENT, "no tunnel and no policy by the name of {}", head.empty() ? "the host" : head);
}
std::unexpected<Error> mixed(std::string_view head) {
  return fail(EBUSY, "tunnel {} would mix 'negotiate tunnel' and 'negotiate transport'; remove the rules of one first", head);
}

struct HeadState {
  Shelves shelves;                 // by namespace
  uint64_t last_index = 0;
  bool pinned = false;
};

// Of all namespaces, by index.
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

}  // namespace

// ---- Draft

size_t Draft::size() const {
  size_t total = 0;
  for (const auto& [head, shelf] : shelves_) total += shelf->size();
  return total;
}

bool Draft::has_head(std::string_view head) const { return shelves_.find(head) != shelves_.end(); }

std::vector<Rule> Draft::rules(std::string_view head) const {
  std::vector<Rule> rules;
  if (const auto shelf = shelf_in(shelves_, head))
    for (const auto& [index, rule] : shelf->rules()) rules.push_back(*rule);
  return rules;
}

std::vector<std::string> Draft::heads() const {
  std::vector<std::string> names;
  for (const auto& [head, shelf] : shelves_) names.push_back(head);
  return names;
}

// ---- Database

struct Database::State {
  struct Space {
    uint64_t generation = 0;
    size_t rules = 0;
  };
  Limits limits;
  std::map<std::string, HeadState, std::less<>> heads;
  std::map<std::string, Space, std::less<>> spaces;
  size_t rules = 0;
  uint64_t generation = 0;
  std::shared_ptr<const HeadSet> published = std::make_shared<HeadSet>();
  std::map<std::string, bool, std::less<>> changed;      // heads to build again

  HeadState* find(std::string_view head) {
    const auto found = heads.find(head);
    return found == heads.end() ? nullptr : &found->second;
  }
  Space& space(std::string_view name) {
    const auto found = spaces.find(name);
    return found != spaces.end() ? found->second : spaces[std::string(name)];
  }
  size_t rules_of(std::string_view name) const {
    const auto found = spaces.find(name);
    return found == spaces.end() ? 0 : found->second.rules;
  }

  Result<HeadState*> make_head(std::string_view head);
  Result<> check_room(std::string_view name_space, size_t adding, size_t removing) const;
  Result<> check_neighbours(std::string_view head, std::string_view name_space, const Shelf& coming, bool override) const;
  void replace(std::string_view head, std::string_view name_space, std::shared_ptr<Shelf> shelf);
  void take_out(std::string_view head, const std::string& name_space, const std::vector<uint64_t>& indexes);
  void moved(std::string_view head);
  void committed(std::string_view name_space) {
    ++generation;
    space(name_space).generation = generation;
  }
  Result<uint64_t> flip(Draft& draft, const std::vector<std::string>& names, bool force, bool override_others);
};

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
  if (rules_of(name_space) + more > limits.rules_of_namespace)
    return fail(EDQUOT, "{} would have more than {} entries", spoken(name_space), limits.rules_of_namespace);
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
      return fail(EPERM, "{} belongs to {}, which protects it: a rule that lets clear text pass needs its namespace or "
                  "an override", spoken_head(head), spoken(neighbour));
  }
  return {};
}

void Database::State::moved(std::string_view head) { changed.try_emplace(std::string(head), true); }

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

Database::Database(Limits limits) : state_(std::make_unique<State>()) {
  state_->limits = limits;
  state_->heads.emplace("", HeadState{.pinned = true});
}
Database::~Database() = default;
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;

std::shared_ptr<const HeadSet> Database::current() {
  if (state_->published->generation == state_->generation) return state_->published;
  auto next = std::make_shared<HeadSet>(*state_->published);
  next->generation = state_->generation;
  for (const auto& [name, unused] : state_->changed) {
    next->heads.erase(name);
    const HeadState* head = state_->find(name);
    if (head == nullptr || head->shelves.empty()) continue;
    auto built = Head::build(name, rules_in_order(*head));
    CHECK(built.has_value());      // every rule was checked when it came
    next->heads.emplace(name, std::move(*built));
  }
  state_->changed.clear();
  state_->published = std::move(next);
  return state_->published;
}

uint64_t Database::generation() const { return state_->generation; }

uint64_t Database::generation_of(std::string_view name_space) const {
  const auto found = state_->spaces.find(name_space);
  return found == state_->spaces.end() ? 0 : found->second.generation;
}

size_t Database::size() const { return state_->rules; }
size_t Database::size_of(std::string_view name_space) const { return state_->rules_of(name_space); }

std::vector<std::string> Database::namespaces() const {
  std::vector<std::string> names;
  for (const auto& [name, space] : state_->spaces)
    if (space.rules > 0) names.push_back(name);
  return names;
}

void Database::pin_head(std::string_view head) { state_->heads[std::string(head)].pinned = true; }

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

bool Database::knows_head(std::string_view head) const { return state_->find(head) != nullptr; }

namespace {

// Checks the entries of one ADDRULE against a shelf and puts them on a copy of it; nothing else changes.
Result<> shelve(Shelf& shelf, HeadState& state, std::string_view head, std::string_view name_space,
                std::vector<Rule>& entries) {
  for (const Rule& rule : entries) {
    TRY(check_rule(head, rule));
    if (rule.mode != entries.front().mode ||
        (rule.mode == Mode::tunnel && shelf.of_mode(Mode::transport) > 0) ||
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

// The indexes on a shelf whose traffic is that of one of `like`.
std::vector<uint64_t> matching(const Shelf& shelf, const std::vector<Rule>& like) {
  std::vector<uint64_t> found;
  for (const auto& [index, rule] : shelf.rules())
    if (std::ranges::any_of(like, [&](const Rule& one) { return same_traffic(one, *rule); })) found.push_back(index);
  return found;
}

}  // namespace

Result<uint64_t> Database::add(const Owner& owner, std::string_view head, std::vector<Rule> entries) {
  TRY(state_->check_room(owner.name_space, entries.size(), 0));
  TRY_ASSIGN(HeadState* state, state_->make_head(head));
  if (entries.empty()) return state->last_index;      // neither direction: succeeds and installs nothing
  Shelf coming;
  for (const Rule& rule : entries) coming.count(rule);
  TRY(state_->check_neighbours(head, owner.name_space, coming, owner.override_others));
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
  TRY_ASSIGN(HeadState* state, state_->make_head(head));
  if (entries.empty()) return state->last_index;
  if (draft.size() + entries.size() > state_->limits.rules_of_namespace)
    return fail(EDQUOT, "the draft would have more than {} entries", state_->limits.rules_of_namespace);
  auto shelf = shelf_in(draft.shelves_, head);
  const auto slot = draft.shelves_.find(head);
  if (slot != draft.shelves_.end()) slot->second.reset();   // the draft's own reference is not somebody else's
  Shelf& editable = own(shelf);
  auto shelved = shelve(editable, *state, head, draft.name_space_, entries);
  put(draft.shelves_, head, std::move(shelf));
  if (!shelved) return std::unexpected(std::move(shelved).error());
  return state->last_index;
}

Result<> Database::remove(Draft& draft, std::string_view head, uint64_t index) {
  if (!knows_head(head)) return unknown_head(head);
  auto shelf = shelf_in(draft.shelves_, head);
  if (!shelf || !shelf->has(index)) return fail(ESRCH, "the draft has no rule of index {} for {}", index, spoken_head(head));
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

void Database::flush_all(Draft& draft) { draft.shelves_.clear(); }

Result<uint64_t> Database::State::flip(Draft& draft, const std::vector<std::string>& names, bool force,
                                       bool override_others) {
  const uint64_t now = spaces.contains(draft.name_space_) ? space(draft.name_space_).generation : 0;
  if (draft.based_on_ != now && !force)
    return fail(EAGAIN, "the rules of {} changed since this draft was made; clone again, or force the flip",
                spoken(draft.name_space_));
  size_t adding = 0, removing = 0;
  for (const std::string& name : names) {
    const auto coming = shelf_in(draft.shelves_, name);
    const HeadState* state = find(name);
    const auto going = state == nullptr ? nullptr : shelf_in(state->shelves, draft.name_space_);
    adding += coming ? coming->size() : 0;
    removing += going ? going->size() : 0;
    if (coming) TRY(check_neighbours(name, draft.name_space_, *coming, override_others));
  }
  TRY(check_room(draft.name_space_, adding, removing));
  for (const std::string& name : names) TRY(make_head(name));

  for (const std::string& name : names) {
    auto coming = shelf_in(draft.shelves_, name);
    auto going = shelf_in(find(name)->shelves, draft.name_space_);
    if (coming == going) continue;
    HeadState& head = *find(name);      // made anew since the draft was: its indexes must not come twice
    if (coming) head.last_index = std::max(head.last_index, coming->rules().rbegin()->first);
    replace(name, draft.name_space_, std::move(coming));
    put(draft.shelves_, name, std::move(going));
  }
  committed(draft.name_space_);
  draft.based_on_ = generation;
  return generation;
}

Result<uint64_t> Database::flip_all(Draft& draft, bool force, bool override_others) {
  std::vector<std::string> names = draft.heads();
  for (const auto& [name, state] : state_->heads)
    if (shelf_in(state.shelves, draft.name_space_) && !draft.has_head(name)) names.push_back(name);
  return state_->flip(draft, names, force, override_others);
}

Result<uint64_t> Database::flip(Draft& draft, std::string_view head, bool force, bool override_others) {
  if (!knows_head(head) && !draft.has_head(head))
    return fail(ESRCH, "no tunnel and no policy by the name of {}", head);
  return state_->flip(draft, {std::string(head)}, force, override_others);
}

}  // namespace adit::spd
