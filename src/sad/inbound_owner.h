// The inbound side of an SA, its replay window, belongs to one worker for the length of a burst, or to the engine for a
// moment.
#pragma once

#include <atomic>

namespace adit::sad {

class InboundOwner {
 public:
  explicit InboundOwner(std::atomic_flag& flag) : flag_(flag) {
    while (flag_.test_and_set(std::memory_order_acquire)) flag_.wait(true, std::memory_order_relaxed);
  }
  ~InboundOwner() {
    flag_.clear(std::memory_order_release);
    flag_.notify_one();
  }
  InboundOwner(const InboundOwner&) = delete;
  InboundOwner& operator=(const InboundOwner&) = delete;

 private:
  std::atomic_flag& flag_;
};

}  // namespace adit::sad
