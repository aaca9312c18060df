#include "net/coalesce.h"

#include <cstring>

#include "net/checksum.h"
#include "net/flow.h"
#include "net/ip_header.h"

namespace adit::net {
namespace {

constexpr uint32_t kTcpHeader = 20, kUdpHeader = 8;
constexpr uint32_t kTcpChecksum = 16, kUdpChecksum = 6;
constexpr uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kUrg = 0x20, kCwr = 0x80;
constexpr uint8_t kEndFlags = kFin | kPsh, kNeverMerged = kSyn | kRst | kUrg | kCwr;

bool equal(const uint8_t* a, const uint8_t* b, size_t size) {
  return std::memcmp(a, b, size) == 0;
}

uint64_t load64(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Of addresses and ports. Finding two flows with one hash gains nobody anything: the headers are compared as well.
uint32_t hash_flow(const uint8_t* addresses, size_t size, const uint8_t* ports) {
  uint64_t hash = load_be32(ports);
  for (size_t i = 0; i < size; i += 8) hash = (hash ^ load64(addresses + i)) * 0x9e3779b97f4a7c15u;
  return static_cast<uint32_t>(hash >> 32);
}

bool same_addresses(ByteSpan a, ByteSpan b) {
  if ((a[0] >> 4) != (b[0] >> 4)) return false;
  return (a[0] >> 4) == 4 ? equal(&a[12], &b[12], 8) : equal(&a[8], &b[8], 32);
}

// What the device would give all segments alike must be alike. `place`: how many packets are in front.
bool same_ip_header(ByteSpan first, ByteSpan next, uint32_t place) {
  if ((first[0] >> 4) == 6) return equal(&first[0], &next[0], 4) && first[7] == next[7];
  if (first[1] != next[1] || first[8] != next[8] || !equal(&first[6], &next[6], 2)) return false;
  const bool dont_fragment = (first[6] & 0x40) != 0;  // then the identification says nothing (RFC 6864)
  return dont_fragment || load_be16(&next[4]) == static_cast<uint16_t>(load_be16(&first[4]) + place);
}

bool same_tcp_header(const uint8_t* first, const uint8_t* next, uint32_t header_bytes) {
  return equal(first + 8, next + 8, 4) &&  // acknowledgment
         first[12] == next[12] && ((first[13] ^ next[13]) & ~kEndFlags) == 0 &&
         equal(first + 14, next + 14, 2) &&  // window
         equal(first + kTcpHeader, next + kTcpHeader, header_bytes - kTcpHeader);
}

bool checksums_are_right(ByteSpan packet, uint32_t ip_header, uint8_t protocol) {
  const bool v4 = (packet[0] >> 4) == 4;
  if (v4 && checksum(packet.first(ip_header)) != 0) return false;
  const uint8_t* source = packet.data() + (v4 ? 12 : 8);
  const ByteSpan transport = packet.subspan(ip_header);
  Sum sum = pseudo_header(v4 ? Family::v4 : Family::v6, source, source + (v4 ? 4 : 16), protocol,
                          static_cast<uint32_t>(transport.size()));
  sum.add(transport);
  return sum.checksum() == 0;
}

}  // namespace

// A packet of TCP or UDP with plain headers; `mergeable`: it carries data and nothing that must stay alone.
struct Coalescer::Candidate {
  uint32_t hash = 0;
  uint32_t payload = 0;
  uint32_t sequence = 0;
  uint8_t ip_header = 0, header = 0;
  uint8_t flags = 0;
  bool tcp = false;
  bool mergeable = false;
  bool right = false;  // the checksum was verified

  [[nodiscard]] bool ends_train() const { return (flags & kEndFlags) != 0; }
  bool read(ByteSpan packet, const IpHeader& ip);

