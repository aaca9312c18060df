// An IP address of either family, and a prefix. Values, no I/O, no name resolution.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace adit::net {

enum class Family : uint8_t { v4 = 4, v6 = 6 };

constexpr uint8_t address_bits(Family family) {
  return family == Family::v4 ? 32 : 128;
}
constexpr size_t address_bytes(Family family) {
  return family == Family::v4 ? 4 : 16;
}

class Address {
 public:
  constexpr Address() = default;  // 0.0.0.0
  static Address v4(uint32_t host_order);
  static Address from_v4(const uint8_t* four_bytes);  // network order
  static Address from_v6(const uint8_t* sixteen_bytes);
  static Address from_bytes(Family family, const uint8_t* bytes);
  static Address any(Family family);

  // A literal: 192.0.2.1, 2001:db8::1. EINVAL: anything else (scope ids, names, prefixes too).
  static Result<Address> parse(std::string_view text);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_v4() const { return family_ == Family::v4; }
  // 4 or 16 bytes, network order.
  [[nodiscard]] ByteSpan bytes() const { return {bytes_.data(), address_bytes(family_)}; }
  [[nodiscard]] uint32_t v4_host_order() const { return load_be32(bytes_.data()); }

  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_multicast() const;
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] bool is_link_local() const;
  [[nodiscard]] bool is_limited_broadcast() const;  // 255.255.255.255
  [[nodiscard]] bool is_v4_mapped() const;          // ::ffff:0:0/96

  [[nodiscard]] std::string str() const;  // canonical (RFC 5952)

  friend auto operator<=>(const Address&, const Address&) = default;

 private:
  Family family_ = Family::v4;
  std::array<uint8_t, 16> bytes_{};  // unused tail is zero, so that comparison is of the whole
};

// An address with a prefix length; host bits may be set (a static address) until masked().
class Prefix {
 public:
  Prefix() = default;
  Prefix(Address address, uint8_t length) : address_(address), length_(length) {}  // REQUIRES: length <= address_bits
  static Prefix host(Address address) { return {address, address_bits(address.family())}; }
  static Prefix any(Family family) { return {Address::any(family), 0}; }

  // "10.0.0.0/24", or a bare address as a host prefix. EINVAL with what is wrong: `/33 prefix is too big!` and so on.
  static Result<Prefix> parse(std::string_view text);

  [[nodiscard]] const Address& address() const { return address_; }
  [[nodiscard]] uint8_t length() const { return length_; }
  [[nodiscard]] Family family() const { return address_.family(); }
  [[nodiscard]] Prefix masked() const;
  [[nodiscard]] bool has_host_bits() const { return masked().address_ != address_; }
  [[nodiscard]] bool contains(const Address& address) const;  // false for another family
  [[nodiscard]] bool contains(const Prefix& other) const;
  [[nodiscard]] bool overlaps(const Prefix& other) const { return contains(other) || other.contains(*this); }
  [[nodiscard]] bool is_host() const { return length_ == address_bits(family()); }
  [[nodiscard]] std::string str() const;  // always with "/length"

  friend auto operator<=>(const Prefix&, const Prefix&) = default;

 private:
  Address address_;
  uint8_t length_ = 32;
};

// For hash tables; not for anything that an attacker must not predict (tables seed it).
size_t hash_address(const Address& address, size_t seed = 0);

}  // namespace adit::net

template <>
struct std::hash<adit::net::Address> {
  size_t operator()(const adit::net::Address& address) const { return adit::net::hash_address(address); }
};
template <>
struct std::hash<adit::net::Prefix> {
  size_t operator()(const adit::net::Prefix& prefix) const {
    return adit::net::hash_address(prefix.address(), prefix.length());
  }
};
