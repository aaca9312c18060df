// Software TSO and USO: a TUN super-packet becomes the packets that the wire can carry. One copy with the checksum in
// the same pass for each segment; nothing is allocated. Pure.
#pragma once

#include <array>
#include <span>

#include "base/drop_reason.h"
#include "net/checksum.h"
#include "net/offload.h"
#include "net/packet.h"

namespace adit::net {

// What all segments of one super-packet share. Points into the super-packet, which must stay and not change.
class Segmenter {
 public:
  // Reads the headers of `super`. truncated, bad_header (not the protocol that the offload names, a fragment, no
  // segment size, checksum_start elsewhere than at the transport header); none. header_length is not trusted.
  DropReason begin(ByteSpan super, const Offload& offload);

  [[nodiscard]] uint32_t count() const { return count_; }  // >= 1
  [[nodiscard]] uint32_t length(uint32_t index) const;     // bytes of that segment, headers too
  [[nodiscard]] uint32_t max_length() const { return length(0); }
  [[nodiscard]] uint32_t header_length() const { return header_length_; }

  // Writes segment `index` (any order) at `to`: IPv4 identification counted up, TCP sequence, FIN and PSH on the last
  // only, CWR on the first only, lengths, complete checksums. Returns its length. REQUIRES: length(index) bytes at
  // `to`.
  uint32_t write(uint32_t index, uint8_t* to) const;

  // Segments first, first+1 … each into its packet: data (where it begins), headroom and tailroom are the caller's
  // choice; length, tailroom and protocol (4 or 41) are set. Returns how many were written: fewer than packets.size()
  // at the end. REQUIRES: each tailroom + length >= max_length().
  uint32_t write(uint32_t first, std::span<Packet> packets) const;

 private:
  void write_ip(uint32_t index, uint8_t* header, uint32_t total) const;
  Sum begin_transport(uint32_t index, uint8_t* transport, uint32_t bytes) const;

  ByteSpan super_;
  Family family_ = Family::v4;
  bool tcp_ = false;
  bool no_checksum_ = false;    // UDP over IPv4 that came without one
  uint32_t ip_length_ = 0;      // IP header with options
  uint32_t header_length_ = 0;  // and the transport header
  uint32_t segment_bytes_ = 0;
  uint32_t count_ = 0;
  Sum ip_sum_;         // without total length, identification and checksum
  Sum transport_sum_;  // pseudo header and transport header without what differs between segments
};

// Completes the checksum of a packet that is none of many: the field at checksum_start + checksum_offset holds the
// pseudo header's sum, the rest is summed here. Nothing to do when needs_checksum is not set. truncated: start or field
// lie outside.
DropReason finish_checksum(MutByteSpan packet, const Offload& offload);

}  // namespace adit::net
