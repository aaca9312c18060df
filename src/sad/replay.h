// The anti-replay window of RFC 4303 §3.4.3 with extended sequence numbers (appendix A). Up to 4096 packets wide.
#pragma once

#include <array>
#include <cstdint>

namespace adit::sad {

class ReplayWindow {
 public:
  static constexpr uint32_t kMaximum = 4096;

  // width 0: no replay protection (check says yes to all). REQUIRES: width <= kMaximum.
  void configure(uint32_t width, bool esn);

  [[nodiscard]] uint32_t width() const { return width_; }
  // The 64-bit number that the 32 bits on the wire stand for, by the window's position (RFC 4303 A2).
  [[nodiscard]] uint64_t infer(uint32_t wire) const;
  // Before the integrity check: false = seen, left of the window, or zero.
  [[nodiscard]] bool check(uint64_t sequence) const;
  // After it: check again (a burst may hold one twice) and mark. False: replay.
  bool commit(uint64_t sequence);

  [[nodiscard]] uint64_t highest() const { return highest_; }
  void set_highest(uint64_t sequence);  // PF_KEY replay value

 private:
  uint64_t highest_ = 0;
  uint32_t width_ = 0;
  bool esn_ = false;
  std::array<uint64_t, kMaximum / 64 + 1> bits_{};
};

}  // namespace adit::sad
