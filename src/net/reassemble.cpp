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

// Where the datagram's payload begins in this fragment. Extension headers behind the fragment header belong to it.
uint32_t payload_of(const IpHeader& ip) {
  constexpr uint32_t kFragmentHeader = 8;
  return ip.is_v4() ? ip.payload_offset : ip.fragment_header + kFragmentHeader;
}

// An IPv6 header, and what stands before the fragment header: the byte that said "a fragment header follows" says now
// what follows that one.
void take_out_fragment_header(MutByteSpan header, uint8_t follows) {
  uint32_t field = 6;
  for (uint32_t at = kIpv6HeaderBytes; at < header.size();) {
    const uint8_t kind = header[field];
    field = at;
    at += kind == kProtoAh ? (header[at + 1] + 2u) * 4 : (header[at + 1] + 1u) * 8;
  }
  header[field] = follows;
}

// What is wrong with a fragment by itself.
DropReason check_fragment(ByteSpan fragment, const IpHeader& ip) {
  const uint32_t bytes = ip.total_length - payload_of(ip);
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
  static constexpr uint32_t kMostBytes = kMaxIpBytes + kMaxFragments * kMaxHeader;

  struct Piece {
    uint32_t begin, end;     // of the datagram's payload
    uint32_t at;             // where the fragment lies in `bytes`
    uint32_t header_length;  // of it, in front of the payload
    [[nodiscard]] uint32_t payload() const { return at + header_length; }
    [[nodiscard]] uint32_t length() const { return header_length + end - begin; }
  };
  enum class State : uint8_t { free, gathering, refused } state = State::free;

  Key key;
  MonoTime born{};
  DropReason refusal = DropReason::none;
  std::array<Piece, kMaxFragments> pieces;  // in order, never touching the same byte twice
  uint32_t count = 0;
  uint32_t used = 0;        // of `bytes`
  uint32_t received = 0;    // payload bytes
  uint32_t end = kUnknown;  // of the payload, known from the last fragment
  uint8_t ecn_seen = 0;
  std::unique_ptr<uint8_t[]> bytes{new uint8_t[kMostBytes]};  // not set to zero, so not touched before it is used

  DropReason insert(ByteSpan fragment, const IpHeader& ip);
  [[nodiscard]] ByteSpan fragment(const Piece& piece) const { return {&bytes[piece.at], piece.length()}; }
  [[nodiscard]] bool whole() const { return end != kUnknown && received == end; }
  DropReason finish(MutByteSpan out, uint32_t& length) const;
};

// Files the fragment under its place.
DropReason Reassembler::Slot::insert(ByteSpan fragment, const IpHeader& ip) {
  const uint32_t header_length = payload_of(ip);
  const ByteSpan payload = fragment.subspan(header_length, ip.total_length - header_length);
  const uint32_t begin = ip.fragment_offset;
  const uint32_t stop = begin + static_cast<uint32_t>(payload.size());
  Piece* const first = pieces.data();
  Piece* const last = first + count;
  Piece* at =
      std::lower_bound(first, last, begin, [](const Piece& piece, uint32_t place) { return piece.end <= place; });
  if (at != last && at->begin < stop) {
    const bool same = at->begin == begin && at->end == stop &&
                      std::memcmp(&bytes[at->payload()], payload.data(), payload.size()) == 0;
    return same ? DropReason::reassembly_duplicate : DropReason::reassembly_overlap;
  }
  if (count == kMaxFragments || header_length > kMaxHeader) return DropReason::reassembly_limit;
  std::move_backward(at, last, last + 1);
  *at = {begin, stop, used, header_length};
  ++count;
  CHECK(used + ip.total_length <= kMostBytes);
  std::memcpy(&bytes[used], fragment.data(), ip.total_length);
  used += ip.total_length;
  received += static_cast<uint32_t>(payload.size());
  return DropReason::none;
}

// The first fragment's IP header is the datagram's, for IPv6 without the fragment header.
DropReason Reassembler::Slot::finish(MutByteSpan out, uint32_t& length) const {
  const ByteSpan first = fragment(pieces.front());
  const bool v4 = (first[0] >> 4) == 4;
  constexpr uint32_t kFragmentHeader = 8;
  const uint32_t header = pieces.front().header_length - (v4 ? 0 : kFragmentHeader);
  const uint32_t total = header + end;
  if (total - (v4 ? 0 : kIpv6HeaderBytes) > kMaxIpBytes) return DropReason::bad_header;
  if ((ecn_seen & kCe) != 0 && (ecn_seen & kNotEct) != 0) return DropReason::bad_header;
  if (out.size() < total) return DropReason::no_buffer;
  std::memcpy(out.data(), first.data(), header);
  for (uint32_t i = 0; i < count; ++i)
    std::memcpy(&out[header + pieces[i].begin], &bytes[pieces[i].payload()], pieces[i].end - pieces[i].begin);
  if ((ecn_seen & kCe) != 0) set_ecn_ce(out);
  if (v4) {
    store_be16(out.data() + 2, static_cast<uint16_t>(total));
    store_be16(out.data() + 6, 0);
    set_ipv4_checksum(out.data());
  } else {
    take_out_fragment_header(out.first(header), first[header]);
    store_be16(out.data() + 4, static_cast<uint16_t>(total - kIpv6HeaderBytes));
  }
  length = total;
  return DropReason::none;
}

