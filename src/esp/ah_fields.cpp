#include "esp/ah_fields.h"

#include "net/flow.h"
#include "net/ip_header.h"

namespace adit::esp {
namespace {

constexpr uint8_t kOptionEnd = 0, kOptionNop = 1, kOptionLooseRoute = 131, kOptionStrictRoute = 137;
constexpr uint8_t kOption6Pad1 = 0, kOption6Mutable = 0x20;  // RFC 8200 §4.2: the third bit

// RFC 4302 appendix A1.
constexpr bool is_immutable_v4(uint8_t option) {
  switch (option) {
    case 130:  // security
    case 133:  // extended security
    case 134:  // commercial security
    case 148:  // router alert
    case 149:
      return true;  // sender directed multi-destination delivery
    default:
      return false;
  }
}

std::expected<AhPlace, DropReason> find_v4(ByteSpan packet) {
  if (packet.size() < net::kIpv4HeaderBytes) return std::unexpected(DropReason::truncated);
  const uint32_t header = (packet[0] & 15u) * 4;
  if (header < net::kIpv4HeaderBytes) return std::unexpected(DropReason::bad_header);
  if (packet.size() < header || load_be16(&packet[2]) != packet.size()) return std::unexpected(DropReason::truncated);
  if ((load_be16(&packet[6]) & 0x3fff) != 0) return std::unexpected(DropReason::bad_header);  // a fragment
  return AhPlace{header, 9, false};
}

std::expected<AhPlace, DropReason> find_v6(ByteSpan packet) {
  if (packet.size() < net::kIpv6HeaderBytes) return std::unexpected(DropReason::truncated);
  if (load_be16(&packet[4]) + net::kIpv6HeaderBytes != packet.size()) return std::unexpected(DropReason::truncated);
  AhPlace place{net::kIpv6HeaderBytes, 6, true};
  while (true) {
    const uint8_t next = packet[place.next_offset];
    if (next == net::kNextFragment) return std::unexpected(DropReason::bad_header);
    if (next != net::kNextHopByHop && next != net::kNextRouting && next != net::kNextDestination) return place;
    if (packet.size() < place.offset + 8) return std::unexpected(DropReason::truncated);
    const uint32_t bytes = (packet[place.offset + 1] + 1u) * 8;
    if (packet.size() < place.offset + bytes) return std::unexpected(DropReason::truncated);
    if (next == net::kNextRouting && packet[place.offset + 3] != 0) return std::unexpected(DropReason::bad_header);
    place.next_offset = place.offset;
    place.offset += bytes;
    if (place.offset > kMaxAhOffset) return std::unexpected(DropReason::bad_header);
  }
}

bool zero_v4_options(uint8_t* packet, uint32_t header) {
  for (uint32_t at = net::kIpv4HeaderBytes; at < header && packet[at] != kOptionEnd;) {
    if (packet[at] == kOptionNop) {
      ++at;
      continue;
    }
    if (at + 2 > header) return false;
    const uint8_t type = packet[at], length = packet[at + 1];
    if (length < 2 || at + length > header) return false;
    const bool source_route = type == kOptionLooseRoute || type == kOptionStrictRoute;
    if (source_route && length >= 7 && packet[at + 2] <= length) std::memcpy(packet + 16, packet + at + length - 4, 4);
    if (!is_immutable_v4(type)) std::memset(packet + at, 0, length);
    at += length;
  }
  return true;
}

bool zero_v4(uint8_t* packet, uint32_t header) {
  packet[1] = 0;                   // DSCP, ECN
  std::memset(packet + 6, 0, 3);   // flags, fragment offset, TTL
  std::memset(packet + 10, 0, 2);  // checksum
  return zero_v4_options(packet, header);
}

// One hop-by-hop or destination options header.
bool zero_v6_options(uint8_t* header, uint32_t bytes) {
  for (uint32_t at = 2; at < bytes;) {
    if (header[at] == kOption6Pad1) {
      ++at;
      continue;
    }
    if (at + 2 > bytes || at + 2 + header[at + 1] > bytes) return false;
    if ((header[at] & kOption6Mutable) != 0) std::memset(header + at + 2, 0, header[at + 1]);
    at += 2u + header[at + 1];
  }
  return true;
}

bool zero_v6(uint8_t* packet, uint32_t end) {
  store_be32(packet, 0x60000000);  // traffic class, flow label
  packet[7] = 0;                   // hop limit
  uint8_t next = packet[6];
  for (uint32_t at = net::kIpv6HeaderBytes; at < end;) {
    const uint32_t bytes = (packet[at + 1] + 1u) * 8;
    if (next != net::kNextRouting && !zero_v6_options(packet + at, bytes)) return false;
    next = packet[at];
    at += bytes;
  }
  return true;
}

}  // namespace

std::expected<AhPlace, DropReason> find_ah_place(ByteSpan packet) {
  if (packet.empty()) return std::unexpected(DropReason::truncated);
  const uint8_t version = packet[0] >> 4;
  if (version == 4) return find_v4(packet);
  if (version == 6) return find_v6(packet);
  return std::unexpected(DropReason::bad_header);
}

bool zero_mutable_fields(uint8_t* packet, const AhPlace& place) {
  return place.v6 ? zero_v6(packet, place.offset) : zero_v4(packet, place.offset);
}

}  // namespace adit::esp
