#include "net/checksum.h"

#include <cstring>

#include "net/ip_header.h"

namespace adit::net {
namespace {

// Lanes of 32-bit words added into 64-bit ones: no carry to chase, so that it runs as wide as the processor's
// registers.
using Lanes = uint64_t __attribute__((vector_size(32)));
constexpr size_t kLaneBytes = sizeof(Lanes);

template <bool kCopy>
[[gnu::always_inline]] inline uint64_t sum_bytes(uint8_t* to, const uint8_t* from, size_t size) {
  Lanes low{}, high{};
  for (; size >= 2 * kLaneBytes; size -= 2 * kLaneBytes, from += 2 * kLaneBytes) {
    Lanes a, b;
    std::memcpy(&a, from, kLaneBytes);
    std::memcpy(&b, from + kLaneBytes, kLaneBytes);
    if constexpr (kCopy) {
      std::memcpy(to, &a, kLaneBytes);
      std::memcpy(to + kLaneBytes, &b, kLaneBytes);
      to += 2 * kLaneBytes;
    }
    low += (a & 0xffffffffu) + (b & 0xffffffffu);
    high += (a >> 32) + (b >> 32);
  }
  low += high;
  uint64_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += (low[i] & 0xffffffffu) + (low[i] >> 32);
  for (; size >= 4; size -= 4, from += 4) {
    uint32_t word;
    std::memcpy(&word, from, 4);
    if constexpr (kCopy) {
      std::memcpy(to, &word, 4);
      to += 4;
    }
    sum += word;
  }
  if (size != 0) {
    uint32_t word = 0;  // the missing bytes count as zero (RFC 1071 §1)
    std::memcpy(&word, from, size);
    if constexpr (kCopy) std::memcpy(to, from, size);
    sum += word;
  }
  return sum;
}

uint64_t sum_plain(uint8_t* to, const uint8_t* from, size_t size) {
  return sum_bytes<false>(to, from, size);
}
uint64_t sum_copy(uint8_t* to, const uint8_t* from, size_t size) {
  return sum_bytes<true>(to, from, size);
}

using SumFunction = uint64_t (*)(uint8_t*, const uint8_t*, size_t);

#if defined(__x86_64__)
[[gnu::target("avx2")]] uint64_t sum_plain_avx2(uint8_t* to, const uint8_t* from, size_t size) {
  return sum_bytes<false>(to, from, size);
}
[[gnu::target("avx2")]] uint64_t sum_copy_avx2(uint8_t* to, const uint8_t* from, size_t size) {
  return sum_bytes<true>(to, from, size);
}
const bool kAvx2 = __builtin_cpu_supports("avx2") != 0;
const SumFunction kSum = kAvx2 ? sum_plain_avx2 : sum_plain;
const SumFunction kSumCopying = kAvx2 ? sum_copy_avx2 : sum_copy;
#else
constexpr SumFunction kSum = sum_plain;
constexpr SumFunction kSumCopying = sum_copy;
#endif

uint16_t fold(uint64_t value) {
  value = (value & 0xffffffffu) + (value >> 32);
  value = (value & 0xffffffffu) + (value >> 32);
  value = (value & 0xffffu) + (value >> 16);
  value = (value & 0xffffu) + (value >> 16);
  return static_cast<uint16_t>(value);
}

}  // namespace

void Sum::add(ByteSpan bytes) {
  value_ += kSum(nullptr, bytes.data(), bytes.size());
}

void Sum::add_copying(uint8_t* to, ByteSpan from) {
  value_ += kSumCopying(to, from.data(), from.size());
}

uint16_t Sum::folded() const {
  return fold(value_);
}

uint16_t checksum(ByteSpan bytes) {
  Sum sum;
  sum.add(bytes);
  return sum.checksum();
}

Sum pseudo_header(Family family, const uint8_t* source, const uint8_t* destination, uint8_t protocol, uint32_t length) {
  Sum sum;
  for (size_t i = 0; i < address_bytes(family); i += 4) {
    sum.add_be32(load_be32(source + i));
    sum.add_be32(load_be32(destination + i));
  }
  sum.add_be32(length);
  sum.add_be16(protocol);
  return sum;
}

uint16_t update_checksum(uint16_t checksum, uint16_t old_word, uint16_t new_word) {
  const uint32_t sum =
      static_cast<uint16_t>(~checksum) + static_cast<uint32_t>(static_cast<uint16_t>(~old_word)) + new_word;
  return static_cast<uint16_t>(~fold(sum));
}

uint16_t update_checksum_byte(uint16_t checksum, size_t offset, uint8_t old_byte, uint8_t new_byte) {
  const unsigned shift = offset % 2 == 0 ? 8 : 0;
  return update_checksum(checksum, static_cast<uint16_t>(old_byte << shift), static_cast<uint16_t>(new_byte << shift));
}

void set_ipv4_checksum(uint8_t* header) {
  store_be16(header + 10, 0);
  store_be16(header + 10, checksum({header, (header[0] & size_t{0xf}) * 4}));
}

}  // namespace adit::net
