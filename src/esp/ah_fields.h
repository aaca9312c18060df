// Inside the room: where AH stands in an IP packet, and which fields its integrity check takes as zero.
#pragma once

#include <expected>

#include "base/bytes.h"
#include "base/drop_reason.h"

namespace adit::esp {

// Behind the IPv4 header with its options; in IPv6 behind hop-by-hop, routing and destination options (RFC 4302
// §3.1.1).
struct AhPlace {
  uint32_t offset = 0;       // of the AH header, or of where it goes
  uint32_t next_offset = 0;  // of the byte that names what stands at `offset`
  bool v6 = false;
};

// Headers longer than this are refused (bad_header).
constexpr uint32_t kMaxAhOffset = 512;

// Of a whole IP packet. bad_header: neither 4 nor 6, a fragment, options that overrun, a routing header still under way
// (its final form cannot be told). truncated: the packet ends before its headers, or its length field says otherwise.
std::expected<AhPlace, DropReason> find_ah_place(ByteSpan packet);

// Zeroes in place what RFC 4302 §3.3.3.1 and appendix A call mutable, from the start to place.offset; a source route's
// destination becomes its last hop. REQUIRES: place found in this packet; at least place.offset bytes.
// False: an option overruns its header.
bool zero_mutable_fields(uint8_t* packet, const AhPlace& place);

}  // namespace adit::esp
