// Key material: locked in memory, kept out of core dumps, wiped when it goes (invariant I8).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace adit {

// Owns a copy of secret bytes in pages that are mlock'ed and MADV_DONTDUMP, between guard pages (secret_arena.h). Some
// hundred thousand of them fit. Move-only; the source of a move is empty. There is no operator<< and no formatter on
// purpose. Any thread may read; one thread at a time may change.
class Secret {
 public:
  Secret() = default;
  // ENOMEM: see the header's end. What a request or a file asks for is made with these.
  static Result<Secret> zeros(size_t size);
  static Result<Secret> of(std::span<const uint8_t> bytes);  // a copy; the caller wipes its own
  // The same where there is always room; std::bad_alloc if there is not.
  explicit Secret(size_t size);
  explicit Secret(std::span<const uint8_t> bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  [[nodiscard]] Result<Secret> copy() const { return of(bytes()); }
  [[nodiscard]] std::span<const uint8_t> bytes() const { return {data_, size_}; }
  [[nodiscard]] std::span<uint8_t> bytes() { return {data_, size_}; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // Constant time in the contents.
  friend bool operator==(const Secret& a, const Secret& b);

  // Hexadecimal digits, an optional leading 0x. EINVAL: a character that is no hex digit. ENOMEM. An odd number of
  // digits is padded with a zero at the low end, as ipseckey does (0x123 -> 0x1230); the caller decides whether to
  // allow it.
  static Result<Secret> from_hex(std::string_view digits);

 private:
  void release() noexcept;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Overwrites so that no compiler removes it.
void wipe(void* at, size_t size) noexcept;

// Until this is called secrets are locked where the system lets us (a command of a user may lock little). Afterwards
// there is none that is not locked: what does not fit is refused (ENOMEM). EPERM: what is there already is not locked.
Result<> require_locked_secrets();

}  // namespace adit