 private:
  bool read_tcp(ByteSpan transport);
  bool read_udp(ByteSpan transport);
};

// False: not such a packet.
bool Coalescer::Candidate::read(ByteSpan packet, const IpHeader& ip) {
  const uint32_t plain = ip.is_v4() ? kIpv4HeaderBytes : kIpv6HeaderBytes;
  if (ip.payload_offset != plain || ip.fragment()) return false;
  ip_header = static_cast<uint8_t>(plain);
  const ByteSpan transport = packet.subspan(plain);
  tcp = ip.protocol == kProtoTcp;
  if (tcp ? !read_tcp(transport) : ip.protocol != kProtoUdp || !read_udp(transport)) return false;
  hash = hash_flow(packet.data() + ip.address_offset(), 2 * address_bytes(ip.family), transport.data());
  return true;
}

bool Coalescer::Candidate::read_tcp(ByteSpan transport) {
  if (transport.size() < kTcpHeader) return false;
  const uint32_t bytes = (transport[12] >> 4) * 4u;
  if (bytes < kTcpHeader || bytes > transport.size()) return false;
  header = static_cast<uint8_t>(ip_header + bytes);
  payload = static_cast<uint32_t>(transport.size()) - bytes;
  sequence = load_be32(&transport[4]);
  flags = transport[13];
  mergeable = payload != 0 && (flags & kNeverMerged) == 0;
  return true;
}

bool Coalescer::Candidate::read_udp(ByteSpan transport) {
  if (transport.size() < kUdpHeader) return false;
  header = static_cast<uint8_t>(ip_header + kUdpHeader);
  payload = static_cast<uint32_t>(transport.size()) - kUdpHeader;
  mergeable = payload != 0 && load_be16(&transport[4]) == transport.size() && load_be16(&transport[kUdpChecksum]) != 0;
  return true;
}

bool Coalescer::add(MutByteSpan packet) {
  if (segment_count_ == kMaxPackets) return false;
  IpHeader ip;
  if (read_ip_header(packet, ip) != DropReason::none) {
    start(packet);
    return true;
  }
  packet = packet.first(ip.total_length);
  Candidate candidate;
  if (!candidate.read(packet, ip)) {
    close_between(packet);
    start(packet);
    return true;
  }
  const uint32_t open_index = find_open(packet, candidate);
  if (open_index != kNone) {
    Line& line = lines_[open_[open_index].line];
    if (joins(line, packet, candidate)) {
      append(line, packet, candidate);
      if (candidate.ends_train() || candidate.payload < line.segment_bytes) close(open_index);
      return true;
    }
    close(open_index);
  }
  open(packet, candidate);
  return true;
}

// A train of this packet alone, which takes no other.
Coalescer::Line& Coalescer::start(MutByteSpan packet) {
  const auto segment = static_cast<uint16_t>(segment_count_++);
  segments_[segment] = {packet, kNone};
  Line& line = lines_[train_count_++];
  line = Line{};
  line.first = line.last = segment;
  line.packets = 1;
  line.bytes = static_cast<uint32_t>(packet.size());
  return line;
}

// A train of this packet that may take more, unless the packet must stay alone.
void Coalescer::open(MutByteSpan packet, const Candidate& candidate) {
  Line& line = start(packet);
  if (!candidate.mergeable || candidate.ends_train() || (!candidate.tcp && !options_.udp)) return;
  line.ip_header = candidate.ip_header;
  line.header = candidate.header;
  line.segment_bytes = static_cast<uint16_t>(candidate.payload);
  line.next_sequence = candidate.sequence + candidate.payload;
  line.tcp = candidate.tcp;
  line.first_is_right = candidate.right;
  open_[open_count_++] = {candidate.hash, static_cast<uint16_t>(train_count_ - 1)};
}

void Coalescer::append(Line& line, MutByteSpan packet, const Candidate& candidate) {
  const auto segment = static_cast<uint16_t>(segment_count_++);
  segments_[segment] = {packet, kNone};
  segments_[line.last].next = segment;
  line.last = segment;
  ++line.packets;
  line.bytes += candidate.payload;
  line.next_sequence += candidate.payload;
  line.end_flags = candidate.flags & kEndFlags;
}

bool Coalescer::joins(Line& line, ByteSpan packet, Candidate& candidate) {
  const ByteSpan first = segments_[line.first].bytes;
  if (!candidate.mergeable || candidate.header != line.header || candidate.payload > line.segment_bytes) return false;
  if (line.bytes + candidate.payload > kMaxIpBytes || !same_ip_header(first, packet, line.packets)) return false;
  if (line.tcp) {
    if (candidate.sequence != line.next_sequence) return false;
    const uint32_t bytes = uint32_t{line.header} - line.ip_header;
    if (!same_tcp_header(&first[line.ip_header], &packet[line.ip_header], bytes)) return false;
  }
  return all_right(line, packet, candidate);
}

// The checksums of the train's first packet and of this one. Looked at only now, when the two would be merged.
bool Coalescer::all_right(Line& line, ByteSpan packet, Candidate& candidate) {
  if (options_.checksums == Checksums::trusted) return true;
  const uint8_t protocol = line.tcp ? kProtoTcp : kProtoUdp;
  candidate.right = checksums_are_right(packet, line.ip_header, protocol);
  if (!candidate.right) return false;
  if (!line.first_is_right) {
    line.first_is_right = checksums_are_right(segments_[line.first].bytes, line.ip_header, protocol);
  }
  return line.first_is_right;
}

uint32_t Coalescer::find_open(ByteSpan packet, const Candidate& candidate) const {
  for (uint32_t i = open_count_; i-- > 0;) {
    if (open_[i].hash != candidate.hash) continue;
    const Line& line = lines_[open_[i].line];
    const ByteSpan first = segments_[line.first].bytes;
    if (line.tcp == candidate.tcp && same_addresses(first, packet) &&
        equal(&first[line.ip_header], &packet[candidate.ip_header], 4)) {
      return i;
    }
  }
  return kNone;
}

void Coalescer::close(uint32_t open_index) {
  open_[open_index] = open_[--open_count_];
}

// A packet whose flow is not known here must not be overtaken by later ones of the same hosts.
void Coalescer::close_between(ByteSpan packet) {
  for (uint32_t i = open_count_; i-- > 0;) {
    if (same_addresses(segments_[lines_[open_[i].line].first].bytes, packet)) close(i);
  }
}

// The first packet's headers become those of the whole.
void Coalescer::finish(Line& line) {
  uint8_t* header = segments_[line.first].bytes.data();
  uint8_t* transport = header + line.ip_header;
  const bool v4 = (header[0] >> 4) == 4;
  const uint32_t transport_bytes = line.bytes - line.ip_header;
  if (v4) {
    store_be16(header + 2, static_cast<uint16_t>(line.bytes));
    set_ipv4_checksum(header);
  } else {
    store_be16(header + 4, static_cast<uint16_t>(transport_bytes));
  }
  if (line.tcp)
    transport[13] |= line.end_flags;
  else
    store_be16(transport + 4, static_cast<uint16_t>(transport_bytes));
  const uint8_t* source = header + (v4 ? 12 : 8);
  const Sum sum = pseudo_header(v4 ? Family::v4 : Family::v6, source, source + (v4 ? 4 : 16),
                                line.tcp ? kProtoTcp : kProtoUdp, transport_bytes);
  store_be16(transport + (line.tcp ? kTcpChecksum : kUdpChecksum), sum.partial());
}

Train Coalescer::train(uint32_t index) {
  Line& line = lines_[index];
  Train train;
  train.packets = line.packets;
  train.bytes = line.bytes;
  uint32_t count = 0;
  for (uint16_t i = line.first; i != kNone; i = segments_[i].next) {
    const ByteSpan bytes = segments_[i].bytes;
    pieces_[count] = count == 0 ? bytes : bytes.subspan(line.header);
    ++count;
  }
  train.pieces = {pieces_.data(), count};
  if (line.packets == 1) return train;

  finish(line);
  const bool v4 = (pieces_[0][0] >> 4) == 4;
  train.offload.kind = !line.tcp ? Offload::Kind::udp : v4 ? Offload::Kind::tcp4 : Offload::Kind::tcp6;
  train.offload.needs_checksum = true;
  train.offload.header_length = line.header;
  train.offload.segment_bytes = line.segment_bytes;
  train.offload.checksum_start = line.ip_header;
  train.offload.checksum_offset = static_cast<uint16_t>(line.tcp ? kTcpChecksum : kUdpChecksum);
  return train;
}

void Coalescer::clear() {
  segment_count_ = train_count_ = open_count_ = 0;
}

}  // namespace adit::net
