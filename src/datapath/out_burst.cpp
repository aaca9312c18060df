#include "datapath/out_burst.h"

#include "base/check.h"

namespace adit::datapath {

namespace {

struct Room {
  uint32_t front = 0, back = 0;
};

// ESP takes just what it adds. AH needs the outer IP header built in front, which is taken off again: such packets do
// not lie close to each other, and need not, for they go one by one.
Room room_for(const Way& way, uint32_t inner_bytes) {
  if (way.ah != nullptr) return {net::kHeadroom, net::kTailroom};
  if (way.esp == nullptr) return {};
  const uint32_t front = 8 + way.esp->transform->iv_bytes();  // SPI, sequence number, IV
  return {front, esp::overhead(*way.esp, inner_bytes) - front};
}

WireKind kind_of(const Way& way, uint8_t protocol) {
  if (way.ah != nullptr) return WireKind::ah;
  if (way.esp != nullptr) return way.in_udp() ? WireKind::udp : WireKind::esp;
  return protocol == net::kProtoIpv4 ? WireKind::ipip : WireKind::ipv6_in;
}

bool same_outer(const tunnel::InnerMarks& a, const tunnel::InnerMarks& b) {
  return a.traffic_class == b.traffic_class && a.allow_fragmenting == b.allow_fragmenting &&
         a.has_encaplimit == b.has_encaplimit && a.encaplimit == b.encaplimit;
}

}  // namespace

OutBurst::OutBurst() : arena_(std::make_unique<uint8_t[]>(kArenaBytes)) {}

bool OutBurst::fits(const Way& way, uint32_t inner_bytes) const {
  const Room room = room_for(way, inner_bytes);
  return count_ < packets_.size() && used_ + room.front + inner_bytes + room.back <= kArenaBytes;
}

uint8_t* OutBurst::place(const About& about, uint8_t protocol) {
  const Room room = room_for(about.way, about.inner_bytes);
  uint8_t* const data = arena_.get() + used_ + room.front;
  used_ += room.front + about.inner_bytes + room.back;
  CHECK(count_ < packets_.size() && used_ <= kArenaBytes);
  packets_[count_] = {data, about.inner_bytes, room.front, room.back, protocol};
  about_[count_] = about;
  ++count_;
  return data;
}

std::span<const WireSend> OutBurst::gather() {
  uint32_t sends = 0;
  for (uint32_t i = 0; i < count_; ++i) {
    if (packets_[i].drop != DropReason::none) continue;
    if (sends > 0 && joins(sends_[sends - 1], ranges_[sends - 1], i)) {
      WireSend& train = sends_[sends - 1];
      if (train.segment_bytes == 0) train.segment_bytes = static_cast<uint16_t>(train.payload.size());
      train.payload = {train.payload.data(), train.payload.size() + packets_[i].length};
      ++ranges_[sends - 1].count;
      continue;
    }
    sends_[sends] = begin_send(i);
    ranges_[sends] = {i, 1};
    ++sends;
  }
  return {sends_.data(), sends};
}

// A train is of one SA, of equal datagrams but for the last, and of such that need no outer fragmentation.
bool OutBurst::joins(const WireSend& train, const Range& range, uint32_t next) const {
  const net::Packet& packet = packets_[next];
  const About& about = about_[next];
  const About& leader = about_[range.first];
  if (train.kind != WireKind::udp || about.way.esp != leader.way.esp || about.way.ah != nullptr) return false;
  if (range.first + range.count != next || range.count >= kTrainSegments) return false;
  const net::Packet& last = packets_[next - 1];
  const uint32_t segment = packets_[range.first].length;
  if (last.length != segment || packet.length > segment || packet.data != last.data + last.length) return false;
  if (train.payload.size() + packet.length > kTrainBytes || !same_outer(about.marks, leader.marks)) return false;
  const Link& link = *leader.way.link;
  return segment + 8 + tunnel::outer_header_bytes(link.outer) <= link.path_mtu;
}

WireSend OutBurst::begin_send(uint32_t index) const {
  const net::Packet& packet = packets_[index];
  const About& about = about_[index];
  const tunnel::Outer& outer = about.way.link->outer;
  WireSend send;
  send.kind = kind_of(about.way, packet.protocol);
  send.source = outer.local;
  send.destination = outer.remote;
  if (send.kind == WireKind::udp) {
    send.source_port = about.way.esp->spec.nat->local_port;
    send.destination_port = about.way.esp->spec.nat->remote_port;
  }
  send.traffic_class = about.marks.traffic_class;
  send.hoplimit = outer.hoplimit;
  send.has_encaplimit = about.marks.has_encaplimit;
  send.encaplimit = about.marks.encaplimit;
  send.dont_fragment = !about.marks.allow_fragmenting;
  send.payload = packet.bytes();
  return send;
}

void OutBurst::clear() {
  used_ = 0;
  count_ = 0;
}

}  // namespace adit::datapath