Reassembler::Reassembler(ReassemblyLimits limits) : limits_(limits), slots_(limits.datagrams) {
  CHECK(limits.datagrams > 0);
  pieces_.reserve(kMaxFragments);
  losses_.reserve(limits.datagrams + 4);  // all at once in expire(), a few in add()
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
  if (chosen->state == Slot::State::gathering) lose(*chosen, DropReason::reassembly_limit);
  chosen->state = Slot::State::gathering;
  chosen->key = key;
  chosen->born = now;
  chosen->refusal = DropReason::none;
  chosen->count = chosen->received = chosen->used = 0;
  chosen->end = kUnknown;
  chosen->ecn_seen = 0;
  return *chosen;
}

void Reassembler::lose(const Slot& slot, DropReason reason) {
  if (std::exchange(losses_taken_, false)) losses_.clear();
  if (slot.count != 0 && losses_.size() < losses_.capacity())
    losses_.push_back({slot.key.scope, reason, slot.count, slot.key.source, slot.key.destination});
}

std::span<const Reassembler::Loss> Reassembler::take_losses() {
  if (std::exchange(losses_taken_, true)) losses_.clear();
  return losses_;
}

void Reassembler::list_pieces(const Slot& slot) {
  pieces_.clear();
  for (uint32_t i = 0; i < slot.count; ++i) pieces_.push_back(slot.fragment(slot.pieces[i]));
}

DropReason Reassembler::add(uint64_t scope, ByteSpan fragment, const IpHeader& ip, MonoTime now, MutByteSpan out,
                            uint32_t& length) {
  length = 0;
  if (const DropReason reason = check_fragment(fragment, ip); reason != DropReason::none) return reason;
  const Key key{scope, source_of(fragment, ip), destination_of(fragment, ip), ip.identification,
                ip.is_v4() ? ip.protocol : uint8_t{0}};
  Slot* found = find(key);
  if (found != nullptr && overdue(*found, now)) {  // the identification came round again before expire() did
    if (found->state == Slot::State::gathering) lose(*found, DropReason::reassembly_timeout);
    found->state = Slot::State::free;
    found = nullptr;
  }
  Slot& slot = found != nullptr ? *found : take_slot(key, now);
  if (slot.state == Slot::State::refused) return slot.refusal;

  DropReason reason = gather(slot, fragment, ip);
  if (reason == DropReason::reassembly_duplicate) return reason;
  if (reason == DropReason::none && !slot.whole()) return DropReason::none;
  if (reason == DropReason::none) {
    slot.state = Slot::State::free;
    reason = slot.finish(out, length);
    if (reason == DropReason::none) {
      list_pieces(slot);
      return reason;
    }
    --slot.count;  // this one is told by what is returned
  }
  lose(slot, reason);
  if (slot.state == Slot::State::gathering) {
    slot.state = Slot::State::refused;
    slot.refusal = reason;
    slot.count = 0;
  }
  return reason;
}

DropReason Reassembler::gather(Slot& slot, ByteSpan fragment, const IpHeader& ip) {
  const uint32_t stop = ip.fragment_offset + ip.total_length - payload_of(ip);
  const bool last = !ip.more_fragments;
  const uint32_t furthest = slot.count == 0 ? 0 : slot.pieces[slot.count - 1].end;
  if (slot.end != kUnknown && (last ? stop != slot.end : stop > slot.end)) return DropReason::reassembly_overlap;
  if (last && furthest > stop) return DropReason::reassembly_overlap;
  if (const DropReason reason = slot.insert(fragment, ip); reason != DropReason::none) return reason;
  if (last) slot.end = stop;
  slot.ecn_seen |= static_cast<uint8_t>(1 << (ip.traffic_class & kEcnMask));
  return DropReason::none;
}

bool Reassembler::overdue(const Slot& slot, MonoTime now) const {
  return now - slot.born >= limits_.lifetime;
}

void Reassembler::expire(MonoTime now) {
  for (Slot& slot : slots_) {
    if (slot.state == Slot::State::free || !overdue(slot, now)) continue;
    if (slot.state == Slot::State::gathering) lose(slot, DropReason::reassembly_timeout);
    slot.state = Slot::State::free;
  }
}

uint32_t Reassembler::waiting() const {
  return static_cast<uint32_t>(
      std::ranges::count_if(slots_, [](const Slot& slot) { return slot.state == Slot::State::gathering; }));
}

}  // namespace adit::net
