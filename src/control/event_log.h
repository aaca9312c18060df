// What happened to links, policy, keys and guard, in order: a bounded ring that `monitor` follows and status commands
// read.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "control/event_kind.h"

namespace adit::engine {

enum class Severity : uint8_t {
  info,
  warning,
  alert
};  // alert: the promise was tried, a layer of it was missing, a tunnel is open or a secured one went down

struct LogEvent {
  uint64_t sequence = 0;  // without gaps in one life of the daemon; never twice since the boot
  uint64_t wall_seconds = 0;
  Severity severity = Severity::info;
  EventKind kind{};
  std::string subject;  // link, network, service; may be empty
  std::string text;     // one sentence
};

// What a subscriber gets that comes back: the events after the one it has seen last, and what it has missed of them.
struct Resumed {
  std::vector<LogEvent> events;  // oldest first
  uint64_t missed = 0;           // numbers that are gone; after a restart at most so many were events
  bool restarted = false;        // the daemon is another one than it spoke to: what happened in between is not known
};

// Engine thread only.
class EventLog {
 public:
  explicit EventLog(const Clock& clock, size_t limit = 4096);

  // This life of the daemon: 16 hexadecimal digits, random. Who keeps a sequence number keeps it beside this.
  [[nodiscard]] const std::string& instance() const { return instance_; }
  // The first number of this life, before the first event. `reserve(next)` is asked whenever numbers run out, from
  // `next` on, and returns the last one that no later life will use: on disk when it returns.
  using Reserve = std::function<uint64_t(uint64_t next)>;
  void number_from(uint64_t first, Reserve reserve);

  void add(Severity severity, EventKind kind, std::string subject, std::string text);

  // Events with sequence > `after` that are still held, oldest first.
  [[nodiscard]] std::vector<LogEvent> since(uint64_t after) const;
  [[nodiscard]] uint64_t last_sequence() const { return next_ - 1; }
  // `instance`: of the daemon that `after` came from; empty: unknown, then only a number that is not reached yet tells.
  [[nodiscard]] Resumed resume(uint64_t after, std::string_view instance) const;

  // The last warnings and alerts, oldest first: they stay when swarms of smaller events have pushed them out of the
  // ring.
  [[nodiscard]] std::vector<LogEvent> notable() const { return {notable_.begin(), notable_.end()}; }

  // `deliver` runs for each event added from now on, inside add(): it must not call back into the engine.
  using Deliver = std::function<void(const LogEvent&)>;
  uint64_t subscribe(Deliver deliver);
  void unsubscribe(uint64_t subscription);

 private:
  const Clock& clock_;
  size_t limit_;
  std::string instance_;
  uint64_t first_ = 1, next_ = 1;
  uint64_t reserved_ = 0;
  Reserve reserve_;
  uint64_t next_subscription_ = 1;
  std::deque<LogEvent> ring_, notable_;
  std::map<uint64_t, Deliver> subscribers_;
};

}  // namespace adit::engine
