// One IKE message of UDP port 4500, as it goes through the pair between the workers of aditd and in.iked: one a packet
// of a SOCK_SEQPACKET socket, of the same form both ways. Numbers are in network order.
//
//   octet  0        version: 1
//          1        family of both addresses: 4 or 6
//          2 ..  3  the peer's UDP port, not 0; this host's is 4500
//          4 .. 19  this host's address; IPv4: in the first four octets, the others are zero
//         20 .. 35  the peer's address, likewise
//         36 ..     the IKE message, from its header on (28 octets or more). Not the non-ESP marker (RFC 3948 §2.2),
//         which
//                   the workers take off and put in front
//
// Both addresses are unicast: what came from elsewhere cannot be answered, and is not passed on.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "base/drop_reason.h"
#include "net/address.h"

namespace adit::ike {

constexpr uint8_t kFrameVersion = 1;
constexpr size_t kFrameHeaderBytes = 36;
constexpr size_t kLeastMessageBytes = 28;        // an IKE header (RFC 7296 §3.1)
constexpr size_t kMostMessageBytes = 65507 - 4;  // what UDP over IPv4 takes behind the marker
constexpr size_t kMostFrameBytes = kFrameHeaderBytes + kMostMessageBytes;

struct Datagram {
  net::Address local, peer;
  uint16_t peer_port = 0;
  ByteSpan message;  // somebody else's memory
};

using FrameHeader = std::array<uint8_t, kFrameHeaderBytes>;

// What stands in front of the datagram's message. none; truncated: it is shorter than an IKE header; bad_header: it is
// too long, or could not be answered.
DropReason write_frame_header(const Datagram& datagram, FrameHeader& header);
// none; truncated; bad_header: another version, or against the form above. The message lies in `frame`.
DropReason read_frame(ByteSpan frame, Datagram& datagram);

}  // namespace adit::ike
