#include "sad/database.h"

#include <algorithm>
#include <random>
#include <thread>

#include "base/check.h"
#include "sad/database_entry.h"
#include "sad/inbound_owner.h"
#include "sad/validate.h"

namespace adit::sad {
namespace {
using D = Diagnostic;

std::string owner_of(const Sa& sa) {
  return sa.spec.name_space.empty() ? "the global namespace" : sa.spec.name_space;
}

std::unexpected<KeyError> not_yours(const Sa& sa) {
  return refuse(EPERM, D::other_namespace,
                fmt::format("SA {:#x} belongs to {}; name it, or override as administrator",
                            static_cast<uint32_t>(sa.spec.spi), owner_of(sa)));
}

// Where nothing was said, an SA is looked after when half its life passed without use (ipseckey(8)).
Lifetime idle_of(const Lifetime& given, const Lifetime& hard) {
  Lifetime idle = given;
  if (idle.add_seconds == 0) idle.add_seconds = hard.add_seconds / 2;
  if (idle.use_seconds == 0) idle.use_seconds = hard.use_seconds / 2;
  return idle;
}

void leave_direction_open(SaSpec& spec) {
  spec.direction_open = !spec.inbound && !spec.outbound;
  spec.inbound = spec.inbound || spec.direction_open;
  spec.outbound = spec.outbound || spec.direction_open;
}

void apply_lifetimes(SaRequest& request) {
  request.spec.hard = request.hard.value_or(Lifetime{});
  request.spec.soft = request.soft.value_or(Lifetime{});
  request.spec.idle = idle_of(request.idle.value_or(Lifetime{}), request.spec.hard);
}

// False: a worker ended the SA meanwhile, and what is dead stays dead.
bool set_state(Sa& sa, SaState state) {
  SaState now = sa.state;
  while (now != SaState::dead) {
    if (sa.state.compare_exchange_weak(now, state)) return true;
  }
  return false;
}

// Inbound and outbound share the number's meaning: the last that was seen or sent.
void apply_replay_value(Sa& sa, uint64_t value) {
  if (!sa.spec.outbound || sa.spec.inbound) {
    const InboundOwner owner(sa.inbound_owner);
    sa.replay.set_highest(value);
    if (sa.seen_mark != nullptr) sa.seen_mark->store(value);
  }
  if (!sa.spec.inbound || sa.spec.outbound) sa.set_last_sequence(value);
}
}  // namespace

SaName name_of(const Sa& sa) {
  return {sa.spec.type, sa.spec.spi, sa.spec.destination};
}

uint64_t replay_value_of(Sa& sa) {
  const bool listens = sa.spec.direction_open ? sa.shown_inbound && !sa.shown_outbound : !sa.spec.outbound;
  if (const uint64_t sent = sa.last_sequence(); sent != 0 && !listens) return sent;
  const InboundOwner owner(sa.inbound_owner);
  return sa.replay.highest();
}

Database::Database(const Clock& clock, const crypto::AlgorithmTable& algorithms, Settings settings)
    : clock_(clock), algorithms_(algorithms), settings_(std::move(settings)), table_(std::make_shared<const Table>()) {}
Database::~Database() = default;

Database::Entry* Database::find(const SaName& name) const {
  const auto entry = entries_.find(name);
  return entry == entries_.end() ? nullptr : entry->second.get();
}

bool Database::may_touch(const Sa& sa, const Requester& who) const {
  return who.override_owner || sa.spec.name_space == who.name_space;
}

KeyResult<Database::Entry*> Database::owned(const SaName& name, const Requester& who) const {
  Entry* entry = find(name);
  if (entry == nullptr) return refuse(ESRCH, D::sa_not_found);
  if (!may_touch(*entry->sa, who)) return not_yours(*entry->sa);
  return entry;
}

// Whose address the destination is was once asked here, and answered before the address had come. It need not be
// asked: what is received is for an address of this host, and what a tunnel sends comes from one.
void Database::show_direction(Sa& sa) const {
  const SaSpec& spec = sa.spec;
  if (!spec.direction_open || !settings_.is_local) return;
  sa.shown_inbound = settings_.is_local(spec.destination);
  sa.shown_outbound = !sa.shown_inbound || (!spec.source.is_unspecified() && settings_.is_local(spec.source));
}

KeyResult<> Database::check_quota(const std::string& name_space, size_t more) const {
  const auto quota = quotas_.find(name_space);
  if (quota == quotas_.end() || size_of(name_space) + more <= quota->second) return {};
  return refuse(EDQUOT, D::quota,
                fmt::format("{} has {} SAs, and its quota is {}", name_space, size_of(name_space), quota->second));
}

KeyResult<SaPtr> Database::insert(SaPtr sa) {
  if (entries_.size() >= settings_.maximum_sas) return refuse(ENOMEM, D::too_many);
  TRY(check_quota(sa->spec.name_space, 1));
  birth(*sa);
  sa->age = next_age_++;
  auto next = table_->with(sa);
  if (!next) return refuse(next.error().code, D::none, next.error().text);
  TRY(remember({&sa, 1}));
  table_ = std::move(*next);
  enter(sa);
  return sa;
}

void Database::birth(Sa& sa) const {
  sa.added = clock_.seconds();
  sa.added_wall = clock_.wall_seconds();
}

KeyResult<> Database::remember(std::span<const SaPtr> fresh) const {
  return settings_.remembrance == nullptr ? KeyResult<>{} : settings_.remembrance->begin(fresh);
}

// It is in the table already.
void Database::enter(SaPtr sa) {
  ++generation_;
  auto entry = std::make_unique<Entry>();
  entry->sa = sa;
  by_age_[sa->age] = entry.get();
  if (sa->state == SaState::larval) larval_.insert(sa->age);
  arm(*entry);
  entries_[name_of(*sa)] = std::move(entry);
  ++counts_[sa->spec.name_space];
  show_direction(*sa);
  events_.push_back(SaAdded{std::move(sa)});
}

KeyResult<> Database::exchange(const std::vector<SaPtr>& gone, const std::vector<SaPtr>& fresh) {
  if (entries_.size() - gone.size() + fresh.size() > settings_.maximum_sas) return refuse(ENOMEM, D::too_many);
  std::shared_ptr<const Table> table = table_;
  for (const SaPtr& sa : gone) table = table->without(*sa);
  for (const SaPtr& sa : fresh) {
    birth(*sa);
    sa->age = next_age_++;
    auto next = table->with(sa);
    if (!next) return refuse(next.error().code, D::none, next.error().text);
    table = std::move(*next);
  }
  TRY(remember(fresh));
  for (const SaPtr& sa : gone) {
    erase(name_of(*sa));
    events_.push_back(SaDeleted{sa});
  }
  table_ = std::move(table);
  for (const SaPtr& sa : fresh) enter(sa);
  for (const SaPtr& sa : fresh) {
    if (const auto other = pair_of(*sa)) (*other)->sa->pair = static_cast<uint32_t>(sa->spec.spi);
  }
  return {};
}

KeyResult<SaPtr> Database::add(SaRequest request, const Requester& who) {
  request.spec.name_space = who.name_space;
  TRY(validate(request, algorithms_));
  if (request.spec.type == SaType::esp && request.spec.encr == crypto::EncrAlg::none)
    request.spec.encr = crypto::EncrAlg::null;
  if (const Entry* there = find({request.spec.type, request.spec.spi, request.spec.destination}))
    return refuse(EEXIST, D::none,
                  fmt::format("an SA with spi {:#x} to {} is there already{}", static_cast<uint32_t>(request.spec.spi),
                              request.spec.destination.str(),
                              may_touch(*there->sa, who) ? "" : ", and belongs to " + owner_of(*there->sa)));
  leave_direction_open(request.spec);
  apply_lifetimes(request);
  auto made = Sa::make(std::move(request.spec));
  if (!made) return refuse(EINVAL, D::alg_not_in_framework, made.error().text);
  SaPtr sa = std::move(*made);
  Entry* other = nullptr;
  if (sa->pair != 0) {
    TRY_ASSIGN(other, check_pair(*sa));
  }
  if (request.replay_value) apply_replay_value(*sa, *request.replay_value);
  TRY(insert(sa));
  join(*sa, other);
  resolve_acquires(*sa);
  return sa;
}

KeyResult<SaPtr> Database::update(SaRequest request, const Requester& who) {
  const SaName name{request.spec.type, request.spec.spi, request.spec.destination};
  TRY_ASSIGN(Entry * entry, owned(name, who));
  const bool is_larval = entry->sa->state == SaState::larval;
  return is_larval ? complete(*entry, std::move(request)) : change(*entry, request);
}

// The SA takes the larval one's place in one step: there is no moment without it.
KeyResult<SaPtr> Database::complete(Entry& larval, SaRequest request) {
  request.spec.name_space = larval.sa->spec.name_space;
  if (request.spec.acquire_seq == 0) request.spec.acquire_seq = larval.sa->spec.acquire_seq;
  if (request.spec.source.is_unspecified()) request.spec.source = larval.sa->spec.source;
  TRY(validate(request, algorithms_));
  if (request.spec.type == SaType::esp && request.spec.encr == crypto::EncrAlg::none)
    request.spec.encr = crypto::EncrAlg::null;
  leave_direction_open(request.spec);
  apply_lifetimes(request);
  auto made = Sa::make(std::move(request.spec));
  if (!made) return refuse(EINVAL, D::alg_not_in_framework, made.error().text);
  SaPtr sa = std::move(*made);
  Entry* other = nullptr;
  if (sa->pair != 0) {
    TRY_ASSIGN(other, check_pair(*sa));
  }
  birth(*sa);
  sa->age = larval.sa->age;
  sa->was_larval = true;
  if (request.replay_value) apply_replay_value(*sa, *request.replay_value);
  auto next = table_->without(*larval.sa)->with(sa);
  if (!next) return refuse(next.error().code, D::none, next.error().text);
  TRY(remember({&sa, 1}));
  table_ = std::move(*next);
  larval_.erase(sa->age);
  ++generation_;
  larval.sa->state = SaState::dead;
  larval.sa = sa;
  larval.soft_told = false;
  arm(larval);
  show_direction(*sa);
  events_.push_back(SaAdded{sa});
  join(*sa, other);
  resolve_acquires(*sa);
  return sa;
}

KeyResult<> Database::change_lifetimes(Entry& entry, const SaRequest& request) {
  Sa& sa = *entry.sa;
  const Lifetime hard = request.hard.value_or(sa.hard()), soft = request.soft.value_or(sa.soft());
  const Lifetime idle = request.idle ? idle_of(*request.idle, hard) : sa.idle();
  TRY(validate_lifetimes(hard, soft, request.idle ? idle : Lifetime{}));
  sa.set_lifetimes(hard, soft, idle);
  return {};
}

KeyResult<SaPtr> Database::change(Entry& entry, const SaRequest& request) {
  SaPtr sa = entry.sa;
  if (!request.spec.auth_key.empty()) return refuse(EINVAL, D::auth_key_not_needed);
  if (!request.spec.encr_key.empty()) return refuse(EINVAL, D::encr_key_not_needed);
  if (request.state != SaState::mature && request.state != SaState::dying) return refuse(EINVAL, D::bad_state);
  if (request.replay_value && !sa->spec.esn && *request.replay_value > UINT32_MAX)
    return refuse(EOPNOTSUPP, D::bad_replay_counter);
  Entry* other = nullptr;
  if (request.spec.pair) {
    if (sa->pair != 0) return refuse(EINVAL, D::pair_already);
    sa->pair = static_cast<uint32_t>(*request.spec.pair);
    auto checked = check_pair(*sa);
    sa->pair = 0;
    if (!checked) return std::unexpected(checked.error());
    other = *checked;
  }
  if (sa->state == SaState::dead) return refuse(ESRCH, D::sa_not_valid);
  TRY(change_lifetimes(entry, request));
  if (other != nullptr) sa->pair = static_cast<uint32_t>(*request.spec.pair);
  join(*sa, other);
  if (request.replay_value) apply_replay_value(*sa, *request.replay_value);
  set_state(*sa, request.state);
  entry.soft_told = false;  // the limits are judged anew
  events_.push_back(SaChanged{sa});
  examine(entry);  // the new limits may have been passed already; may remove it
  return sa;
}

KeyResult<SaPtr> Database::update_pair(SaRequest request, const Requester& who) {
  const SaName name{request.spec.type, request.spec.spi, request.spec.destination};
  TRY_ASSIGN(Entry * entry, owned(name, who));
  if (request.spec.pair) return refuse(EINVAL, D::pair_unsuitable, "the SPI of the pair is not given with update-pair");
  SaPtr sa = entry->sa;
  TRY_ASSIGN(Entry * other, pair_of(*sa));
  const SaPtr other_sa = other->sa;
  if (!may_touch(*other_sa, who)) return not_yours(*other_sa);
  const Lifetime hard = sa->hard(), soft = sa->soft(), idle = sa->idle();
  TRY(change_lifetimes(*entry, request));
  if (auto changed = change_lifetimes(*other, request); !changed) {
    sa->set_lifetimes(hard, soft, idle);  // both or none
    return std::unexpected(changed.error());
  }
  events_.push_back(SaChanged{sa});
  events_.push_back(SaChanged{other_sa});
  const SaName other_name = name_of(*other_sa);
  examine(*entry);
  if (Entry* left = find(other_name)) examine(*left);
  return sa;
}

KeyResult<SaPtr> Database::get_spi(const SpiRequest& request, const Requester& who) {
  if (request.type != SaType::ah && request.type != SaType::esp) return refuse(EINVAL, D::unknown_satype);
  if (request.minimum > request.maximum) return refuse(EINVAL, D::malformed_range);
  if (request.minimum < 256) return refuse(EINVAL, D::reserved_spi);
  if (request.destination.is_unspecified()) return refuse(EINVAL, D::bad_destination);
  if (request.source.family() != request.destination.family()) return refuse(EINVAL, D::af_mismatch);

  const uint64_t range = uint64_t{request.maximum} - request.minimum + 1;
  std::random_device random;
  const uint64_t start = std::uniform_int_distribution<uint64_t>(0, range - 1)(random);
  // Of so many in a row one is free, if any is: there are no more than that many SAs.
  const uint64_t tries = std::min<uint64_t>(range, entries_.size() + 1);
  for (uint64_t i = 0; i < tries; ++i) {
    const Spi spi{static_cast<uint32_t>(request.minimum + (start + i) % range)};
    if (find({request.type, spi, request.destination}) != nullptr) continue;
    SaSpec spec;
    spec.spi = spi;
    spec.type = request.type;
    spec.source = request.source;
    spec.destination = request.destination;
    spec.inbound = true;
    spec.name_space = who.name_space;
    spec.acquire_seq = request.acquire_seq;
    return insert(Sa::larval(std::move(spec)));
  }
  return refuse(EEXIST, D::none, "every SPI of the range is taken");
}

KeyResult<SaPtr> Database::get(const SaName& name, const Requester& who) const {
  TRY_ASSIGN(const Entry* entry, owned(name, who));
  show_direction(*entry->sa);
  return entry->sa;
}

size_t Database::size_of(const std::string& name_space) const {
  const auto count = counts_.find(name_space);
  return count == counts_.end() ? 0 : count->second;
}

std::vector<std::string> Database::namespaces() const {
  std::vector<std::string> names;
  names.reserve(counts_.size());
  for (const auto& [name, count] : counts_) names.push_back(name);
  return names;
}

void Database::set_quota(const std::string& name_space, std::optional<size_t> sas) {
  if (sas)
    quotas_[name_space] = *sas;
  else
    quotas_.erase(name_space);
}

std::vector<SaPtr> Database::page(const DumpFilter& filter, uint64_t after, size_t count) const {
  std::vector<SaPtr> found;
  const uint64_t now = clock_.seconds();
  for (auto at = by_age_.upper_bound(after); at != by_age_.end() && found.size() < count; ++at) {
    const SaPtr& sa = at->second->sa;
    if (filter.type != SaType::unspec && sa->spec.type != filter.type) continue;
    if (!may_touch(*sa, filter.who)) continue;
    const uint64_t last = sa->last_used == 0 ? sa->added : sa->last_used.load();
    if (filter.unused_for != 0 && now - std::min(now, last) < filter.unused_for) continue;
    show_direction(*sa);
    found.push_back(sa);
  }
  return found;
}

std::vector<Event> Database::take_events() {
  return std::exchange(events_, {});
}

}  // namespace adit::sad
