// One IP header with its options or extension headers, read once; what every parser of this room stands on.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/drop_reason.h"
#include "net/address.h"

namespace adit::net {

constexpr uint32_t kIpv4HeaderBytes = 20, kIpv6HeaderBytes = 40;
constexpr uint32_t kMaxIpBytes = 65535;  // of an IPv4 packet, and of an IPv6 payload
constexpr uint8_t kEcnMask = 3;

// IPv6 next header values that are extension headers (RFC 8200 §4).
constexpr uint8_t kNextHopByHop = 0, kNextRouting = 43, kNextFragment = 44, kNextNone = 59, kNextDestination = 60;
constexpr uint32_t kMaxExtensionHeaders = 16;  // longer chains are bad_header: they only serve to burn our time

struct IpHeader {
  Family family = Family::v4;
  uint8_t protocol = 0;  // what stands at payload_offset; of a later fragment: what its fragment header says
  uint8_t hoplimit = 0;
  uint8_t traffic_class = 0;   // DSCP and ECN
  bool dont_fragment = false;  // IPv4 only
  bool more_fragments = false;
  uint32_t fragment_offset = 0;  // bytes
  uint32_t identification = 0;   // 16 bits in IPv4; IPv6: of the fragment header
  uint32_t total_length = 0;     // bytes of the whole packet, as its header says
  uint32_t payload_offset = 0;   // behind options and extension headers
  uint32_t fragment_header = 0;  // IPv6: where the fragment header stands; 0: none
  uint32_t protocol_field = 0;   // where the byte stands that gave `protocol`

  [[nodiscard]] bool is_v4() const { return family == Family::v4; }
  [[nodiscard]] bool fragment() const {
    return more_fragments || fragment_offset != 0;
  }  // an atomic one is none (RFC 6946)
  [[nodiscard]] bool later_fragment() const { return fragment_offset != 0; }
  [[nodiscard]] uint32_t address_offset() const { return is_v4() ? 12 : 8; }  // source; destination follows
};

enum class Extent : uint8_t {
  whole,   // all bytes that the header speaks of are there
  quoted,  // the beginning of a packet, as ICMP errors quote it: the headers must be there, the payload need not
};
enum class Authentication : uint8_t { skip, stop };  // at an IPv6 AH header

// truncated, bad_header (version, lengths, a routing header of type 0 with segments left (RFC 5095), hop-by-hop options
// that are not first, more than kMaxExtensionHeaders); none. IPv4 checksums are not looked at. Any bytes are safe.
DropReason read_ip_header(ByteSpan packet, IpHeader& header, Extent extent = Extent::whole,
                          Authentication authentication = Authentication::skip);

// REQUIRES: header was read from packet.
Address source_of(ByteSpan packet, const IpHeader& header);
Address destination_of(ByteSpan packet, const IpHeader& header);

// The upper layer is TCP, UDP, UDP-Lite or SCTP, whose first four bytes are the ports.
bool has_ports(uint8_t protocol);

}  // namespace adit::net
