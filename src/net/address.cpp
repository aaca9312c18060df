#include "net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace adit::net {
namespace {
bool all_zero(ByteSpan bytes) {
  return std::ranges::all_of(bytes, [](uint8_t b) { return b == 0; });
}

// The first `bits` bits of a and b are equal.
bool same_bits(const uint8_t* a, const uint8_t* b, unsigned bits) {
  if (std::memcmp(a, b, bits / 8) != 0) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - bits % 8));
  return ((a[bits / 8] ^ b[bits / 8]) & mask) == 0;
}
}  // namespace

Address Address::v4(uint32_t host_order) {
  Address address;
  store_be32(address.bytes_.data(), host_order);
  return address;
}

Address Address::from_v4(const uint8_t* four_bytes) {
  return from_bytes(Family::v4, four_bytes);
}
Address Address::from_v6(const uint8_t* sixteen_bytes) {
  return from_bytes(Family::v6, sixteen_bytes);
}

Address Address::from_bytes(Family family, const uint8_t* bytes) {
  Address address;
  address.family_ = family;
  std::memcpy(address.bytes_.data(), bytes, address_bytes(family));
  return address;
}

Address Address::any(Family family) {
  Address address;
  address.family_ = family;
  return address;
}

Result<Address> Address::parse(std::string_view text) {
  const std::string terminated(text);
  std::array<uint8_t, 16> bytes;
  if (::inet_pton(AF_INET, terminated.c_str(), bytes.data()) == 1) return from_v4(bytes.data());
  if (::inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1) return from_v6(bytes.data());
  return fail(EINVAL, "'{}' is not an IP address", text);
}

bool Address::is_unspecified() const {
  return all_zero(bytes());
}
bool Address::is_multicast() const {
  return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}

bool Address::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return all_zero(bytes().first(15)) && bytes_[15] == 1;
}

bool Address::is_link_local() const {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool Address::is_limited_broadcast() const {
  return is_v4() && v4_host_order() == 0xffffffff;
}

bool Address::is_v4_mapped() const {
  return !is_v4() && all_zero(bytes().first(10)) && bytes_[10] == 0xff && bytes_[11] == 0xff;
}

std::string Address::str() const {
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  TRY_ASSIGN(const Address address, Address::parse(text.substr(0, slash)));
  if (slash == std::string_view::npos) return host(address);
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return fail(EINVAL, "Unparseable prefix: '{}'.", digits);
  if (length > address_bits(address.family())) return fail(EINVAL, "/{} prefix is too big!", length);
  return Prefix(address, static_cast<uint8_t>(length));
}

Prefix Prefix::masked() const {
  std::array<uint8_t, 16> bytes{};
  const ByteSpan from = address_.bytes();
  std::copy(from.begin(), from.end(), bytes.begin());
  for (unsigned i = 0; i < from.size(); ++i) {
    const int kept = std::clamp(static_cast<int>(length_) - static_cast<int>(8 * i), 0, 8);
    bytes[i] &= static_cast<uint8_t>(0xff00 >> kept);
  }
  return {Address::from_bytes(family(), bytes.data()), length_};
}

bool Prefix::contains(const Address& address) const {
  return address.family() == family() && same_bits(address.bytes().data(), address_.bytes().data(), length_);
}

bool Prefix::contains(const Prefix& other) const {
  return length_ <= other.length_ && contains(other.address_);
}

std::string Prefix::str() const {
  return fmt::format("{}/{}", address_.str(), length_);
}

size_t hash_address(const Address& address, size_t seed) {
  uint64_t low = 0;
  uint64_t high = 0;
  const ByteSpan bytes = address.bytes();
  std::memcpy(&low, bytes.data(), std::min<size_t>(8, bytes.size()));
  if (bytes.size() == 16) std::memcpy(&high, bytes.data() + 8, 8);
  uint64_t x = low ^ (high * 0x9e3779b97f4a7c15u) ^ (seed * 0xff51afd7ed558ccdu);
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  return x;
}

}  // namespace adit::net
