// ESP in UDP (RFC 3948): what a datagram on port 4500 holds, and the header in front of ours.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace adit::esp {

constexpr uint16_t kUdpEncapPort = 4500;
constexpr uint32_t kNonEspMarkerBytes = 4;  // four zero bytes in front of an IKE message (RFC 3948 §2.2)

enum class UdpPayload : uint8_t {
  esp,        // an ESP packet, from its SPI on
  ike,        // an IKE message behind the non-ESP marker
  keepalive,  // one byte 0xFF (RFC 3948 §2.3): drop in silence
  malformed   // shorter than an ESP header, or SPI zero without room for an IKE header
};

// Looks at a UDP payload that came to or from port 4500.
UdpPayload classify(ByteSpan payload);

}  // namespace adit::esp
