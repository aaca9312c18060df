#include "engine/event_log.h"

#include <algorithm>

namespace adit::engine {

void EventLog::add(Severity severity, std::string kind, std::string subject, std::string text) {
  ring_.push_back({next_++, clock_.wall_seconds(), severity, std::move(kind), std::move(subject), std::move(text)});
  if (ring_.size() > limit_) ring_.pop_front();
  const LogEvent event = ring_.back();
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

uint64_t EventLog::subscribe(Deliver deliver) {
  subscribers_.emplace(next_subscription_, std::move(deliver));
  return next_subscription_++;
}

void EventLog::unsubscribe(uint64_t subscription) {
  subscribers_.erase(subscription);
}

}  // namespace adit::engine
