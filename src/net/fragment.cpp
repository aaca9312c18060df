#include "net/fragment.h"

#include <algorithm>
#include <cstring>

#include "net/checksum.h"
#include "net/ip_header.h"

namespace adit::net {
namespace {

constexpr uint8_t kOptionEnd = 0, kOptionNop = 1, kOptionCopied = 0x80;
constexpr uint16_t kMoreFragments = 0x2000, kOffsetMask = 0x1fff;

// Calls use(offset, bytes) for each option that later fragments carry too. A malformed rest counts as none.
template <typename Use>
void for_copied_options(ByteSpan header, Use use) {
  for (uint32_t at = kIpv4HeaderBytes; at < header.size();) {
    const uint8_t kind = header[at];
    if (kind == kOptionEnd) return;
    if (kind == kOptionNop) {
      ++at;
      continue;
    }
    if (at + 1 >= header.size() || header[at + 1] < 2 || at + header[at + 1] > header.size()) return;
    if ((kind & kOptionCopied) != 0) use(at, uint32_t{header[at + 1]});
    at += header[at + 1];
  }
}

uint32_t later_header_bytes(ByteSpan header) {
  uint32_t options = 0;
  for_copied_options(header, [&](uint32_t, uint32_t bytes) { options += bytes; });
  return kIpv4HeaderBytes + (options + 3) / 4 * 4;
}

void write_later_header(ByteSpan header, uint32_t bytes, uint8_t* to) {
  std::memset(to, 0, bytes);  // what is left over reads as "end of options"
  std::memcpy(to, header.data(), kIpv4HeaderBytes);
  uint8_t* at = to + kIpv4HeaderBytes;
  for_copied_options(header, [&](uint32_t offset, uint32_t option) {
    std::memcpy(at, &header[offset], option);
    at += option;
  });
  to[0] = static_cast<uint8_t>(0x40 | bytes / 4);
}

}  // namespace

DropReason Fragmenter::begin(ByteSpan packet, uint32_t mtu) {
  IpHeader ip;
  if (const DropReason reason = read_ip_header(packet, ip); reason != DropReason::none) return reason;
  if (!ip.is_v4()) return DropReason::bad_header;
  packet_ = packet.first(ip.total_length);
  first_header_ = ip.payload_offset;
  later_header_ = later_header_bytes(packet_.first(first_header_));
  payload_ = ip.total_length - first_header_;
  if (ip.total_length <= mtu) {
    first_step_ = payload_;
    count_ = 1;
    return DropReason::none;
  }
  if (ip.dont_fragment || mtu < first_header_ + 8) return DropReason::too_big;
  first_step_ = (mtu - first_header_) / 8 * 8;
  later_step_ = (mtu - later_header_) / 8 * 8;
  count_ = 1 + (payload_ - first_step_ + later_step_ - 1) / later_step_;
  return DropReason::none;
}

uint32_t Fragmenter::payload_at(uint32_t index) const {
  return index == 0 ? 0 : first_step_ + (index - 1) * later_step_;
}

uint32_t Fragmenter::length(uint32_t index) const {
  if (index == 0) return first_header_ + std::min(first_step_, payload_);
  return later_header_ + std::min(later_step_, payload_ - payload_at(index));
}

uint32_t Fragmenter::write(uint32_t index, uint8_t* to) const {
  const uint32_t total = length(index);
  const uint32_t header = index == 0 ? first_header_ : later_header_;
  if (index == 0)
    std::memcpy(to, packet_.data(), first_header_);
  else
    write_later_header(packet_.first(first_header_), later_header_, to);
  std::memcpy(to + header, packet_.data() + first_header_ + payload_at(index), total - header);

  const uint16_t field = load_be16(packet_.data() + 6);
  const bool last = index + 1 == count_;
  const uint32_t offset = (field & kOffsetMask) + payload_at(index) / 8;
  const auto flags = static_cast<uint16_t>(last ? field & ~kOffsetMask : (field & ~kOffsetMask) | kMoreFragments);
  store_be16(to + 2, static_cast<uint16_t>(total));
  store_be16(to + 6, static_cast<uint16_t>(flags | (offset & kOffsetMask)));
  set_ipv4_checksum(to);
  return total;
}

}  // namespace adit::net
