// The link: what an IP tunnel is, before any policy. Values and pure functions; bytes in, bytes out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/drop_reason.h"
#include "base/result.h"
#include "net/address.h"
#include "net/packet.h"

namespace adit::tunnel {

enum class LinkId : uint32_t {};
enum class Type : uint8_t { ipv4, ipv6 };  // the outer family

constexpr uint8_t kDefaultHopLimit = 64;
// Off unless asked for: many ways drop an IPv6 packet with destination options (RFC 7872).
constexpr uint8_t kDefaultEncapLimit = 0;
constexpr uint32_t kMinMtu = 1280;

// Links name rules: dladm(8). EINVAL with what is wrong (too long: 15 characters here; must end in a digit …).
Result<> check_name(std::string_view name);

struct Outer {  // what encapsulation needs
  Type type = Type::ipv4;
  net::Address local, remote;
  uint8_t hoplimit = kDefaultHopLimit;
  uint8_t encaplimit = kDefaultEncapLimit;  // IPv6 outer only; 0: no option
};

// mtu = max(1280, path MTU - outer header - IPsec overhead), links-and-addresses.md §1.6.
constexpr uint32_t kEspOverhead = 78, kAhOverhead = 44;
uint32_t outer_header_bytes(const Outer& outer);
uint32_t link_mtu(const Outer& outer, uint32_t path_mtu, uint32_t ipsec_overhead);

// The outer header's fields that come from the inner packet (RFC 6040 for ECN; DSCP as links-and-addresses.md §1.7),
// read before the inner packet is sealed.
struct InnerMarks {
  uint8_t traffic_class = 0;       // to be put on the outer header
  bool allow_fragmenting = false;  // inner packet <= 1280 bytes: no DF
  bool has_encaplimit = false;     // IPv6 outer: the option is present …
  uint8_t encaplimit = 0;          // … with this value. 0 is a value: what is inside may not be tunnelled again
  uint32_t problem_offset = 0;     // of encap_limit: where the inner option's value stands, for the ICMPv6 answer
};
// encap_limit (RFC 2473 §4.1.1: answer with a parameter problem at problem_offset), hop_limit, truncated, bad_header;
// none. Outer traffic class: ECN of every inner packet; DSCP only of IPv4 in IPv4, as the reference has it.
DropReason read_marks(const Outer& outer, ByteSpan inner, InnerMarks& marks);

// Writes the outer header in front of packet (its protocol field: 4, 41, 50, 51 or 17) and sets packet.protocol to 4
// or 41. `identification` is the IPv4 ID. REQUIRES: headroom.
void encapsulate(const Outer& outer, const InnerMarks& marks, uint16_t identification, net::Packet& packet);

// Inbound: takes off one outer IP header whose bytes have been checked, returns what it said.
struct OuterInfo {
  net::Address source, destination;
  uint8_t traffic_class = 0;
  uint8_t protocol = 0;  // what follows
  uint8_t hoplimit = 0;
};
// truncated, bad_header, bad_checksum; none. Leaves data at the payload, packet.protocol set, trailing bytes cut.
DropReason decapsulate(net::Packet& packet, OuterInfo& info);

// Folds the outer ECN into the inner header (RFC 6040 §4.2), fixing the IPv4 checksum. ecn_illegal, or none.
DropReason fold_ecn(uint8_t outer_traffic_class, MutByteSpan inner);

}  // namespace adit::tunnel
