#include "net/segment.h"

#include <algorithm>
#include <cstring>

#include "net/flow.h"
#include "net/ip_header.h"

namespace adit::net {
namespace {

constexpr uint32_t kTcpHeader = 20, kUdpHeader = 8;
constexpr uint32_t kTcpSequence = 4, kTcpDataOffset = 12, kTcpFlags = 13, kTcpChecksum = 16;
constexpr uint32_t kUdpLength = 4, kUdpChecksum = 6;
constexpr uint8_t kFin = 0x01, kPsh = 0x08, kCwr = 0x80;

// The headers are of the protocol that the offload names.
bool matches(const IpHeader& header, Offload::Kind kind) {
  switch (kind) {
    case Offload::Kind::tcp4:
      return header.is_v4() && header.protocol == kProtoTcp;
    case Offload::Kind::tcp6:
      return !header.is_v4() && header.protocol == kProtoTcp;
    case Offload::Kind::udp:
      return header.protocol == kProtoUdp;
    case Offload::Kind::none:
      return false;
  }
  return false;
}

// 0: the transport header is not whole or lies about its length.
uint32_t transport_header_bytes(ByteSpan transport, bool tcp) {
  const uint32_t least = tcp ? kTcpHeader : kUdpHeader;
  if (transport.size() < least) return 0;
  if (!tcp) return least;
  const uint32_t bytes = (transport[kTcpDataOffset] >> 4) * 4u;
  return bytes < least || bytes > transport.size() ? 0 : bytes;
}

// `header` without the 16-bit words at the offsets given (even ones).
Sum sum_without(ByteSpan header, std::initializer_list<uint32_t> offsets) {
  uint8_t copy[60];
  std::memcpy(copy, header.data(), header.size());
  for (const uint32_t offset : offsets) std::memset(copy + offset, 0, 2);
  Sum sum;
  sum.add({copy, header.size()});
  return sum;
}

}  // namespace

DropReason Segmenter::begin(ByteSpan super, const Offload& offload) {
  IpHeader ip;
  if (const DropReason reason = read_ip_header(super, ip); reason != DropReason::none) return reason;
  if (ip.fragment() || !matches(ip, offload.kind) || offload.segment_bytes == 0) return DropReason::bad_header;
  if (offload.needs_checksum && offload.checksum_start != ip.payload_offset) return DropReason::bad_header;

  super_ = super.first(ip.total_length);
  family_ = ip.family;
  tcp_ = offload.kind != Offload::Kind::udp;
  ip_length_ = ip.payload_offset;
  const ByteSpan transport = super_.subspan(ip_length_);
  const uint32_t transport_length = transport_header_bytes(transport, tcp_);
  if (transport_length == 0) return DropReason::truncated;
  header_length_ = ip_length_ + transport_length;
  segment_bytes_ = offload.segment_bytes;
  const uint32_t payload = static_cast<uint32_t>(super_.size()) - header_length_;
  count_ = std::max(1u, (payload + segment_bytes_ - 1) / segment_bytes_);
  no_checksum_ = !tcp_ && ip.is_v4() && !offload.needs_checksum && load_be16(transport.data() + kUdpChecksum) == 0;

  const uint8_t* source = super_.data() + ip.address_offset();
  transport_sum_ = pseudo_header(family_, source, source + address_bytes(family_), ip.protocol, 0);
  const ByteSpan header = transport.first(transport_length);
  if (tcp_)
    transport_sum_.add(sum_without(header, {kTcpSequence, kTcpSequence + 2, kTcpDataOffset, kTcpChecksum}));
  else
    transport_sum_.add(sum_without(header, {kUdpLength, kUdpChecksum}));
  ip_sum_ = ip.is_v4() ? sum_without(super_.first(ip_length_), {2, 4, 10}) : Sum{};
  return DropReason::none;
}

uint32_t Segmenter::length(uint32_t index) const {
  const uint32_t payload = static_cast<uint32_t>(super_.size()) - header_length_;
  return header_length_ + std::min(segment_bytes_, payload - index * segment_bytes_);
}

void Segmenter::write_ip(uint32_t index, uint8_t* header, uint32_t total) const {
  if (family_ == Family::v6) {
    store_be16(header + 4, static_cast<uint16_t>(total - kIpv6HeaderBytes));
    return;
  }
  const auto identification = static_cast<uint16_t>(load_be16(header + 4) + index);
  store_be16(header + 2, static_cast<uint16_t>(total));
  store_be16(header + 4, identification);
  Sum sum = ip_sum_;
  sum.add_be16(static_cast<uint16_t>(total));
  sum.add_be16(identification);
  store_be16(header + 10, sum.checksum());
}

// Fills in what differs in the transport header, and returns the sum up to its end. `bytes`: transport header and
// payload.
Sum Segmenter::begin_transport(uint32_t index, uint8_t* transport, uint32_t bytes) const {
  Sum sum = transport_sum_;
  sum.add_be32(bytes);
  if (!tcp_) {
    store_be16(transport + kUdpLength, static_cast<uint16_t>(bytes));
    sum.add_be16(static_cast<uint16_t>(bytes));
    return sum;
  }
  const uint32_t sequence = load_be32(transport + kTcpSequence) + index * segment_bytes_;
  store_be32(transport + kTcpSequence, sequence);
  if (index != 0) transport[kTcpFlags] &= static_cast<uint8_t>(~kCwr);
  if (index + 1 != count_) transport[kTcpFlags] &= static_cast<uint8_t>(~(kFin | kPsh));
  sum.add_be32(sequence);
  sum.add_be16(load_be16(transport + kTcpDataOffset));
  return sum;
}

uint32_t Segmenter::write(uint32_t index, uint8_t* to) const {
  const uint32_t total = length(index);
  const uint32_t payload = total - header_length_;
  uint8_t* transport = to + ip_length_;
  std::memcpy(to, super_.data(), header_length_);
  write_ip(index, to, total);
  Sum sum = begin_transport(index, transport, total - ip_length_);
  const ByteSpan from = super_.subspan(header_length_ + index * segment_bytes_, payload);
  if (no_checksum_) {
    std::memcpy(to + header_length_, from.data(), payload);
    return total;
  }
  sum.add_copying(to + header_length_, from);
  store_be16(transport + (tcp_ ? kTcpChecksum : kUdpChecksum), tcp_ ? sum.checksum() : never_zero(sum.checksum()));
  return total;
}

uint32_t Segmenter::write(uint32_t first, std::span<Packet> packets) const {
  const auto wanted = static_cast<uint32_t>(packets.size());
  const uint32_t written = first >= count_ ? 0 : std::min(count_ - first, wanted);
  for (uint32_t i = 0; i < written; ++i) {
    Packet& packet = packets[i];
    const uint32_t room = packet.length + packet.tailroom;
    CHECK(length(first + i) <= room);
    packet.length = write(first + i, packet.data);
    packet.tailroom = room - packet.length;
    packet.protocol = family_ == Family::v4 ? kProtoIpv4 : kProtoIpv6;
  }
  return written;
}

DropReason finish_checksum(MutByteSpan packet, const Offload& offload) {
  if (!offload.needs_checksum) return DropReason::none;
  const uint32_t field = offload.checksum_start + uint32_t{offload.checksum_offset};
  if (field + 2 > packet.size()) return DropReason::truncated;
  store_be16(packet.data() + field, never_zero(checksum(packet.subspan(offload.checksum_start))));
  return DropReason::none;
}

}  // namespace adit::net
