#include "base/secret.h"

#include <cstring>
#include <new>
#include <utility>

#include "base/secret_arena.h"

namespace adit {
namespace {
int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

void wipe(void* at, size_t size) noexcept {
  if (size != 0) ::explicit_bzero(at, size);
}

Result<> require_locked_secrets() {
  return SecretArena::of_process().require_locked();
}

Result<Secret> Secret::zeros(size_t size) {
  Secret secret;
  if (size == 0) return secret;
  TRY_ASSIGN(secret.data_, SecretArena::of_process().take(size));
  secret.size_ = size;
  return secret;
}

Result<Secret> Secret::of(std::span<const uint8_t> bytes) {
  TRY_ASSIGN(Secret secret, zeros(bytes.size()));
  if (!bytes.empty()) std::memcpy(secret.data_, bytes.data(), bytes.size());
  return secret;
}

Secret::Secret(size_t size) {
  auto made = zeros(size);
  if (!made) throw std::bad_alloc();
  *this = std::move(*made);
}

Secret::Secret(std::span<const uint8_t> bytes) : Secret(bytes.size()) {
  if (size_ != 0) std::memcpy(data_, bytes.data(), size_);
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Secret::~Secret() {
  release();
}

void Secret::release() noexcept {
  if (data_ != nullptr) SecretArena::of_process().give_back(data_, size_);
  data_ = nullptr;
}

bool operator==(const Secret& a, const Secret& b) {
  if (a.size_ != b.size_) return false;
  uint8_t difference = 0;
  for (size_t i = 0; i < a.size_; ++i) difference |= a.data_[i] ^ b.data_[i];
  return difference == 0;
}

Result<Secret> Secret::from_hex(std::string_view digits) {
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  if (digits.empty()) return Secret();
  TRY_ASSIGN(Secret secret, zeros((digits.size() + 1) / 2));
  for (size_t i = 0; i < digits.size(); ++i) {
    const int nibble = hex_digit(digits[i]);
    if (nibble < 0) return fail(EINVAL, "character {} of the key is not a hexadecimal digit", i + 1);
    // There is a digit, so there is a byte. NOLINTNEXTLINE(clang-analyzer-core.NullDereference)
    secret.data_[i / 2] |= static_cast<uint8_t>(i % 2 == 0 ? nibble << 4 : nibble);
  }
  return secret;
}

}  // namespace adit
