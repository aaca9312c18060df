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

namespace adit::engine {

enum class Severity : uint8_t { info, warning, alert };  // alert: the promise was tried, or a layer of it was missing

struct LogEvent {
  uint64_t sequence = 0;  // from 1, without gaps
  uint64_t wall_seconds = 0;
  Severity severity = Severity::info;
  std::string kind;     // "link.state", "guard.restored", "guard.leak-stopped", "policy.changed" …
  std::string subject;  // link, network, service; may be empty
  std::string text;     // one sentence
};

// Engine thread only.
class EventLog {
 public:
  explicit EventLog(const Clock& clock, size_t limit = 1024) : clock_(clock), limit_(limit) {}

  void add(Severity severity, std::string kind, std::string subject, std::string text);

  // Events with sequence > `after` that are still held, oldest first.
  [[nodiscard]] std::vector<LogEvent> since(uint64_t after) const;
  [[nodiscard]] uint64_t last_sequence() const { return next_ - 1; }

  // `deliver` runs for each event added from now on, inside add(): it must not call back into the engine.
  using Deliver = std::function<void(const LogEvent&)>;
  uint64_t subscribe(Deliver deliver);
  void unsubscribe(uint64_t subscription);

 private:
  const Clock& clock_;
  size_t limit_;
  uint64_t next_ = 1;
  uint64_t next_subscription_ = 1;
  std::deque<LogEvent> ring_;
  std::map<uint64_t, Deliver> subscribers_;
};

}  // namespace adit::engine
