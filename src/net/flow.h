// What a policy can see of an inner packet: the selectors of RFC 4301 §4.4.1.1, taken from its headers.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "net/address.h"
#include "net/protocol.h"

namespace adit::net {

struct Flow {
  Address source;
  Address destination;
  uint8_t protocol = 0;     // the upper layer, behind IPv6 extension headers
  bool has_ports = false;   // source_port and destination_port are known (TCP, UDP, SCTP, not a later fragment)
  bool has_icmp = false;    // icmp_type and icmp_code are known
  bool fragment = false;    // any fragment; a later one has no ports
  bool icmp_error = false;  // an ICMP error whose embedded packet was used, swapped (policy.md §3.2)
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
  uint16_t source_port = 0;  // host order
  uint16_t destination_port = 0;
  uint32_t payload_offset = 0;  // where the upper layer begins in the packet

  friend bool operator==(const Flow&, const Flow&) = default;
};

enum class FlowError : uint8_t { none, truncated, bad_version, bad_header };

// Reads the headers of one IP packet. Nothing is allocated; any bytes are safe. On an error `flow` is unspecified.
// Total length shorter than `packet` is allowed (padding); longer is `truncated`, as is a packet (or first fragment)
// that ends before its ports or its ICMP type and code. IPv6: `protocol` is what follows the extension headers
// (hop-by-hop, routing, fragment, destination options, AH; mobility is an upper layer); `destination` is the header's.
FlowError read_flow(ByteSpan packet, Flow& flow);

// For an ICMP error (v4 types 3, 4, 5, 11, 12; v6 types 1-4): the selectors of the embedded packet with source and
// destination swapped, so that it matches the rule of the traffic that it is about. False: not an error, unreadable, or
// sent to another host than the embedded packet's sender (else an error about allowed traffic would carry bytes to
// anyone).
bool read_embedded_flow(ByteSpan packet, const Flow& outer, Flow& embedded);

}  // namespace adit::net
