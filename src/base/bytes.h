// Bytes in and out: network byte order loads and stores, and a reader that cannot run past its end.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace adit {

using ByteSpan = std::span<const uint8_t>;
using MutByteSpan = std::span<uint8_t>;

template <typename T>
constexpr T host_to_be(T value) {
  if constexpr (std::endian::native == std::endian::big || sizeof(T) == 1)
    return value;
  else if constexpr (sizeof(T) == 2)
    return static_cast<T>(__builtin_bswap16(static_cast<uint16_t>(value)));
  else if constexpr (sizeof(T) == 4)
    return static_cast<T>(__builtin_bswap32(static_cast<uint32_t>(value)));
  else
    return static_cast<T>(__builtin_bswap64(static_cast<uint64_t>(value)));
}

// REQUIRES: sizeof(T) bytes at `at`. Alignment does not matter.
template <typename T>
T load_be(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return host_to_be(value);
}
inline uint16_t load_be16(const uint8_t* at) {
  return load_be<uint16_t>(at);
}
inline uint32_t load_be32(const uint8_t* at) {
  return load_be<uint32_t>(at);
}
inline uint64_t load_be64(const uint8_t* at) {
  return load_be<uint64_t>(at);
}

template <typename T>
void store_be(uint8_t* at, std::type_identity_t<T> value) {
  const T wire = host_to_be<T>(value);
  std::memcpy(at, &wire, sizeof wire);
}
inline void store_be16(uint8_t* at, uint16_t value) {
  store_be<uint16_t>(at, value);
}
inline void store_be32(uint8_t* at, uint32_t value) {
  store_be<uint32_t>(at, value);
}
inline void store_be64(uint8_t* at, uint64_t value) {
  store_be<uint64_t>(at, value);
}

// Walks a message from front to back. Every read says whether the bytes were there; after the first failure all fail.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : rest_(bytes) {}

  [[nodiscard]] size_t left() const { return rest_.size(); }
  [[nodiscard]] bool ok() const { return ok_; }

  // The next `count` bytes, or nothing (and the reader has failed).
  std::optional<ByteSpan> take(size_t count) {
    if (!ok_ || count > rest_.size()) {
      ok_ = false;
      return std::nullopt;
    }
    const ByteSpan taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  // Host byte order, as PF_KEY and PF_POLICY have it.
  template <typename T>
  std::optional<T> host() {
    const auto bytes = take(sizeof(T));
    if (!bytes) return std::nullopt;
    T value;
    std::memcpy(&value, bytes->data(), sizeof value);
    return value;
  }

  // Network byte order.
  template <typename T>
  std::optional<T> be() {
    const auto value = host<T>();
    if (!value) return std::nullopt;
    return host_to_be(*value);
  }

 private:
  ByteSpan rest_;
  bool ok_ = true;
};

}  // namespace adit
