// From the workers to the engine: rare things, by a bounded queue and one wake-up. And the live trace.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

#include "base/drop_reason.h"
#include "net/flow.h"
#include "sad/sa.h"
#include "tunnel/link.h"

namespace adit::datapath {

struct AcquireNeeded {  // once for each (link, rule) until an SA comes or the wait is over
  tunnel::LinkId link{};
  uint64_t rule_index = 0;
  net::Flow flow;
};
// A byte, use or sequence limit was reached on the path. Reported once: the worker has moved the SA's state itself
// (soft: MATURE to DYING; hard and sequence: to DEAD), and whoever moves it reports it.
struct SaReached {
  sad::Spi spi{};
  sad::SaType type{};
  net::Address destination;
  sad::Expiry expiry{};
};
// It came near the last of the sequence numbers that are saved (sad/ceiling.h): more are wanted.
struct NumbersWanted {
  sad::Spi spi{};
  sad::SaType type{};
  net::Address destination;
};
struct PathMtuChanged {
  tunnel::LinkId link{};
  uint32_t path_mtu = 0;
};
struct LoopCaught {
  tunnel::LinkId link{};
};
struct LinkIoFailed {
  tunnel::LinkId link{};
  int error = 0;
};
using Event = std::variant<AcquireNeeded, SaReached, NumbersWanted, PathMtuChanged, LoopCaught, LinkIoFailed>;

// Many workers put, the engine takes. A full queue loses the newest and counts it (an ACQUIRE is asked again).
class EventQueue {
 public:
  explicit EventQueue(size_t limit = 1024) : limit_(limit) {}
  bool put(Event event);          // any thread; rings the bell
  std::vector<Event> take_all();  // engine thread
  std::function<void()> bell;     // set before workers start; must be safe from any thread
  [[nodiscard]] uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  std::vector<Event> events_;
  size_t limit_;
  std::atomic<uint64_t> lost_{0};
};

// One packet's story for `adit trace`.
struct TraceRecord {
  uint64_t when_ns = 0;  // monotonic
  tunnel::LinkId link{};
  bool outbound = false;
  net::Flow flow;
  bool outer = false;  // `flow` is the outer packet's: nobody knows what is inside
  uint32_t length = 0;
  uint64_t rule_index = 0;  // 0: none decided
  uint32_t spi = 0;         // ESP, else AH; 0: none
  uint64_t sequence = 0;
  DropReason drop = DropReason::none;
};

// Off: the path pays one relaxed load a burst. On: records go to a bounded ring; what does not fit is counted.
class TraceTap {
 public:
  [[nodiscard]] bool on() const { return on_.load(std::memory_order_relaxed); }
  void enable(bool on);
  void put(const TraceRecord& record);  // worker
  std::vector<TraceRecord> take();      // engine thread
  [[nodiscard]] uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> on_{false};
  std::atomic<uint64_t> lost_{0};
  std::mutex mutex_;
  std::vector<TraceRecord> records_;
};

}  // namespace adit::datapath
