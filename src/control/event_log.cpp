#include "control/event_log.h"

#include <algorithm>
#include <random>

#include <fmt/format.h>

namespace adit::engine {
namespace {

constexpr size_t kNotable = 256;

std::string random_instance() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

}  // namespace

EventLog::EventLog(const Clock& clock, size_t limit) : clock_(clock), limit_(limit), instance_(random_instance()) {}

void EventLog::number_from(uint64_t first, Reserve reserve) {
  first_ = next_ = first;
  reserved_ = 0;
  reserve_ = std::move(reserve);
}

void EventLog::add(Severity severity, EventKind kind, std::string subject, std::string text) {
  if (reserve_ && next_ > reserved_) reserved_ = reserve_(next_);
  ring_.push_back({next_++, clock_.wall_seconds(), severity, kind, std::move(subject), std::move(text)});
  if (ring_.size() > limit_) ring_.pop_front();
  const LogEvent event = ring_.back();
  if (severity != Severity::info) notable_.push_back(event);
  if (notable_.size() > kNotable) notable_.pop_front();
  // A subscriber may take itself away while it is being served.
  const auto subscribers = subscribers_;
  for (const auto& [id, deliver] : subscribers) {
    if (subscribers_.contains(id)) deliver(event);
  }
}

std::vector<LogEvent> EventLog::since(uint64_t after) const {
  const auto first = std::ranges::upper_bound(ring_, after, {}, &LogEvent::sequence);
  return {first, ring_.end()};
}

Resumed EventLog::resume(uint64_t after, std::string_view instance) const {
  Resumed resumed;
  const bool ahead = after > last_sequence();  // the numbers began anew: the machine was booted
  resumed.restarted = ahead || (!instance.empty() && instance != instance_);
  const uint64_t from = ahead ? first_ - 1 : after;
  resumed.events = since(from);
  const uint64_t oldest = resumed.events.empty() ? next_ : resumed.events.front().sequence;
  resumed.missed = oldest - from - 1;
  return resumed;
}

uint64_t EventLog::subscribe(Deliver deliver) {
  subscribers_.emplace(next_subscription_, std::move(deliver));
  return next_subscription_++;
}

void EventLog::unsubscribe(uint64_t subscription) {
  subscribers_.erase(subscription);
}

}  // namespace adit::engine
