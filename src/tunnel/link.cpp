#include "tunnel/link.h"

#include <algorithm>
#include <cstring>

#include "net/checksum.h"
#include "net/flow.h"
#include "net/ip_header.h"
#include "tunnel/encap_limit.h"

namespace adit::tunnel {

using net::kIpv4HeaderBytes;
using net::kIpv6HeaderBytes;

uint32_t outer_header_bytes(const Outer& outer) {
  if (outer.type == Type::ipv4) return kIpv4HeaderBytes;
  // As the reference has it: without the option the header is only counted short when the hop limit was set as well.
  // The room serves packets that bring an option of their own, which is handed on.
  const bool bare = outer.encaplimit == 0 && outer.hoplimit != kDefaultHopLimit;
  return bare ? kIpv6HeaderBytes : kIpv6HeaderBytes + kEncapLimitBytes;
}

uint32_t link_mtu(const Outer& outer, uint32_t path_mtu, uint32_t ipsec_overhead) {
  const uint32_t most =
      net::kMaxIpBytes - (outer.type == Type::ipv4 ? kIpv4HeaderBytes : kIpv6HeaderBytes + kEncapLimitBytes);
  const uint32_t taken = outer_header_bytes(outer) + ipsec_overhead;
  const uint32_t left = path_mtu > taken ? path_mtu - taken : 0;
  return std::clamp(left, kMinMtu, most);
}

namespace {

// The option that the outer header gets, from the one inside (RFC 2473 §4.1.1) and the link's own.
DropReason choose_encap_limit(const Outer& outer, ByteSpan inner, InnerMarks& marks) {
  marks.has_encaplimit = outer.encaplimit != 0;
  marks.encaplimit = outer.encaplimit;
  const uint32_t at = find_encap_limit(inner);
  if (at == 0) return DropReason::none;
  const uint8_t limit = inner[at];
  if (limit == 0) {
    marks.problem_offset = at;
    return DropReason::encap_limit;
  }
  const auto less = static_cast<uint8_t>(limit - 1);
  marks.encaplimit = marks.has_encaplimit ? std::min(less, outer.encaplimit) : less;
  marks.has_encaplimit = true;
  return DropReason::none;
}

void write_v4(const Outer& outer, const InnerMarks& marks, uint16_t identification, net::Packet& packet) {
  const uint8_t protocol = packet.protocol;
  packet.prepend(kIpv4HeaderBytes);
  uint8_t* p = packet.data;
  std::memset(p, 0, kIpv4HeaderBytes);
  p[0] = 0x45;
  p[1] = marks.traffic_class;
  store_be16(p + 2, static_cast<uint16_t>(packet.length));
  store_be16(p + 4, identification);
  store_be16(p + 6, marks.allow_fragmenting ? 0 : 0x4000);
  p[8] = outer.hoplimit;
  p[9] = protocol;
  std::memcpy(p + 12, outer.local.bytes().data(), 4);
  std::memcpy(p + 16, outer.remote.bytes().data(), 4);
  net::set_ipv4_checksum(p);
  packet.protocol = net::kProtoIpv4;
}

void write_v6(const Outer& outer, const InnerMarks& marks, net::Packet& packet) {
  uint8_t next = packet.protocol;
  if (marks.has_encaplimit) {
    packet.prepend(kEncapLimitBytes);
    write_encap_limit(packet.data, next, marks.encaplimit);
    next = net::kNextDestination;
  }
  const uint32_t payload = packet.length;
  packet.prepend(kIpv6HeaderBytes);
  uint8_t* p = packet.data;
  store_be32(p, 0x60000000u | uint32_t{marks.traffic_class} << 20);
  store_be16(p + 4, static_cast<uint16_t>(payload));
  p[6] = next;
  p[7] = outer.hoplimit;
  std::memcpy(p + 8, outer.local.bytes().data(), 16);
  std::memcpy(p + 24, outer.remote.bytes().data(), 16);
  packet.protocol = net::kProtoIpv6;
}

}  // namespace

DropReason read_marks(const Outer& outer, ByteSpan inner, InnerMarks& marks) {
  net::IpHeader ip;
  if (const DropReason reason = net::read_ip_header(inner, ip); reason != DropReason::none) return reason;
  if (ip.hoplimit == 0) return DropReason::hop_limit;
  marks = InnerMarks{};
  const bool copies_dscp = outer.type == Type::ipv4 && ip.is_v4();
  marks.traffic_class = copies_dscp ? ip.traffic_class : ip.traffic_class & net::kEcnMask;
  marks.allow_fragmenting = ip.total_length <= kMinMtu;
  if (outer.type == Type::ipv4) return DropReason::none;
  return choose_encap_limit(outer, inner.first(ip.total_length), marks);
}

void encapsulate(const Outer& outer, const InnerMarks& marks, uint16_t identification, net::Packet& packet) {
  if (outer.type == Type::ipv4)
    write_v4(outer, marks, identification, packet);
  else
    write_v6(outer, marks, packet);
}

DropReason decapsulate(net::Packet& packet, OuterInfo& info) {
  net::IpHeader ip;
  const DropReason reason = net::read_ip_header(packet.bytes(), ip, net::Extent::whole, net::Authentication::stop);
  if (reason != DropReason::none) return reason;
  if (ip.fragment()) return DropReason::bad_header;
  if (ip.is_v4() && net::checksum(packet.bytes().first(ip.payload_offset)) != 0) return DropReason::bad_checksum;
  info.source = source_of(packet.bytes(), ip);
  info.destination = destination_of(packet.bytes(), ip);
  info.traffic_class = ip.traffic_class;
  info.protocol = ip.protocol;
  info.hoplimit = ip.hoplimit;
  packet.trim_back(packet.length - ip.total_length);
  packet.trim_front(ip.payload_offset);
  packet.protocol = ip.protocol;
  return DropReason::none;
}

}  // namespace adit::tunnel
