// How SAs leave the database: by request, by flush, by pair.
#include <algorithm>

#include "sad/database.h"
#include "sad/database_entry.h"

namespace adit::sad {
namespace {
using D = Diagnostic;
}  // namespace

// The other half: same type, the pair's SPI, towards our source.
KeyResult<Database::Entry*> Database::pair_of(const Sa& sa) const {
  Entry* other = sa.pair == 0 ? nullptr : find({sa.spec.type, Spi{sa.pair.load()}, sa.spec.source});
  if (other == nullptr) return refuse(ESRCH, D::pair_not_found);
  return other;
}

// May `sa`, which names a pair, be joined with it? An inbound SA names the outbound one (pf_key.md §2.1).
KeyResult<Database::Entry*> Database::check_pair(const Sa& sa) const {
  if (sa.spec.outbound && !sa.spec.inbound)
    return refuse(EINVAL, D::wrong_direction, "only an inbound SA names its pair");
  TRY_ASSIGN(Entry * other, pair_of(sa));
  const Sa& half = *other->sa;
  if (half.spec.source != sa.spec.destination) return refuse(EINVAL, D::pair_address_differs);
  if (half.pair != 0) return refuse(EINVAL, D::pair_already);
  if (half.spec.inbound && !half.spec.outbound) return refuse(EINVAL, D::wrong_direction);
  if (half.spec.name_space != sa.spec.name_space || half.state == SaState::larval)
    return refuse(EINVAL, D::pair_unsuitable);
  return other;
}

void Database::join(Sa& sa, Entry* other) {
  if (other == nullptr) return;
  other->sa->pair = static_cast<uint32_t>(sa.spec.spi);
  events_.push_back(SaChanged{other->sa});
}

// The half that stays is single from now on.
void Database::part(const Sa& sa) {
  if (const auto other = pair_of(sa)) (*other)->sa->pair = 0;
}

// Out of the table; DEAD, so that a worker with an older table stops using it too.
void Database::erase(const SaName& name) {
  const auto at = entries_.find(name);
  Entry& entry = *at->second;
  part(*entry.sa);
  entry.sa->state = SaState::dead;
  table_ = table_->without(*entry.sa);
  ++generation_;
  if (entry.armed_at != 0) timers_.erase({entry.armed_at, entry.sa->age});
  by_age_.erase(entry.sa->age);
  larval_.erase(entry.sa->age);
  if (const auto count = counts_.find(entry.sa->spec.name_space); --count->second == 0) counts_.erase(count);
  entries_.erase(at);
}

KeyResult<SaPtr> Database::remove(const SaName& name, const Requester& who) {
  TRY_ASSIGN(const Entry* entry, owned(name, who));
  SaPtr sa = entry->sa;
  erase(name);
  events_.push_back(SaDeleted{sa});
  return sa;
}

KeyResult<SaPtr> Database::remove_pair(const SaName& name, const Requester& who) {
  TRY_ASSIGN(const Entry* entry, owned(name, who));
  SaPtr sa = entry->sa;
  TRY_ASSIGN(const Entry* other, pair_of(*sa));
  const SaPtr other_sa = other->sa;
  TRY(owned(name_of(*other_sa), who));
  for (const SaPtr& gone : {sa, other_sa}) {
    erase(name_of(*gone));
    events_.push_back(SaDeleted{gone});
  }
  return sa;
}

size_t Database::remove_pairs_in_state(SaType type, SaState state, const Requester& who) {
  std::vector<SaName> found;
  for (const auto& [name, entry] : entries_) {
    const Sa& sa = *entry->sa;
    if ((type == SaType::unspec || name.type == type) && sa.state == state && sa.pair != 0 && may_touch(sa, who))
      found.push_back(name);
  }
  size_t before = entries_.size();
  for (const SaName& name : found) (void)remove_pair(name, who);  // its other half may have taken it along already
  return before - entries_.size();
}

size_t Database::flush(SaType type, const Requester& who) {
  std::vector<SaPtr> gone;
  for (const auto& [age, entry] : by_age_) {
    const Sa& sa = *entry->sa;
    if ((type == SaType::unspec || sa.spec.type == type) && may_touch(sa, who)) gone.push_back(entry->sa);
  }
  if (gone.size() == entries_.size() && !gone.empty()) {  // all of them: no need to take the table apart
    for (const SaPtr& sa : gone) sa->state = SaState::dead;
    table_ = std::make_shared<const Table>();
    ++generation_;
    timers_.clear();
    by_age_.clear();
    larval_.clear();
    counts_.clear();
    entries_.clear();
  } else {
    for (const SaPtr& sa : gone) erase(name_of(*sa));
  }
  for (SaPtr& sa : gone) events_.push_back(SaDeleted{std::move(sa)});
  return gone.size();
}

}  // namespace adit::sad
