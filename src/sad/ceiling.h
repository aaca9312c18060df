// How far an SA may count, one way. What is remembered across the daemon's lives (keys/sequence_store.h) is on disk
// before it is used: a number above `limit` is neither sent nor accepted.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

namespace adit::sad {

struct Ceiling {
  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();

  std::atomic<uint64_t> limit{kNone};   // kNone: nothing of it is remembered
  std::atomic<uint64_t> ask_at{kNone};  // who reaches this asks for a higher limit, once

  // Engine thread; what it says is on disk.
  void raise(uint64_t to, uint64_t ask) {
    limit.store(to);
    ask_at.store(ask);
  }
  // Workers: true once for each raise, when `number` is where to ask.
  [[nodiscard]] bool should_ask(uint64_t number) {
    uint64_t at = ask_at.load(std::memory_order_relaxed);
    return number >= at && at != kNone && ask_at.compare_exchange_strong(at, kNone);
  }
};

}  // namespace adit::sad
