#include "keys/sequence_store.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/store.h"
#include "sad/inbound_owner.h"

namespace adit::engine {
namespace {

using sad::Ceiling;
using D = sad::Diagnostic;

constexpr const char* kDiskFile = "/var/lib/adit/sequences";
constexpr const char* kOldRunFile = "sequences";
constexpr const char* kMarks = "sequences.seen";

// How far ahead of the last number a limit is: what passes in some seconds. A sender's leap costs numbers only; a
// receiver that lost its last moments takes nothing of a peer before the peer is above the limit, so there it is as
// little as the flow allows. The first packets of a burst wait for the disk (datapath/held.h).
constexpr uint64_t kLeastSent = 1u << 20, kMostSent = 1u << 24;
constexpr uint64_t kLeastSeen = 32, kMostSeen = 1u << 22;
constexpr double kSecondsAhead = 4, kPeakHalvesIn = 10;
constexpr Seconds kLookAfter{5};  // at what counted fast

uint64_t last_number(const sad::Sa& sa) {
  return sa.spec.esn ? Ceiling::kNone - 1 : std::numeric_limits<uint32_t>::max();
}

// Tells keys apart without telling them: the file is readable by root alone, as the key file is.
uint64_t fingerprint(const sad::SaSpec& spec) {
  EVP_MD_CTX* hash = EVP_MD_CTX_new();
  const uint8_t algorithms[] = {static_cast<uint8_t>(spec.encr), static_cast<uint8_t>(spec.auth)};
  uint8_t digest[EVP_MAX_MD_SIZE];
  bool ok =
      EVP_DigestInit_ex(hash, EVP_sha256(), nullptr) == 1 && EVP_DigestUpdate(hash, algorithms, sizeof algorithms) == 1;
  for (const Secret* key : {&spec.encr_key, &spec.salt, &spec.auth_key}) {
    const uint64_t size = key->size();
    ok =
        ok && EVP_DigestUpdate(hash, &size, sizeof size) == 1 && EVP_DigestUpdate(hash, key->bytes().data(), size) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(hash, digest, nullptr) == 1;
  EVP_MD_CTX_free(hash);
  CHECK(ok);
  return load_be64(digest);
}

bool counts_sent(const sad::Sa& sa) {
  return sa.spec.outbound;
}

// Without a window, or without an integrity check, nothing is known of what came.
bool counts_seen(const sad::Sa& sa) {
  return (sa.spec.inbound || !sa.spec.outbound) && sa.replay.width() != 0 && sa.transform->icv_bytes() != 0;
}

uint64_t highest_of(sad::Sa& sa) {
  const sad::InboundOwner owner(sa.inbound_owner);
  return sa.replay.highest();
}

std::string advice(const std::string& damage) {
  return fmt::format(
      "{}: which numbers were used with which keys is not known, so no manual SA is taken; give all of them new keys, "
      "on both ends, and then remove that file",
      damage);
}

}  // namespace

struct SequenceStore::Plan {
  NumberRecord record;                    // as it shall be
  uint64_t sent_from = 0, seen_from = 0;  // where it stands
};

size_t SequenceStore::KeyHash::operator()(const Key& key) const {
  return key.keys ^ static_cast<uint32_t>(key.name.spi) * 0x9e3779b97f4a7c15ULL;
}

uint64_t SequenceStore::Pace::ahead(uint64_t now_at, MonoTime now, uint64_t least, uint64_t most) {
  constexpr double kShortest = 0.05;  // seconds: less says nothing of a rate
  const double seconds = std::max(kShortest, std::chrono::duration<double>(now - since).count());
  peak = std::max(peak * std::exp2(-seconds / kPeakHalvesIn),
                  static_cast<double>(now_at - std::min(now_at, position)) / seconds);
  position = now_at;
  since = now;
  return static_cast<uint64_t>(std::clamp(peak * kSecondsAhead, static_cast<double>(least), static_cast<double>(most)));
}

SequenceStore::SequenceStore(const Context& context, Bounds bounds)
    : context_(context), bounds_(bounds), journal_(context.in_root(kDiskFile)), marks_(context.in_run(kMarks)) {}

// Key managers say who they are, or take an SPI first.
bool SequenceStore::is_remembered(const sad::Sa& sa) {
  if (sa.transform == nullptr) return false;
  if (sa.spec.cookie && sa.spec.cookie->protocol != sad::KmProtocol::manual) return false;
  return !sa.was_larval || sa.spec.outbound;
}

SequenceStore::Key SequenceStore::key_of(const sad::Sa& sa) {
  return {sad::name_of(sa), fingerprint(sa.spec)};
}

SeenMarks::Name SequenceStore::mark_name(const Key& key) {
  uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  const auto mix = [&](uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3ULL; };
  mix(static_cast<uint8_t>(key.name.type));
  for (int shift = 0; shift < 32; shift += 8) mix(static_cast<uint8_t>(static_cast<uint32_t>(key.name.spi) >> shift));
  for (const uint8_t byte : key.name.destination.bytes()) mix(byte);
  return {key.keys, hash | 1};
}

void SequenceStore::take_mark(Entry& entry, const Key& key, sad::Sa& sa) {
  drop_mark(entry);
  if (!counts_seen(sa)) return;
  entry.mark = marks_.take(mark_name(key), sa.replay.highest());
  sa.seen_mark = entry.mark;
}

void SequenceStore::drop_mark(Entry& entry) {
  if (entry.mark != nullptr) marks_.give_back(std::exchange(entry.mark, nullptr));
}

void SequenceStore::count_gone(const std::string& name_space, int by) {
  size_t& count = gone_[name_space];
  count = by > 0 ? count + 1 : count - 1;
  if (count == 0) gone_.erase(name_space);
}

void SequenceStore::note_gone(const NumberRecord& record) {
  count_gone(record.name_space, 1);
  uint64_t& sent = used_.at(record.keys).sent;
  sent = std::max(sent, record.sent);
}

// REQUIRES: its entry is taken away too.
void SequenceStore::forget(const NumberRecord& record) {
  const auto at = used_.find(record.keys);
  if (--at->second.entries == 0) used_.erase(at);
}

// ---- from disk

void SequenceStore::restore() {
  const std::string old_run_file = context_.in_run(kOldRunFile);
  auto content = journal_.read();
  const auto left = marks_.read();
  if (!content.is_there && left.is_there)
    content.damage =
        fmt::format("{} is gone, and {} says that it was there", context_.in_root(kDiskFile), context_.in_run(kMarks));
  if (!content.damage.empty()) {
    damage_ = advice(content.damage);
    context_.events.add(Severity::alert, EventKind::key_not_saved, "", damage_);
    return;
  }
  if (content.id == 0) {  // of a version that kept one there
    const auto before = NumberJournal(old_run_file).read();
    content.records.insert(content.records.end(), before.records.begin(), before.records.end());
  }
  const uint64_t now = context_.clock.wall_seconds();
  for (NumberRecord& record : content.records) {
    const auto [at, fresh] = entries_.try_emplace(Key{record.name, record.keys});
    NumberRecord& known = at->second.record;
    // Of a file without checksums each line knows one way.
    if (!fresh && content.id == 0)
      record.sent = std::max(record.sent, known.sent), record.seen = std::max(record.seen, known.seen);
    known = std::move(record);
  }
  std::erase_if(entries_, [](const auto& item) { return item.second.record.says_nothing(); });
  for (auto& [key, entry] : entries_) {
    const auto seen = left.seen.find(mark_name(key));
    if (left.beside == content.id && content.id != 0 && entry.record.gone == 0 && seen != left.seen.end())
      entry.record.seen = seen->second;
    if (entry.record.gone == 0) entry.record.gone = now;
    ++used_[key.keys].entries;
    note_gone(entry.record);
  }
  std::random_device random;
  id_ = (uint64_t{random()} << 32 | random()) | 1;
  if (const auto written = rewrite(); !written) return say_unsaved(written);
  if (const auto begun = marks_.begin(id_); !begun)
    context_.events.add(Severity::warning, EventKind::key_not_saved, "", begun.error().text);
  (void)remove_file(old_run_file);
}

// ---- to disk

Result<> SequenceStore::rewrite() {
  std::vector<NumberRecord> all;
  all.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) all.push_back(entry.record);
  return journal_.rewrite(all, id_);
}

Result<> SequenceStore::write(std::span<const NumberRecord> records, bool sync) {
  if (journal_.wants_rewrite()) TRY(rewrite());
  return records.empty() ? Result<>{} : journal_.append(records, sync);
}

void SequenceStore::say_unsaved(const Result<>& saved) {
  const bool before = std::exchange(unsaved_, !saved);
  if (saved || before) return;
  context_.events.add(
      Severity::alert, EventKind::key_not_saved, "",
      fmt::format("{}; manual SAs stop when the numbers that are saved are used up", saved.error().text));
}

// ---- an SA's life

// Records of keys that nobody had for long make room.
sad::KeyResult<> SequenceStore::make_room(const std::string& name_space, size_t more) {
  const size_t most = name_space.empty() ? bounds_.of_operator : bounds_.of_namespace;
  const auto count = [&] {
    const auto at = gone_.find(name_space);
    return at == gone_.end() ? size_t{0} : at->second;
  };
  if (count() + more <= most) return {};
  const uint64_t now = context_.clock.wall_seconds();
  std::erase_if(entries_, [&](const auto& item) {
    const NumberRecord& record = item.second.record;
    const bool goes = record.name_space == name_space && record.gone != 0 && record.gone + kKeptSeconds < now;
    if (goes) {
      count_gone(record.name_space, -1);
      forget(record);
    }
    return goes;
  });
  if (count() + more <= most) return {};
  return sad::refuse(
      ENOSPC, D::not_remembered,
      fmt::format("the numbers of {} keys of {} that are not in use any more are remembered, and there is no room for "
                  "another; each is kept for {} days after its SA went, so that its numbers are never used again",
                  count(), name_space.empty() ? "the global namespace" : name_space, kKeptSeconds / 86'400));
}

SequenceStore::Plan SequenceStore::plan(Entry& entry, const sad::Sa& sa, uint64_t sent, uint64_t seen) {
  const MonoTime now = context_.clock.now();
  Plan plan{entry.record, sent, seen};
  plan.record.gone = 0;
  const auto above = [&](uint64_t from, uint64_t ahead) {
    const uint64_t last = last_number(sa);
    return from >= last || last - from < ahead ? last : from + ahead;
  };
  if (counts_sent(sa)) plan.record.sent = above(sent, entry.sent.ahead(sent, now, kLeastSent, kMostSent));
  if (counts_seen(sa)) plan.record.seen = above(seen, entry.seen.ahead(seen, now, kLeastSeen, kMostSeen));
  return plan;
}

// It is on disk.
void SequenceStore::apply(const Plan& plan, Entry& entry, sad::Sa& sa) {
  entry.record = plan.record;
  if (counts_sent(sa)) sa.sent.raise(plan.record.sent, plan.sent_from + (plan.record.sent - plan.sent_from) / 2);
  if (counts_seen(sa)) {
    sa.seen.raise(plan.record.seen, plan.seen_from + (plan.record.seen - plan.seen_from) / 2);
    if (plan.record.seen - plan.seen_from > kLeastSeen) fast_.insert(&entry);
  }
}

sad::KeyResult<> SequenceStore::begin(std::span<const sad::SaPtr> fresh) {
  std::vector<std::pair<Key, Plan>> plans;
  std::vector<NumberRecord> records;
  std::vector<sad::SaPtr> begun;
  std::map<std::string, size_t> more;
  for (const auto& sa : fresh) {
    if (!is_remembered(*sa)) continue;
    if (!damage_.empty()) return sad::refuse(EIO, D::not_remembered, damage_);
    const Key key = key_of(*sa);
    const auto found = entries_.find(key);
    Entry unknown;
    Entry& entry = found == entries_.end() ? unknown : found->second;
    if (found == entries_.end()) {
      TRY(make_room(sa->spec.name_space, ++more[sa->spec.name_space]));
      entry.record.name = key.name;
      entry.record.keys = key.keys;
    }
    entry.sent.position = entry.seen.position = std::numeric_limits<uint64_t>::max();  // a leap is not traffic
    const auto used = used_.find(key.keys);
    const uint64_t sent = std::max(entry.record.sent, used == used_.end() ? 0 : used->second.sent);
    Plan planned =
        plan(entry, *sa, std::max(sent, sa->last_sequence()), std::max(entry.record.seen, sa->replay.highest()));
    planned.record.name_space = sa->spec.name_space;
    records.push_back(planned.record);
    plans.emplace_back(key, std::move(planned));
    begun.push_back(sa);
  }
  if (begun.empty()) return {};
  if (const auto saved = write(records, true); !saved)
    return sad::refuse(saved.error().code, D::not_remembered,
                       fmt::format("{}; an SA whose numbers cannot be saved is not made", saved.error().text));
  for (size_t i = 0; i < begun.size(); ++i) {
    const auto& [key, planned] = plans[i];
    sad::Sa& sa = *begun[i];
    const auto [at, fresh_key] = entries_.try_emplace(key);
    Entry& entry = at->second;
    if (fresh_key) ++used_[key.keys].entries;
    if (entry.record.gone != 0) count_gone(entry.record.name_space, -1);
    if (entry.live != nullptr) {  // its successor's numbers begin above its limits
      live_.erase(entry.live.get());
      entry.live->stop_counting();
    }
    entry.live = begun[i];
    entry.sent.position = planned.sent_from;
    entry.seen.position = planned.seen_from;
    live_[&sa] = &entry;
    if (counts_sent(sa)) sa.set_last_sequence(planned.sent_from);
    if (counts_seen(sa) && planned.seen_from > sa.replay.highest()) sa.replay.set_highest(planned.seen_from);
    take_mark(entry, key, sa);
    apply(planned, entry, sa);
  }
  return {};
}

void SequenceStore::end(sad::Sa& sa) {
  const auto at = live_.find(&sa);
  if (at == live_.end()) return;
  Entry& entry = *at->second;
  live_.erase(at);
  const sad::Sa::Counted counted = sa.stop_counting();
  if (counts_sent(sa)) entry.record.sent = counted.sent;
  if (counts_seen(sa)) entry.record.seen = counted.seen;
  entry.record.gone = std::max<uint64_t>(1, context_.clock.wall_seconds());
  fast_.erase(&entry);
  drop_mark(entry);
  entry.live.reset();
  const NumberRecord record = entry.record;
  if (record.says_nothing()) {
    forget(record);
    entries_.erase(Key{record.name, record.keys});
  } else {
    note_gone(record);
  }
  // What is on disk is higher than this: there is no hurry.
  say_unsaved(write({&record, 1}, false));
}

void SequenceStore::raise(std::span<const sad::SaPtr> wanting) {
  std::vector<NumberRecord> records;
  std::vector<std::pair<sad::SaPtr, Plan>> plans;
  for (const auto& sa : wanting) {
    const auto at = live_.find(sa.get());
    if (at == live_.end()) continue;
    Plan planned = plan(*at->second, *sa, sa->last_sequence(), std::max(highest_of(*sa), sa->seen_wanted.load()));
    // The other way may be far ahead still: it does not go back.
    planned.record.sent = std::max(planned.record.sent, at->second->record.sent);
    planned.record.seen = std::max(planned.record.seen, at->second->record.seen);
    records.push_back(planned.record);
    plans.emplace_back(sa, std::move(planned));
  }
  const auto saved = write(records, true);
  say_unsaved(saved);
  std::vector<sad::SaPtr> more;
  for (const auto& [sa, planned] : plans) {
    if (!saved) {
      again_.push_back(sa);
      continue;
    }
    apply(planned, *live_.at(sa.get()), *sa);
    if (sa->seen_wanted > planned.record.seen && planned.record.seen < last_number(*sa)) more.push_back(sa);
  }
  if (!more.empty()) raise(more);
}

void SequenceStore::changed(const sad::SaPtr& sa) {
  if (sa->last_sequence() > sa->sent.limit || highest_of(*sa) > sa->seen.limit) raise({&sa, 1});
}

// A flow that became slow: after a power cut its peer would be waited for as long as it takes to count that far.
void SequenceStore::lower(Entry& entry, std::vector<NumberRecord>& changed) {
  sad::Sa& sa = *entry.live;
  const sad::InboundOwner owner(sa.inbound_owner);  // nothing is accepted meanwhile
  const uint64_t at = sa.replay.highest();
  const uint64_t wanted = at + entry.seen.ahead(at, context_.clock.now(), kLeastSeen, kMostSeen);
  if (entry.record.seen <= at || (entry.record.seen - at) / 2 <= wanted - at) return;
  sa.seen.raise(wanted, at + (wanted - at) / 2);
  entry.record.seen = wanted;
  changed.push_back(entry.record);
}

bool SequenceStore::tick() {
  const bool tries = !again_.empty();
  if (tries) raise(std::exchange(again_, {}));
  const MonoTime now = context_.clock.now();
  std::vector<NumberRecord> changed;
  std::erase_if(fast_, [&](Entry* entry) {
    if (now - entry->seen.since < kLookAfter) return false;
    lower(*entry, changed);
    return entry->record.seen <= entry->seen.position + 2 * kLeastSeen;
  });
  if (!changed.empty()) say_unsaved(write(changed, false));
  return tries && again_.empty();
}

void SequenceStore::stop() {
  if (!damage_.empty()) return;
  for (const auto& [sa, entry] : live_) {
    if (counts_sent(*sa)) entry->record.sent = sa->last_sequence();
    if (counts_seen(*sa)) entry->record.seen = sa->replay.highest();
  }
  say_unsaved(rewrite());
}

}  // namespace adit::engine
