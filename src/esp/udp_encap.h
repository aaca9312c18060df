// ESP in UDP (RFC 3948): what a datagram on port 4500 holds, and the header in front of ours.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace adit::esp {

constexpr uint32_t kNonEspMarkerBytes = 4;  // four zero bytes in front of an IKE message (RFC 3948 §2.2)

enum class UdpPayload : uint8_t {
  esp,        // an ESP packet, from its SPI on
  ike,        // an IKE message behind the non-ESP marker
  keepalive,  // one byte 0xFF (RFC 3948 §2.3): drop in silence
  malformed   // shorter than an ESP header, or SPI zero without room for an IKE header
};

// Looks at a UDP payload that came to or from port 4500.
UdpPayload classify(ByteSpan payload);

// Writes the 8 bytes of a UDP header for a payload of this many bytes. The checksum is zero, as RFC 3948 §2.1 asks over
// IPv4; over IPv6 the same is allowed for tunnels (RFC 6935), and a kernel socket fills in its own.
// REQUIRES: 8 bytes at `at`; payload_length <= 65527.
void write_udp_header(uint8_t* at, uint16_t source_port, uint16_t destination_port, uint32_t payload_length);

}  // namespace adit::esp
