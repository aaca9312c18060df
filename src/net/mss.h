// TCP MSS clamping, so that TCP never meets the tunnel's MTU the hard way.
#pragma once

#include "base/bytes.h"

namespace adit::net {

// The state of a packet's transport checksum field.
enum class FieldState : uint8_t {
  complete,  // covers the segment: it is corrected for the changed option
  partial,   // virtio needs_checksum: it holds the pseudo header's sum, in which options have no part, and stays as it
             // is
};

// When `packet` is a TCP SYN (or SYN with ACK) whose MSS option is larger than what fits `mtu` bytes (mtu - 40 in IPv4,
// mtu - 60 in IPv6; RFC 6691: options do not count), lowers it. True: changed. A packet without the option, a later
// fragment or anything unreadable stays as it is.
bool clamp_mss(MutByteSpan packet, uint32_t mtu, FieldState checksum);

}  // namespace adit::net
