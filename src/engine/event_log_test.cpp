#include "engine/event_log.h"

#include <gtest/gtest.h>

namespace adit::engine {
namespace {

TEST(EventLog, NumbersWithoutGapsAndForgetsTheOldest) {
  FakeClock clock;
  EventLog log(clock, 3);
  for (int i = 1; i <= 5; ++i) log.add(Severity::info, "k", "s", std::to_string(i));
  EXPECT_EQ(log.last_sequence(), 5u);
  const auto all = log.since(0);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all.front().sequence, 3u);
  EXPECT_EQ(log.since(4).size(), 1u);
  EXPECT_TRUE(log.since(5).empty());
}

TEST(EventLog, ASubscriberMayLeaveWhileItIsServed) {
  FakeClock clock;
  EventLog log(clock);
  int first = 0, second = 0;
  uint64_t id = 0;
  id = log.subscribe([&](const LogEvent&) {
    ++first;
    log.unsubscribe(id);
  });
  log.subscribe([&](const LogEvent&) { ++second; });
  log.add(Severity::info, "k", "", "a");
  log.add(Severity::info, "k", "", "b");
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
}

}  // namespace
}  // namespace adit::engine
