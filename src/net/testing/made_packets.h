// Packets for tests, written out field by field. Not for the packet path: it allocates.
#pragma once

#include <cstring>
#include <initializer_list>
#include <vector>

#include "net/address.h"
#include "net/checksum.h"
#include "net/flow.h"
#include "net/ip_header.h"

namespace adit::net::made {

using Bytes = std::vector<uint8_t>;

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Address address(const char* text) {
  return *Address::parse(text);
}

// `count` bytes that repeat only after a long while, so that a misplaced piece shows.
inline Bytes pattern(size_t count, uint32_t from = 0) {
  Bytes bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(((from + i) * 2654435761u) >> 21);
  return bytes;
}

struct Ip {
  Address source = address("10.0.0.2"), destination = address("10.0.1.2");
  uint8_t protocol = kProtoUdp;
  uint8_t hoplimit = 64, traffic_class = 0;
  uint16_t identification = 0x1234;
  uint16_t fragment = 0x4000;  // IPv4: flags and offset as on the wire
  Bytes options;               // IPv4; padded by the caller to a multiple of 4
};

// The packet with that payload; IPv6 extension headers are the beginning of the payload.
inline Bytes ip(const Ip& spec, const Bytes& payload) {
  const bool v4 = spec.source.is_v4();
  Bytes header(v4 ? kIpv4HeaderBytes + spec.options.size() : kIpv6HeaderBytes);
  uint8_t* p = header.data();
  const size_t addresses = v4 ? 12 : 8;
  if (v4) {
    p[0] = static_cast<uint8_t>(0x40 | header.size() / 4);
    p[1] = spec.traffic_class;
    store_be16(p + 2, static_cast<uint16_t>(header.size() + payload.size()));
    store_be16(p + 4, spec.identification);
    store_be16(p + 6, spec.fragment);
    p[8] = spec.hoplimit;
    p[9] = spec.protocol;
    if (!spec.options.empty()) std::memcpy(p + 20, spec.options.data(), spec.options.size());
  } else {
    store_be32(p, 0x60000000u | uint32_t{spec.traffic_class} << 20);
    store_be16(p + 4, static_cast<uint16_t>(payload.size()));
    p[6] = spec.protocol;
    p[7] = spec.hoplimit;
  }
  std::memcpy(p + addresses, spec.source.bytes().data(), spec.source.bytes().size());
  std::memcpy(p + addresses + spec.source.bytes().size(), spec.destination.bytes().data(),
              spec.destination.bytes().size());
  if (v4) set_ipv4_checksum(p);
  return header + payload;
}

inline Ip v6(uint8_t protocol = kProtoUdp) {
  Ip spec;
  spec.source = address("2001:db8::2");
  spec.destination = address("2001:db8:1::2");
  spec.protocol = protocol;
  return spec;
}

// The checksum of the transport header and payload that begin at `transport`, by the slow and plain definition.
inline uint16_t transport_checksum(const Bytes& packet, size_t transport, uint8_t protocol) {
  const bool v4 = (packet[0] >> 4) == 4;
  uint64_t sum = protocol + (packet.size() - transport);
  const auto word = [&](size_t at) {
    return (uint32_t{packet[at]} << 8) | (at + 1 < packet.size() ? uint32_t{packet[at + 1]} : 0u);
  };
  for (size_t at = v4 ? 12 : 8; at < (v4 ? 20u : 40u); at += 2) sum += word(at);
  for (size_t at = transport; at < packet.size(); at += 2) sum += word(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

inline bool checksums_hold(const Bytes& packet, size_t transport, uint8_t protocol) {
  const bool v4 = (packet[0] >> 4) == 4;
  if (v4 && checksum(ByteSpan(packet).first((packet[0] & 0xfu) * 4)) != 0) return false;
  return transport_checksum(packet, transport, protocol) == 0;
}

struct Tcp {
  uint16_t source_port = 40000, destination_port = 80;
  uint32_t sequence = 1000, acknowledgment = 2000;
  uint8_t flags = 0x10;  // ACK
  uint16_t window = 500;
  Bytes options;
};

inline Bytes tcp(Ip spec, const Tcp& t, const Bytes& payload) {
  spec.protocol = kProtoTcp;
  Bytes header(20 + t.options.size());
  store_be16(&header[0], t.source_port);
  store_be16(&header[2], t.destination_port);
  store_be32(&header[4], t.sequence);
  store_be32(&header[8], t.acknowledgment);
  header[12] = static_cast<uint8_t>(header.size() / 4 << 4);
  header[13] = t.flags;
  store_be16(&header[14], t.window);
  if (!t.options.empty()) std::memcpy(&header[20], t.options.data(), t.options.size());
  Bytes packet = ip(spec, header + payload);
  const size_t transport = packet.size() - header.size() - payload.size();
  store_be16(&packet[transport + 16], transport_checksum(packet, transport, kProtoTcp));
  return packet;
}

inline Bytes udp(Ip spec, uint16_t source_port, uint16_t destination_port, const Bytes& payload) {
  spec.protocol = kProtoUdp;
  Bytes header(8);
  store_be16(&header[0], source_port);
  store_be16(&header[2], destination_port);
  store_be16(&header[4], static_cast<uint16_t>(8 + payload.size()));
  Bytes packet = ip(spec, header + payload);
  const size_t transport = packet.size() - 8 - payload.size();
  store_be16(&packet[transport + 6], never_zero(transport_checksum(packet, transport, kProtoUdp)));
  return packet;
}

// An ICMP error about `quoted` (v4 or v6 by the addresses), checksum not set: no parser here looks at it.
inline Bytes icmp_error(Ip spec, uint8_t type, uint8_t code, const Bytes& quoted) {
  spec.protocol = spec.source.is_v4() ? kProtoIcmp : kProtoIcmp6;
  return ip(spec, Bytes{type, code, 0, 0, 0, 0, 0, 0} + quoted);
}

}  // namespace adit::net::made
