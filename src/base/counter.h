// Counters that one thread writes and any thread reads: a plain add on the path, no lock, no torn read.
#pragma once

#include <atomic>
#include <cstdint>

namespace adit {

class Counter {
 public:
  // REQUIRES: always the same thread (or threads that order themselves).
  void add(uint64_t amount = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace adit
