#include "net/ip_header.h"

#include "net/flow.h"

namespace adit::net {
namespace {

DropReason read_v4(ByteSpan packet, IpHeader& header, Extent extent) {
  if (packet.size() < kIpv4HeaderBytes) return DropReason::truncated;
  const uint8_t* p = packet.data();
  header.family = Family::v4;
  header.payload_offset = (p[0] & 0xfu) * 4;
  header.total_length = load_be16(p + 2);
  if (header.payload_offset < kIpv4HeaderBytes || header.total_length < header.payload_offset)
    return DropReason::bad_header;
  if (packet.size() < header.payload_offset) return DropReason::truncated;
  if (extent == Extent::whole && packet.size() < header.total_length) return DropReason::truncated;

  const uint16_t fragment = load_be16(p + 6);
  header.traffic_class = p[1];
  header.identification = load_be16(p + 4);
  header.dont_fragment = (fragment & 0x4000) != 0;
  header.more_fragments = (fragment & 0x2000) != 0;
  header.fragment_offset = (fragment & 0x1fffu) * 8;
  header.fragment_header = 0;
  header.hoplimit = p[8];
  header.protocol = p[9];
  header.protocol_field = 9;
  return DropReason::none;
}

bool is_extension(uint8_t next, Authentication authentication) {
  return next == kNextHopByHop || next == kNextRouting || next == kNextFragment || next == kNextDestination ||
         (next == kProtoAh && authentication == Authentication::skip);
}

// Bytes of an extension header, by its own length field.
uint32_t extension_bytes(uint8_t kind, uint8_t length_field) {
  if (kind == kNextFragment) return 8;
  if (kind == kProtoAh) return (length_field + 2u) * 4;
  return (length_field + 1u) * 8;
}

void read_fragment_header(const uint8_t* at, uint32_t offset, IpHeader& header) {
  const uint16_t word = load_be16(at + 2);
  header.fragment_header = offset;
  header.fragment_offset = word & 0xfff8u;
  header.more_fragments = (word & 1) != 0;
  header.identification = load_be32(at + 4);
}

// Walks the chain up to the upper layer, or to the payload of a later fragment.
DropReason walk_extensions(ByteSpan packet, IpHeader& header, Authentication authentication) {
  for (uint32_t seen = 0; is_extension(header.protocol, authentication); ++seen) {
    if (seen == kMaxExtensionHeaders) return DropReason::bad_header;
    const uint8_t kind = header.protocol;
    const uint32_t offset = header.payload_offset;
    if (kind == kNextHopByHop && offset != kIpv6HeaderBytes) return DropReason::bad_header;
    if (packet.size() < offset + 8) return DropReason::truncated;
    const uint8_t* at = packet.data() + offset;
    const uint32_t bytes = extension_bytes(kind, at[1]);
    if (packet.size() < offset + bytes) return DropReason::truncated;
    if (kind == kNextRouting && at[2] == 0 && at[3] != 0) return DropReason::bad_header;
    if (kind == kNextFragment) {
      if (header.fragment_header != 0) return DropReason::bad_header;  // a fragment of a fragment
      read_fragment_header(at, offset, header);
    }
    header.protocol = at[0];
    header.protocol_field = offset;
    header.payload_offset = offset + bytes;
    if (header.later_fragment()) return DropReason::none;
  }
  return DropReason::none;
}

DropReason read_v6(ByteSpan packet, IpHeader& header, Extent extent, Authentication authentication) {
  if (packet.size() < kIpv6HeaderBytes) return DropReason::truncated;
  const uint8_t* p = packet.data();
  header = IpHeader{};
  header.family = Family::v6;
  header.traffic_class = static_cast<uint8_t>(load_be16(p) >> 4);
  header.total_length = kIpv6HeaderBytes + load_be16(p + 4);
  header.protocol = p[6];
  header.protocol_field = 6;
  header.hoplimit = p[7];
  header.payload_offset = kIpv6HeaderBytes;
  if (extent == Extent::whole && packet.size() < header.total_length) return DropReason::truncated;
  if (packet.size() > header.total_length) packet = packet.first(header.total_length);
  return walk_extensions(packet, header, authentication);
}

}  // namespace

DropReason read_ip_header(ByteSpan packet, IpHeader& header, Extent extent, Authentication authentication) {
  if (packet.empty()) return DropReason::truncated;
  switch (packet[0] >> 4) {
    case 4:
      return read_v4(packet, header, extent);
    case 6:
      return read_v6(packet, header, extent, authentication);
    default:
      return DropReason::bad_header;
  }
}

Address source_of(ByteSpan packet, const IpHeader& header) {
  return Address::from_bytes(header.family, packet.data() + header.address_offset());
}

Address destination_of(ByteSpan packet, const IpHeader& header) {
  const size_t offset = header.address_offset() + address_bytes(header.family);
  return Address::from_bytes(header.family, packet.data() + offset);
}

bool has_ports(uint8_t protocol) {
  return protocol == kProtoTcp || protocol == kProtoUdp || protocol == kProtoSctp || protocol == kProtoUdpLite;
}

}  // namespace adit::net
