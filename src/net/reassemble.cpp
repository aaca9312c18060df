#include "net/reassemble.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "net/checksum.h"
#include "net/flow.h"

namespace adit::net {
namespace {

constexpr uint32_t kUnknown = 0xffffffff;
constexpr uint8_t kNotEct = 1 << 0, kCe = 1 << 3;  // bit n of `ecn_seen`: a fragment with ECN codepoint n came

void set_ecn_ce(MutByteSpan packet) {
  if ((packet[0] >> 4) == 4)
    packet[1] |= kEcnMask;
  else
    packet[1] |= kEcnMask << 4;
}

// What is wrong with a fragment by itself.
DropReason check_fragment(ByteSpan fragment, const IpHeader& ip) {
  const uint32_t bytes = ip.total_length - ip.payload_offset;
  if (bytes == 0 || (ip.more_fragments && bytes % 8 != 0)) return DropReason::bad_header;
  if (ip.fragment_offset + bytes > kMaxIpBytes) return DropReason::bad_header;
  if (ip.later_fragment() || ip.is_v4()) return DropReason::none;
  Flow flow;  // the whole chain up to ports or ICMP type must be in the first (RFC 7112)
  return read_flow(fragment, flow) == FlowError::none ? DropReason::none : DropReason::bad_header;
}

}  // namespace

// What fragments of one datagram have in common (IPv6: not the protocol, RFC 8200 §4.5).
struct Reassembler::Key {
  uint64_t scope = 0;
  Address source, destination;
  uint32_t identification = 0;
  uint8_t protocol = 0;

  friend bool operator==(const Key&, const Key&) = default;
};

// One datagram on its way to being whole.
struct Reassembler::Slot {
  struct Range {
    uint32_t begin, end;
  };
  enum class State : uint8_t { free, gathering, refused } state = State::free;

  Key key;
  MonoTime born{};
  std::array<Range, kMaxFragments> ranges;  // in order, never touching the same byte twice
  uint32_t count = 0;
  uint32_t received = 0;      // payload bytes
  uint32_t end = kUnknown;    // of the payload, known from the last fragment
  uint32_t header_bytes = 0;  // 0: the first fragment has not come
  uint8_t ecn_seen = 0;
  std::array<uint8_t, kMaxHeader> header;
  std::unique_ptr<uint8_t[]> payload{new uint8_t[kMaxIpBytes]};  // not set to zero, so not touched before it is used

