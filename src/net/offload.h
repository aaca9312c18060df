// What a TUN device says, or is told, about a packet larger than the wire: struct virtio_net_hdr's meaning in host
// terms.
#pragma once

#include <cstdint>

namespace adit::net {

struct Offload {
  enum class Kind : uint8_t { none, tcp4, tcp6, udp } kind = Kind::none;  // none: one packet. udp is USO
  bool ecn = false;
  bool needs_checksum = false;  // the transport checksum field holds only the pseudo header's sum
  uint16_t header_length = 0;   // IP + transport; read: a hint only
  uint16_t segment_bytes = 0;   // payload bytes a segment
  uint16_t checksum_start = 0, checksum_offset = 0;
};

}  // namespace adit::net
