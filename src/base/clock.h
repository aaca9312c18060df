// Time, so that a test can move it. Control code asks a Clock; the packet path uses counters and the worker's tick.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

namespace adit {

using Seconds = std::chrono::seconds;
using Millis = std::chrono::milliseconds;
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonoTime now() const = 0;           // never goes back
  virtual uint64_t wall_seconds() const = 0;  // since 1970, UTC; for people only: anybody may set it
  // Seconds that pass, suspended ones too, whatever the wall clock is set to; from 1 upwards. Lifetimes are of these.
  virtual uint64_t seconds() const = 0;
};

inline uint64_t boot_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) + 1;
}

class SystemClock final : public Clock {
 public:
  MonoTime now() const override { return std::chrono::steady_clock::now(); }
  uint64_t wall_seconds() const override {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<Seconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  }
  uint64_t seconds() const override { return boot_seconds(); }
};

class FakeClock final : public Clock {
 public:
  MonoTime now() const override { return now_; }
  uint64_t wall_seconds() const override { return epoch_ + seconds() - 1; }
  uint64_t seconds() const override {
    return static_cast<uint64_t>(std::chrono::duration_cast<Seconds>(now_.time_since_epoch()).count()) + 1;
  }
  void advance(std::chrono::nanoseconds by) { now_ += by; }
  void step_wall(int64_t by_seconds) { epoch_ += static_cast<uint64_t>(by_seconds); }

 private:
  MonoTime now_{};
  uint64_t epoch_ = 1'700'000'000;
};

}  // namespace adit