  DropReason insert(uint32_t begin, ByteSpan bytes);
  DropReason keep_header(ByteSpan fragment, const IpHeader& ip);
  [[nodiscard]] bool whole() const { return header_bytes != 0 && end != kUnknown && received == end; }
  DropReason finish(MutByteSpan out, uint32_t& length);
};

// Files the payload under its place. A range that was there before with the same bytes is ignored.
DropReason Reassembler::Slot::insert(uint32_t begin, ByteSpan bytes) {
  const uint32_t stop = begin + static_cast<uint32_t>(bytes.size());
  Range* const first = ranges.data();
  Range* const last = first + count;
  Range* at =
      std::lower_bound(first, last, begin, [](const Range& range, uint32_t place) { return range.end <= place; });
  if (at != last && at->begin < stop) {
    const bool same =
        at->begin == begin && at->end == stop && std::memcmp(&payload[begin], bytes.data(), bytes.size()) == 0;
    return same ? DropReason::none : DropReason::reassembly_overlap;
  }
  if (count == kMaxFragments) return DropReason::reassembly_limit;
  std::move_backward(at, last, last + 1);
  *at = {begin, stop};
  ++count;
  std::memcpy(&payload[begin], bytes.data(), bytes.size());
  received += static_cast<uint32_t>(bytes.size());
  return DropReason::none;
}

// The first fragment's IP header is the datagram's, for IPv6 without the fragment header.
DropReason Reassembler::Slot::keep_header(ByteSpan fragment, const IpHeader& ip) {
  if (header_bytes != 0) return DropReason::none;
  const uint32_t bytes = ip.is_v4() ? ip.payload_offset : ip.fragment_header;
  if (bytes > kMaxHeader) return DropReason::reassembly_limit;
  std::memcpy(header.data(), fragment.data(), bytes);
  header_bytes = bytes;
  if (ip.is_v4()) return DropReason::none;

  // The byte that said "a fragment header follows" says now what follows that one.
  uint32_t field = 6;
  for (uint32_t at = kIpv6HeaderBytes; at < bytes;) {
    const uint8_t kind = header[field];
    field = at;
    at += kind == kProtoAh ? (header[at + 1] + 2u) * 4 : (header[at + 1] + 1u) * 8;
  }
  header[field] = fragment[ip.fragment_header];
  return DropReason::none;
}

DropReason Reassembler::Slot::finish(MutByteSpan out, uint32_t& length) {
  const bool v4 = (header[0] >> 4) == 4;
  const uint32_t total = header_bytes + end;
  if (total - (v4 ? 0 : kIpv6HeaderBytes) > kMaxIpBytes) return DropReason::bad_header;
  if ((ecn_seen & kCe) != 0 && (ecn_seen & kNotEct) != 0) return DropReason::bad_header;
  if (out.size() < total) return DropReason::no_buffer;
  std::memcpy(out.data(), header.data(), header_bytes);
  std::memcpy(out.data() + header_bytes, payload.get(), end);
  if ((ecn_seen & kCe) != 0) set_ecn_ce(out);
  if (v4) {
    store_be16(out.data() + 2, static_cast<uint16_t>(total));
    store_be16(out.data() + 6, 0);
    set_ipv4_checksum(out.data());
  } else {
    store_be16(out.data() + 4, static_cast<uint16_t>(total - kIpv6HeaderBytes));
  }
  length = total;
  return DropReason::none;
}

Reassembler::Reassembler(ReassemblyLimits limits) : limits_(limits), slots_(limits.datagrams) {
  CHECK(limits.datagrams > 0);
}
Reassembler::~Reassembler() = default;
Reassembler::Reassembler(Reassembler&&) noexcept = default;
Reassembler& Reassembler::operator=(Reassembler&&) noexcept = default;

Reassembler::Slot* Reassembler::find(const Key& key) {
  for (Slot& slot : slots_) {
    if (slot.state != Slot::State::free && slot.key == key) return &slot;
  }
  return nullptr;
}

// A free place, or that of the datagram that has waited longest.
Reassembler::Slot& Reassembler::take_slot(const Key& key, MonoTime now) {
  Slot* chosen = &slots_.front();
  for (Slot& slot : slots_) {
    if (slot.state == Slot::State::free) {
      chosen = &slot;
      break;
    }
    if (slot.born < chosen->born) chosen = &slot;
  }
  if (chosen->state == Slot::State::gathering) ++evicted_;
  chosen->state = Slot::State::gathering;
  chosen->key = key;
  chosen->born = now;
  chosen->count = chosen->received = chosen->header_bytes = 0;
  chosen->end = kUnknown;
  chosen->ecn_seen = 0;
  return *chosen;
}

DropReason Reassembler::add(uint64_t scope, ByteSpan fragment, const IpHeader& ip, MonoTime now, MutByteSpan out,
                            uint32_t& length) {
  length = 0;
  if (const DropReason reason = check_fragment(fragment, ip); reason != DropReason::none) return reason;
  const Key key{scope, source_of(fragment, ip), destination_of(fragment, ip), ip.identification,
                ip.is_v4() ? ip.protocol : uint8_t{0}};
  Slot* found = find(key);
  if (found != nullptr && overdue(*found, now)) {  // the identification came round again before expire() did
    if (found->state == Slot::State::gathering) ++late_;
    found->state = Slot::State::free;
    found = nullptr;
  }
  Slot& slot = found != nullptr ? *found : take_slot(key, now);
  if (slot.state == Slot::State::refused) return DropReason::reassembly_overlap;

  const DropReason reason = gather(slot, fragment, ip);
  if (reason != DropReason::none) {
    slot.state = Slot::State::refused;
    return reason;
  }
  if (!slot.whole()) return DropReason::none;
  slot.state = Slot::State::free;
  return slot.finish(out, length);
}

DropReason Reassembler::gather(Slot& slot, ByteSpan fragment, const IpHeader& ip) {
  const ByteSpan payload = fragment.subspan(ip.payload_offset, ip.total_length - ip.payload_offset);
  const uint32_t stop = ip.fragment_offset + static_cast<uint32_t>(payload.size());
  const bool last = !ip.more_fragments;
  const uint32_t furthest = slot.count == 0 ? 0 : slot.ranges[slot.count - 1].end;
  if (slot.end != kUnknown && (last ? stop != slot.end : stop > slot.end)) return DropReason::reassembly_overlap;
  if (last && furthest > stop) return DropReason::reassembly_overlap;
  if (const DropReason reason = slot.insert(ip.fragment_offset, payload); reason != DropReason::none) return reason;
  if (last) slot.end = stop;
  slot.ecn_seen |= static_cast<uint8_t>(1 << (ip.traffic_class & kEcnMask));
  return ip.later_fragment() ? DropReason::none : slot.keep_header(fragment, ip);
}

bool Reassembler::overdue(const Slot& slot, MonoTime now) const {
  return now - slot.born >= limits_.lifetime;
}

uint32_t Reassembler::expire(MonoTime now) {
  uint32_t given_up = std::exchange(late_, 0);
  for (Slot& slot : slots_) {
    if (slot.state == Slot::State::free || !overdue(slot, now)) continue;
    if (slot.state == Slot::State::gathering) ++given_up;
    slot.state = Slot::State::free;
  }
  return given_up;
}

uint32_t Reassembler::waiting() const {
  return static_cast<uint32_t>(
      std::ranges::count_if(slots_, [](const Slot& slot) { return slot.state == Slot::State::gathering; }));
}

}  // namespace adit::net
