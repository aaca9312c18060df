#include "sad/replay.h"

#include <algorithm>

#include "base/check.h"

namespace adit::sad {
namespace {
// The marks are a ring of words, one more than the widest window needs: the word that is being filled never holds marks
// of the window's far end, so advancing clears whole words and never shifts (RFC 6479 has the idea).
constexpr uint64_t kWords = ReplayWindow::kMaximum / 64 + 1;
constexpr uint64_t bit_of(uint64_t sequence) {
  return uint64_t{1} << (sequence % 64);
}
constexpr uint64_t word_of(uint64_t sequence) {
  return sequence / 64 % kWords;
}
}  // namespace

void ReplayWindow::configure(uint32_t width, bool esn) {
  CHECK(width <= kMaximum);
  width_ = width;
  esn_ = esn;
  highest_ = 0;
  bits_.fill(0);
}

uint64_t ReplayWindow::infer(uint32_t wire) const {
  if (!esn_) return wire;
  const uint32_t width = width_ == 0 ? kMaximum : width_;
  const uint32_t low = static_cast<uint32_t>(highest_);
  const uint64_t high = highest_ >> 32;
  const uint32_t left = low - (width - 1);  // wraps below zero when the window spans two subspaces
  uint64_t wire_high = high;
  if (low >= width - 1) {
    if (wire < left) wire_high = high + 1;
  } else if (wire >= left && high != 0) {
    wire_high = high - 1;
  }
  return wire_high << 32 | wire;
}

bool ReplayWindow::check(uint64_t sequence) const {
  if (width_ == 0) return true;
  if (sequence == 0) return false;
  if (sequence > highest_) return true;
  if (highest_ - sequence >= width_) return false;
  return (bits_[word_of(sequence)] & bit_of(sequence)) == 0;
}

bool ReplayWindow::commit(uint64_t sequence) {
  if (!check(sequence)) return false;
  if (sequence > highest_) {
    const uint64_t words = std::min(sequence / 64 - highest_ / 64, kWords);
    for (uint64_t i = 0; i < words; ++i) bits_[(sequence / 64 - i) % kWords] = 0;
    highest_ = sequence;
  }
  if (width_ != 0) bits_[word_of(sequence)] |= bit_of(sequence);
  return true;
}

void ReplayWindow::set_highest(uint64_t sequence) {
  highest_ = sequence;
  bits_.fill(~uint64_t{0});  // everything up to here counts as seen
  const uint64_t bit = bit_of(sequence);
  bits_[word_of(sequence)] = bit | (bit - 1);
}

}  // namespace adit::sad
