#include "net/mss.h"

#include "net/checksum.h"
#include "net/flow.h"
#include "net/ip_header.h"

namespace adit::net {
namespace {

constexpr uint32_t kTcpHeader = 20, kTcpChecksum = 16;
constexpr uint8_t kSyn = 0x02;
constexpr uint8_t kOptionEnd = 0, kOptionNop = 1, kOptionMss = 2, kMssOptionBytes = 4;

// Where the MSS value stands in the TCP header; 0: nowhere.
uint32_t find_mss(ByteSpan header) {
  for (uint32_t at = kTcpHeader; at + 1 < header.size();) {
    const uint8_t kind = header[at];
    if (kind == kOptionEnd) return 0;
    if (kind == kOptionNop) {
      ++at;
      continue;
    }
    const uint8_t bytes = header[at + 1];
    if (bytes < 2 || at + bytes > header.size()) return 0;
    if (kind == kOptionMss) return bytes == kMssOptionBytes ? at + 2 : 0;
    at += bytes;
  }
  return 0;
}

// A 16-bit value that may stand at an odd place, where its two bytes belong to two words of the sum.
uint16_t corrected(uint16_t checksum, uint32_t offset, uint16_t old_value, uint16_t new_value) {
  const auto high = [](uint16_t value) { return static_cast<uint8_t>(value >> 8); };
  const auto low = [](uint16_t value) { return static_cast<uint8_t>(value); };
  checksum = update_checksum_byte(checksum, offset, high(old_value), high(new_value));
  return update_checksum_byte(checksum, offset + 1, low(old_value), low(new_value));
}

}  // namespace

bool clamp_mss(MutByteSpan packet, uint32_t mtu, FieldState state) {
  IpHeader ip;
  if (read_ip_header(packet, ip) != DropReason::none || ip.protocol != kProtoTcp || ip.later_fragment()) return false;
  const MutByteSpan tcp = packet.first(ip.total_length).subspan(ip.payload_offset);
  if (tcp.size() < kTcpHeader || (tcp[13] & kSyn) == 0) return false;
  const uint32_t header = (tcp[12] >> 4) * 4u;
  if (header < kTcpHeader || header > tcp.size()) return false;

  const uint32_t overhead = (ip.is_v4() ? kIpv4HeaderBytes : kIpv6HeaderBytes) + kTcpHeader;
  const uint32_t at = find_mss(tcp.first(header));
  if (at == 0 || mtu <= overhead) return false;
  const uint16_t old_mss = load_be16(&tcp[at]);
  if (old_mss <= mtu - overhead) return false;
  const auto new_mss = static_cast<uint16_t>(mtu - overhead);
  store_be16(&tcp[at], new_mss);
  if (state == FieldState::complete) {
    store_be16(&tcp[kTcpChecksum], corrected(load_be16(&tcp[kTcpChecksum]), at, old_mss, new_mss));
  }
  return true;
}

}  // namespace adit::net
