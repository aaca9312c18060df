// The Tunnel Encapsulation Limit destination option (RFC 2473 §4.1.1): how often more a packet may be tunnelled.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace adit::tunnel {

// Where the option's value stands in an IPv6 packet's destination options (those before or behind a routing header); 0:
// there is none, or the packet is not to be read.
uint32_t find_encap_limit(ByteSpan ipv6_packet);

// The eight bytes of a destination options header that holds nothing else. `next` is the header that follows.
constexpr uint32_t kEncapLimitBytes = 8;
void write_encap_limit(uint8_t* at, uint8_t next, uint8_t limit);

}  // namespace adit::tunnel
