// The Internet checksum (RFC 1071). A `Sum` is a ones' complement sum not yet folded, of 16-bit words in memory order,
// so that no byte is swapped while summing; fold() gives the field's value in host order, for store_be16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "net/address.h"

namespace adit::net {

class Sum {
 public:
  constexpr Sum() = default;
  // Bytes at an even distance from the start of what is summed. An odd count: only as the last piece.
  void add(ByteSpan bytes);
  void add_be16(uint16_t host_order) { value_ += host_to_be(host_order); }
  void add_be32(uint32_t host_order) { value_ += host_to_be(host_order); }
  void add(Sum other) { value_ += other.folded(); }
  // Copies `from` to `to` and sums it in the same pass. REQUIRES: no overlap.
  void add_copying(uint8_t* to, ByteSpan from);

  // The sum itself, 16 bits in host order: what a partial checksum field holds.
  [[nodiscard]] uint16_t partial() const { return host_to_be(folded()); }
  // Its complement: a checksum field's value. 0 means "correct" when the field itself was summed too.
  [[nodiscard]] uint16_t checksum() const { return static_cast<uint16_t>(~partial()); }

 private:
  [[nodiscard]] uint16_t folded() const;
  uint64_t value_ = 0;  // far from overflow: each addition is below 2^50
};

// Of one whole piece.
uint16_t checksum(ByteSpan bytes);

// The pseudo header (RFC 793 §3.1, RFC 8200 §8.1). `source` and `destination`: 4 or 16 bytes each, by the family.
Sum pseudo_header(Family family, const uint8_t* source, const uint8_t* destination, uint8_t protocol, uint32_t length);

// A checksum after one 16-bit word of what it covers changed (RFC 1624 eqn. 3). All in host order.
uint16_t update_checksum(uint16_t checksum, uint16_t old_word, uint16_t new_word);

// The byte at `offset` of what the checksum covers (counted from an even place) changes.
uint16_t update_checksum_byte(uint16_t checksum, size_t offset, uint8_t old_byte, uint8_t new_byte);

// Sets an IPv4 header's checksum field. REQUIRES: a whole header.
void set_ipv4_checksum(uint8_t* header);

// UDP sends 0 as 0xffff, since 0 says "none" (RFC 768); harmless for the others, to whom both mean the same.
constexpr uint16_t never_zero(uint16_t checksum) {
  return checksum == 0 ? 0xffff : checksum;
}

}  // namespace adit::net
