#include "sad/replay.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace adit::sad {
namespace {

// The definition, as slow as it is plain: everything seen, in a set.
class NaiveWindow {
 public:
  NaiveWindow(uint32_t width, bool esn) : width_(width), esn_(esn) {}

  [[nodiscard]] bool check(uint64_t sequence) const {
    if (width_ == 0) return true;
    if (sequence == 0 || (sequence <= highest_ && highest_ - sequence >= width_)) return false;
    return !seen_.contains(sequence);
  }
  bool commit(uint64_t sequence) {
    if (!check(sequence)) return false;
    seen_.insert(sequence);
    highest_ = std::max(highest_, sequence);
    return true;
  }
  // Of all 64-bit numbers with these low bits the one inside [highest - width + 1, highest - width + 2^32].
  [[nodiscard]] uint64_t infer(uint32_t wire) const {
    if (!esn_) return wire;
    const __int128 low = static_cast<__int128>(highest_) - width_ + 1;
    __int128 candidate = static_cast<__int128>(highest_ >> 32 << 32) + wire - (static_cast<__int128>(1) << 33);
    while (candidate < low) candidate += static_cast<__int128>(1) << 32;
    if (candidate < 0) candidate += static_cast<__int128>(1) << 32;
    return static_cast<uint64_t>(candidate);
  }
  void start_at(uint64_t sequence) {
    highest_ = sequence;
    for (uint64_t i = 0; i < width_ && i <= sequence; ++i) seen_.insert(sequence - i);
  }
  void move_to(uint64_t sequence) { highest_ = sequence; }
  [[nodiscard]] uint64_t highest() const { return highest_; }

