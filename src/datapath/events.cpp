#include "datapath/events.h"

namespace adit::datapath {

namespace {
constexpr size_t kTraceRecords = 4096;
}

bool EventQueue::put(Event event) {
  {
    const std::lock_guard lock(mutex_);
    if (events_.size() >= limit_) {
      lost_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    events_.push_back(event);
  }
  if (bell) bell();
  return true;
}

std::vector<Event> EventQueue::take_all() {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

void TraceTap::enable(bool on) {
  const std::lock_guard lock(mutex_);
  records_.clear();
  if (on) records_.reserve(kTraceRecords);  // so that a worker never allocates
  on_.store(on, std::memory_order_relaxed);
}

void TraceTap::put(const TraceRecord& record) {
  const std::lock_guard lock(mutex_);
  if (records_.size() >= records_.capacity()) {
    lost_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  records_.push_back(record);
}

std::vector<TraceRecord> TraceTap::take() {
  std::vector<TraceRecord> fresh;
  if (on()) fresh.reserve(kTraceRecords);
  const std::lock_guard lock(mutex_);
  records_.swap(fresh);
  return fresh;
}

}  // namespace adit::datapath
