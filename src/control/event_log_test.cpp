#include "control/event_log.h"

#include <gtest/gtest.h>

namespace adit::engine {
namespace {

TEST(EventLog, NumbersWithoutGapsAndForgetsTheOldest) {
  FakeClock clock;
  EventLog log(clock, 3);
  for (int i = 1; i <= 5; ++i) log.add(Severity::info, EventKind::link_changed, "s", std::to_string(i));
  EXPECT_EQ(log.last_sequence(), 5u);
  const auto all = log.since(0);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all.front().sequence, 3u);
  EXPECT_EQ(log.since(4).size(), 1u);
  EXPECT_TRUE(log.since(5).empty());
}

TEST(EventLog, AnAlertStaysWhenSwarmsPassIt) {
  FakeClock clock;
  EventLog log(clock, 3);
  log.add(Severity::alert, EventKind::guard_failed, "", "alert");
  for (int i = 0; i < 1000; ++i) log.add(Severity::info, EventKind::key_added, "", "");
  ASSERT_EQ(log.notable().size(), 1u);
  EXPECT_EQ(log.notable()[0].text, "alert");
  for (int i = 0; i < 1000; ++i) log.add(Severity::warning, EventKind::link_changed, "", "");
  EXPECT_EQ(log.notable().size(), 256u);
}

TEST(EventLog, WhoComesBackIsToldWhatItMissed) {
  FakeClock clock;
  EventLog log(clock, 3);
  for (int i = 1; i <= 5; ++i) log.add(Severity::info, EventKind::link_changed, "s", std::to_string(i));
  const auto near = log.resume(3, log.instance()), far = log.resume(1, log.instance());
  EXPECT_EQ(near.events.size(), 2u);
  EXPECT_EQ(near.missed, 0u);
  EXPECT_FALSE(near.restarted);
  EXPECT_EQ(far.events.size(), 3u);
  EXPECT_EQ(far.missed, 1u);
  EXPECT_EQ(log.resume(5, "").missed, 0u);
  EXPECT_FALSE(log.resume(5, "").restarted);
}

TEST(EventLog, WhoComesBackToAnotherLifeIsTold) {
  FakeClock clock;
  EventLog old(clock), log(clock);
  EXPECT_NE(old.instance(), log.instance());
  EXPECT_EQ(log.instance().size(), 16u);
  log.number_from(1001, [](uint64_t next) { return next + 99; });
  log.add(Severity::info, EventKind::link_changed, "s", "first");
  const auto same_boot = log.resume(7, old.instance());  // numbers went on
  EXPECT_TRUE(same_boot.restarted);
  EXPECT_EQ(same_boot.missed, 993u);
  ASSERT_EQ(same_boot.events.size(), 1u);
  EXPECT_EQ(same_boot.events.front().sequence, 1001u);
  const auto booted = log.resume(50'000, "");  // they began anew
  EXPECT_TRUE(booted.restarted);
  EXPECT_EQ(booted.events.size(), 1u);
  EXPECT_EQ(booted.missed, 0u);
}

TEST(EventLog, NumbersAreReservedBeforeTheyAreUsed) {
  FakeClock clock;
  EventLog log(clock);
  std::vector<uint64_t> asked;
  log.number_from(10, [&](uint64_t next) {
    asked.push_back(next);
    return next + 1;
  });
  for (int i = 0; i < 5; ++i) log.add(Severity::info, EventKind::link_changed, "s", "");
  EXPECT_EQ(asked, (std::vector<uint64_t>{10, 12, 14}));
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
  log.add(Severity::info, EventKind::link_changed, "", "a");
  log.add(Severity::info, EventKind::link_changed, "", "b");
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 2);
}

}  // namespace
}  // namespace adit::engine