 private:
  uint32_t width_;
  bool esn_;
  uint64_t highest_ = 0;
  std::set<uint64_t> seen_;
};

ReplayWindow window_of(uint32_t width, bool esn) {
  ReplayWindow window;
  window.configure(width, esn);
  return window;
}

TEST(ReplayWindow, ZeroIsNeverAccepted) {
  ReplayWindow window = window_of(64, false);
  EXPECT_FALSE(window.check(0));
  EXPECT_FALSE(window.commit(0));
}

TEST(ReplayWindow, WithoutProtectionEverythingPassesAndTheHighestIsKept) {
  ReplayWindow window = window_of(0, true);
  EXPECT_TRUE(window.commit(5));
  EXPECT_TRUE(window.commit(5));
  EXPECT_TRUE(window.commit(2));
  EXPECT_EQ(window.highest(), 5u);
}

// Every order of arrival of a few numbers around the edges of small windows.
TEST(ReplayWindow, EveryShortHistoryAgreesWithTheDefinition) {
  for (const uint32_t width : {1u, 2u, 3u, 5u}) {
    for (unsigned history = 0; history < 7u * 7 * 7 * 7 * 7 * 7; ++history) {
      ReplayWindow window = window_of(width, false);
      NaiveWindow naive(width, false);
      unsigned rest = history;
      for (int i = 0; i < 6; ++i, rest /= 7) {
        const uint64_t sequence = rest % 7;
        ASSERT_EQ(window.check(sequence), naive.check(sequence)) << "width " << width << " history " << history;
        ASSERT_EQ(window.commit(sequence), naive.commit(sequence));
      }
    }
  }
}

TEST(ReplayWindow, RandomHistoriesAgreeWithTheDefinitionForEveryKindOfWidth) {
  std::mt19937_64 random(1);
  for (const uint32_t width : {1u, 31u, 32u, 63u, 64u, 65u, 127u, 128u, 1000u, 1024u, 4032u, 4095u, 4096u}) {
    for (const uint64_t start :
         {uint64_t{0}, uint64_t{1}, uint64_t{63}, uint64_t{64}, uint64_t{0xffffff00}, uint64_t{0x1fffff000}}) {
      const bool esn = start > UINT32_MAX;
      ReplayWindow window = window_of(width, esn);
      NaiveWindow naive(width, esn);
      if (start != 0) window.set_highest(start), naive.start_at(start);
      for (int i = 0; i < 3000; ++i) {
        const uint64_t reach = random() % 16 == 0 ? 10'000 : width + 70;
        const int64_t offset = static_cast<int64_t>(random() % (2 * reach)) - static_cast<int64_t>(reach);
        const auto sequence =
            static_cast<uint64_t>(std::max<int64_t>(0, static_cast<int64_t>(naive.highest()) + offset));
        if (!esn && sequence > UINT32_MAX) continue;
        ASSERT_EQ(window.check(sequence), naive.check(sequence)) << width << ' ' << start << ' ' << sequence;
        ASSERT_EQ(window.commit(sequence), naive.commit(sequence)) << width << ' ' << start << ' ' << sequence;
        ASSERT_EQ(window.highest(), naive.highest());
      }
    }
  }
}

TEST(ReplayWindow, TheWindowIsExactlyAsWideAsItSays) {
  for (const uint32_t width : {1u, 64u, 1024u, 4096u}) {
    ReplayWindow window = window_of(width, false);
    EXPECT_TRUE(window.commit(100'000));
    EXPECT_FALSE(window.check(100'000 - width)) << width;
    if (width > 1) {
      EXPECT_TRUE(window.check(100'000 - width + 1)) << width;
    }
  }
}

TEST(ReplayWindow, AJumpOverMoreThanTheWholeRingForgetsNothingWrong) {
  ReplayWindow window = window_of(4096, true);
  for (uint64_t i = 1; i <= 5000; ++i) ASSERT_TRUE(window.commit(i));
  ASSERT_TRUE(window.commit(uint64_t{1} << 40));
  for (uint64_t i = 1; i < 4096; ++i) ASSERT_TRUE(window.check((uint64_t{1} << 40) - i)) << i;
  EXPECT_FALSE(window.check((uint64_t{1} << 40) - 4096));
}

TEST(ReplayWindow, WhatIsRestoredCountsAsSeen) {
  ReplayWindow window = window_of(1024, false);
  window.set_highest(70);
  for (uint64_t i = 0; i <= 70; ++i) EXPECT_FALSE(window.check(i)) << i;
  for (uint64_t i = 71; i < 200; ++i) EXPECT_TRUE(window.commit(i)) << i;
}

TEST(ReplayWindow, InferenceAgreesWithTheDefinitionAroundEverySubspaceBoundary) {
  std::mt19937_64 random(2);
  for (const uint32_t width : {1u, 64u, 1024u, 4096u}) {
    for (const uint64_t boundary : {uint64_t{0}, uint64_t{1} << 32, uint64_t{2} << 32, uint64_t{7} << 32}) {
      for (int i = 0; i < 4000; ++i) {
        const int64_t shift = static_cast<int64_t>(random() % 16384) - 8192;
        if (boundary == 0 && shift < 0) continue;
        const uint64_t highest = boundary + static_cast<uint64_t>(shift);
        ReplayWindow window = window_of(width, true);
        NaiveWindow naive(width, true);
        window.set_highest(highest), naive.move_to(highest);
        const auto wire = static_cast<uint32_t>(highest + random() % 16384 - 8192);
        ASSERT_EQ(window.infer(wire), naive.infer(wire)) << width << ' ' << highest << ' ' << wire;
      }
    }
  }
}

TEST(ReplayWindow, InferenceFollowsASenderAcrossTheWrap) {
  ReplayWindow window = window_of(64, true);
  window.set_highest(0xfffffff0);
  for (uint64_t sent = 0xfffffff1; sent < 0x100000010; ++sent) {
    EXPECT_EQ(window.infer(static_cast<uint32_t>(sent)), sent);
    EXPECT_TRUE(window.commit(sent));
  }
  EXPECT_EQ(window.infer(0xfffffffe), 0xfffffffeu);  // late, from before the wrap
  EXPECT_FALSE(window.check(0xfffffffe));
}

TEST(ReplayWindow, WithoutExtendedNumbersTheWireIsTheNumber) {
  ReplayWindow window = window_of(64, false);
  window.set_highest(0xfffffff0);
  EXPECT_EQ(window.infer(3), 3u);
}

}  // namespace
}  // namespace adit::sad
