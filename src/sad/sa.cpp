#include "sad/sa.h"

#include <algorithm>
#include <limits>

#include "sad/inbound_owner.h"

namespace adit::sad {
namespace {
constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

uint64_t last_number(bool esn) {
  return esn ? std::numeric_limits<uint64_t>::max() : std::numeric_limits<uint32_t>::max();
}

// Limits near 2^64 must not wrap into the past.
uint64_t later(uint64_t from, uint64_t by) {
  return by > kNever - from ? kNever : from + by;
}
}  // namespace

void Sa::Limits::set(const Lifetime& lifetime) {
  allocations.store(lifetime.allocations, kRelaxed);
  bytes.store(lifetime.bytes, kRelaxed);
  add_seconds.store(lifetime.add_seconds, kRelaxed);
  use_seconds.store(lifetime.use_seconds, kRelaxed);
}

Lifetime Sa::Limits::get() const {
  return {static_cast<uint32_t>(allocations.load(kRelaxed)), bytes.load(kRelaxed), add_seconds.load(kRelaxed),
          use_seconds.load(kRelaxed)};
}

Sa::Sa(SaSpec s) : spec(std::move(s)) {
  replay.configure(std::min(spec.replay_window, ReplayWindow::kMaximum), spec.esn);
  set_lifetimes(spec.hard, spec.soft, spec.idle);
  pair.store(spec.pair ? static_cast<uint32_t>(*spec.pair) : 0, kRelaxed);
}

Result<std::shared_ptr<Sa>> Sa::make(SaSpec spec) {
  const crypto::Keys keys{.encr = spec.type == SaType::ah ? crypto::EncrAlg::none : spec.encr,
                          .auth = spec.auth,
                          .encr_key = spec.encr_key.bytes(),
                          .salt = spec.salt.bytes(),
                          .auth_key = spec.auth_key.bytes(),
                          .esn = spec.esn};
  TRY_ASSIGN(auto transform, crypto::make_transform(keys));
  std::shared_ptr<Sa> sa(new Sa(std::move(spec)));
  sa->transform = std::move(transform);
  sa->state.store(SaState::mature, std::memory_order_release);
  return sa;
}

std::shared_ptr<Sa> Sa::larval(SaSpec spec) {
  return std::shared_ptr<Sa>(new Sa(std::move(spec)));
}

std::optional<uint64_t> Sa::reserve_sequence(uint32_t count) {
  const uint64_t last = std::min(last_number(spec.esn), sent.limit.load());
  uint64_t used = sequence_.load(kRelaxed);
  do {
    if (count == 0 || used > last || last - used < count) return std::nullopt;
  } while (!sequence_.compare_exchange_weak(used, used + count));
  // Whoever stops the counting lowers the limit first and reads the count then: one of us sees the other.
  if (sent.limit.load() < used + count) return std::nullopt;
  if (sent.should_ask(used + count)) numbers_due.store(true);
  return used + 1;
}

bool Sa::is_exhausted() const {
  return sequence_.load(kRelaxed) >= last_number(spec.esn);
}

bool Sa::may_see(uint64_t sequence) {
  const bool may = sequence <= seen.limit.load(kRelaxed);
  if (!may && sequence > seen_wanted.load(kRelaxed)) seen_wanted.store(sequence);
  if (seen.should_ask(sequence)) numbers_due.store(true);
  return may;
}

bool Sa::see(uint64_t sequence) {
  if (!replay.commit(sequence)) return false;
  if (seen_mark != nullptr) seen_mark->store(replay.highest(), kRelaxed);
  return true;
}

Sa::Counted Sa::stop_counting() {
  sent.limit.store(0);
  const InboundOwner owner(inbound_owner);
  seen.limit.store(0);
  return {sequence_.load(), replay.highest()};
}

uint64_t Sa::first_used_wall() const {
  const uint64_t first = first_used.load(kRelaxed);
  return first == 0 ? 0 : added_wall + (first - std::min(first, added));
}

uint64_t Sa::last_sequence() const {
  return sequence_.load(kRelaxed);
}

void Sa::set_lifetimes(const Lifetime& hard, const Lifetime& soft, const Lifetime& idle) {
  limits_[0].set(hard);
  limits_[1].set(soft);
  limits_[2].set(idle);
}

void Sa::used(uint64_t burst_bytes, uint64_t burst_packets, uint64_t now_seconds) {
  bytes.fetch_add(burst_bytes, kRelaxed);
  packets.fetch_add(burst_packets, kRelaxed);
  last_used.store(now_seconds, kRelaxed);
  uint64_t never = 0;
  if (first_used.load(kRelaxed) == 0) first_used.compare_exchange_strong(never, now_seconds, kRelaxed);
}

bool Sa::passed(const Limits& limits, uint64_t now_seconds) const {
  const auto reached = [](uint64_t limit, uint64_t value) { return limit != 0 && value >= limit; };
  if (reached(limits.bytes.load(kRelaxed), bytes.load(kRelaxed))) return true;
  if (reached(limits.allocations.load(kRelaxed), packets.load(kRelaxed))) return true;
  const uint64_t add = limits.add_seconds.load(kRelaxed), use = limits.use_seconds.load(kRelaxed);
  if (add != 0 && now_seconds >= later(added, add)) return true;
  const uint64_t first = first_used.load(kRelaxed);
  return use != 0 && first != 0 && now_seconds >= later(first, use);
}

// Idle addtime is for an SA never used, idle usetime for one that was (ipseckey's idle_addtime, idle_usetime).
bool Sa::idle_passed(uint64_t now_seconds) const {
  const uint64_t last = last_used.load(kRelaxed);
  const Limits& idle = limits_[2];
  const uint64_t limit = last == 0 ? idle.add_seconds.load(kRelaxed) : idle.use_seconds.load(kRelaxed);
  return limit != 0 && now_seconds >= later(last == 0 ? added : last, limit);
}

Expiry Sa::due(uint64_t now_seconds) const {
  if (sequence_.load(kRelaxed) >= last_number(spec.esn)) return Expiry::sequence;
  if (passed(limits_[0], now_seconds)) return Expiry::hard;
  if (state.load(kRelaxed) != SaState::mature) return Expiry::none;
  if (passed(limits_[1], now_seconds)) return Expiry::soft;
  return idle_passed(now_seconds) ? Expiry::idle : Expiry::none;
}

std::optional<uint64_t> Sa::next_due(uint64_t now_seconds) const {
  uint64_t next = kNever;
  const auto consider = [&](uint64_t from, uint64_t limit) {
    if (limit != 0 && later(from, limit) > now_seconds) next = std::min(next, later(from, limit));
  };
  const uint64_t first = first_used.load(kRelaxed), last = last_used.load(kRelaxed);
  for (size_t i = 0; i < 2; ++i) {
    consider(added, limits_[i].add_seconds.load(kRelaxed));
    // Not used yet: its time cannot be up before a use from now on has lasted that long.
    consider(first == 0 ? now_seconds : first, limits_[i].use_seconds.load(kRelaxed));
  }
  if (last == 0) consider(added, limits_[2].add_seconds.load(kRelaxed));
  // A silence that was told already: the next can only follow a use from now on.
  const uint64_t idle_use = limits_[2].use_seconds.load(kRelaxed);
  consider(last == 0 || later(last, idle_use) <= now_seconds ? now_seconds : last, idle_use);
  if (next == kNever) return std::nullopt;
  return next;
}

}  // namespace adit::sad
