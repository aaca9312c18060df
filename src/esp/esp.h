// ESP (RFC 4303) and AH (RFC 4302) on bursts: bytes in, bytes out, no I/O, nothing allocated.
#pragma once

#include <span>

#include "crypto/transform.h"
#include "net/packet.h"
#include "sad/sa.h"

namespace adit::esp {

constexpr size_t kMaxBurst = 128;

// Outbound. Each packet holds the payload (data, length) and in `protocol` the next header; afterwards data/length span
// ESP header to ICV and protocol is 50. A burst gets consecutive sequence numbers. On failure packet.drop is set
// (sequence_exhausted, sequence_unsaved, crypto_failed, no_buffer) and its bytes are unspecified: never send them.
// REQUIRES: at most kMaxBurst packets; room of kHeadroom/kTailroom.
// Packets whose drop is already set are left alone, here and below.
void seal(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets);

// Inbound. data/length span ESP header to ICV, all of this SA. Does: replay check, open, replay commit, padding check.
// Afterwards data/length span the payload with any TFC padding still behind it, protocol is the next header, sequence
// is set. Sets drop: replay, sequence_unsaved, bad_icv, bad_padding, truncated, dummy (next header 59), crypto_failed.
// Takes sa.inbound_owner for the burst.
void open(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets);

// AH. data/length span the whole outer IP packet (complete header, length fields without AH). seal inserts the AH
// header behind the IP header (and IPv6 hop-by-hop/routing/destination options per RFC 4302 §3.1.1), fixing lengths and
// the IPv4 checksum; open verifies and removes it, fixing them back. Mutable fields as RFC 4302 §3.3.3.1. With ESN four
// bytes of tailroom are used. Sets drop: sequence_exhausted, crypto_failed, no_buffer, too_big (seal); replay, bad_icv
// (open); truncated, bad_header (fragments, options that overrun, an unfinished routing header). protocol is left
// alone. Takes sa.inbound_owner for the burst (open).
void ah_seal(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets);
void ah_open(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets);

// Bytes that seal adds to a payload of this many bytes under this SA (header, IV, padding, trailer, ICV).
uint32_t overhead(const sad::Sa& sa, uint32_t payload_length);

}  // namespace adit::esp
