// What time, use and waiting do: lifetimes, larval SAs, acquires.
#include <algorithm>

#include "sad/database.h"
#include "sad/database_entry.h"

namespace adit::sad {
namespace {
constexpr uint32_t kFirstSeq = 0x80000000u;  // key managers count from the other end
}  // namespace

void Database::arm(Entry& entry) {
  if (entry.armed_at != 0) timers_.erase({entry.armed_at, entry.sa->age});
  const uint64_t now = clock_.seconds();
  std::optional<uint64_t> at;
  if (entry.sa->state == SaState::larval)
    at = entry.sa->added + static_cast<uint64_t>(settings_.larval_wait.count());
  else
    at = entry.sa->next_due(now);
  entry.armed_at = at.value_or(0);
  if (at) timers_.insert({*at, entry.sa->age});
}

// SAs leave by hard limit and exhausted sequence numbers; soft makes them DYING, so that a successor can be made in
// peace; idle only asks the key manager to see whether the peer is alive, once for each silence.
void Database::expire(Entry& entry, Expiry expiry) {
  const SaPtr sa = entry.sa;
  if (expiry == Expiry::soft) {
    SaState mature = SaState::mature;  // a worker may have gone further meanwhile
    sa->state.compare_exchange_strong(mature, SaState::dying);
    entry.soft_told = true;
    events_.push_back(SaExpired{sa, expiry, false});
  } else if (expiry == Expiry::idle) {
    if (entry.idle_told_at_use == sa->last_used) return;
    entry.idle_told_at_use = sa->last_used;
    events_.push_back(SaExpired{sa, expiry, false});
  } else {
    erase(name_of(*sa));
    events_.push_back(SaExpired{sa, expiry, true});
  }
}

void Database::examine(Entry& entry) {
  const uint64_t now = clock_.seconds();
  if (entry.sa->state == SaState::larval) {
    if (now >= entry.sa->added + static_cast<uint64_t>(settings_.larval_wait.count()))
      expire(entry, Expiry::hard);
    else
      arm(entry);
    return;
  }
  const SaState state = entry.sa->state;
  Expiry due = entry.sa->due(now);
  // A worker that reaches a limit acts at once and reports afterwards: what it has done is still to be told.
  if (state == SaState::dead && due != Expiry::hard) due = Expiry::sequence;
  if (state == SaState::dying && due == Expiry::none && !entry.soft_told && entry.sa->soft_reached(now))
    due = Expiry::soft;
  if (due == Expiry::hard || due == Expiry::sequence) return expire(entry, due);
  if (due != Expiry::none) expire(entry, due);
  arm(entry);
}

void Database::reached(const SaName& name, Expiry expiry) {
  Entry* const entry = find(name);
  if (entry == nullptr) return;
  if (expiry == Expiry::soft) {
    expire(*entry, expiry);
    arm(*entry);
  } else if (expiry == Expiry::hard || expiry == Expiry::sequence) {
    expire(*entry, expiry);
  } else {
    examine(*entry);
  }
}

void Database::tick() {
  const uint64_t now = clock_.seconds();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const uint64_t age = timers_.begin()->second;
    timers_.erase(timers_.begin());
    Entry& entry = *by_age_.at(age);
    entry.armed_at = 0;
    examine(entry);
  }
  std::vector<uint32_t> over;
  for (const auto& [seq, acquire] : acquires_) {
    if (acquire.deadline <= clock_.now()) over.push_back(seq);
  }
  for (const uint32_t seq : over) end_acquire(seq, false, ETIMEDOUT);
}

std::optional<MonoTime> Database::next_deadline() const {
  std::optional<MonoTime> next;
  if (!timers_.empty()) {
    const uint64_t now = clock_.seconds(), at = timers_.begin()->first;
    // Far limits are looked at once a day: neither the sum nor a timer can overflow.
    next = clock_.now() + Seconds(std::min<uint64_t>(at > now ? at - now : 0, 86'400));
  }
  for (const auto& [seq, acquire] : acquires_) {
    if (!next || acquire.deadline < *next) next = acquire.deadline;
  }
  return next;
}

bool Database::acquire(const AcquireKey& key, const Endpoints& outer, const spd::Rule& rule, const net::Flow& flow) {
  if (acquire_by_key_.contains(key) || acquires_.size() >= settings_.maximum_acquires) return false;
  while (acquires_.contains(next_seq_)) next_seq_ = next_seq_ == UINT32_MAX ? kFirstSeq : next_seq_ + 1;
  const uint32_t seq = next_seq_;
  next_seq_ = next_seq_ == UINT32_MAX ? kFirstSeq : next_seq_ + 1;
  const Acquire& made = acquires_[seq] = Acquire{seq, key, outer, rule, flow, clock_.now() + settings_.acquire_wait};
  acquire_by_key_[key] = seq;
  acquire_by_remote_.insert({outer.remote, seq});
  events_.push_back(AcquireRaised{made});
  return true;
}

void Database::end_acquire(uint32_t seq, bool found, int error) {
  const auto at = acquires_.find(seq);
  if (at == acquires_.end()) return;
  acquire_by_key_.erase(at->second.key);
  acquire_by_remote_.erase({at->second.outer.remote, seq});
  events_.push_back(AcquireEnded{std::move(at->second), found, error});
  acquires_.erase(at);
}

// A new SA may be what a packet waits for, whether or not its maker knew of the ACQUIRE.
void Database::resolve_acquires(const Sa& sa) {
  std::vector<uint32_t> served;
  for (auto at = acquire_by_remote_.lower_bound({sa.spec.destination, 0});
       at != acquire_by_remote_.end() && at->first == sa.spec.destination; ++at) {
    const Acquire& acquire = acquires_.at(at->second);
    if (table_->select(acquire.rule, acquire.outer, acquire.flow).found()) served.push_back(at->second);
  }
  for (const uint32_t seq : served) end_acquire(seq, true, 0);
}

KeyResult<> Database::acquire_failed(uint32_t seq, int error, const Requester* who) {
  std::vector<SaPtr> larval;
  for (const uint64_t age : larval_) {
    const SaPtr& sa = by_age_.at(age)->sa;
    if (who != nullptr && !may_touch(*sa, *who)) continue;
    if (seq != 0 && sa->spec.acquire_seq == seq) larval.push_back(sa);
  }
  for (const SaPtr& sa : larval) {
    erase(name_of(*sa));
    events_.push_back(SaDeleted{sa});
  }
  const bool waits = acquires_.contains(seq);
  end_acquire(seq, false, error);
  if (!waits && larval.empty()) return refuse(ESRCH, Diagnostic::none, "no ACQUIRE of that sequence number is open");
  return {};
}

const Acquire* Database::find_acquire(uint32_t seq) const {
  const auto at = acquires_.find(seq);
  return at == acquires_.end() ? nullptr : &at->second;
}

void Database::forget_acquires(const std::string& link) {
  std::vector<uint32_t> gone;
  for (const auto& [seq, acquire] : acquires_) {
    if (acquire.key.link == link) gone.push_back(seq);
  }
  for (const uint32_t seq : gone) end_acquire(seq, false, ECANCELED);
}

}  // namespace adit::sad
