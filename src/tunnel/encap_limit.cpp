#include "tunnel/encap_limit.h"

#include <algorithm>

#include "net/ip_header.h"

namespace adit::tunnel {
namespace {

constexpr uint8_t kPad1 = 0, kPadN = 1, kEncapLimit = 4;

// Looks through one options header of `bytes` bytes at `begin`.
uint32_t find_in_options(ByteSpan packet, uint32_t begin, uint32_t bytes) {
  const uint32_t end = begin + bytes;
  for (uint32_t at = begin + 2; at + 1 < end;) {
    const uint8_t kind = packet[at];
    if (kind == kPad1) {
      ++at;
      continue;
    }
    const uint32_t length = packet[at + 1];
    if (at + 2 + length > end) return 0;
    if (kind == kEncapLimit) return length == 1 ? at + 2 : 0;
    at += 2 + length;
  }
  return 0;
}

}  // namespace

uint32_t find_encap_limit(ByteSpan packet) {
  if (packet.size() < net::kIpv6HeaderBytes || (packet[0] >> 4) != 6) return 0;
  uint8_t next = packet[6];
  uint32_t at = net::kIpv6HeaderBytes;
  for (uint32_t seen = 0; seen < net::kMaxExtensionHeaders; ++seen) {
    const bool known = next == net::kNextHopByHop || next == net::kNextRouting || next == net::kNextDestination;
    if (!known || packet.size() < at + 2) return 0;
    const uint32_t bytes = (packet[at + 1] + 1u) * 8;
    if (packet.size() < at + bytes) return 0;
    if (next == net::kNextDestination) {
      if (const uint32_t found = find_in_options(packet, at, bytes); found != 0) return found;
    }
    next = packet[at];
    at += bytes;
  }
  return 0;
}

void write_encap_limit(uint8_t* at, uint8_t next, uint8_t limit) {
  const uint8_t bytes[kEncapLimitBytes] = {next, 0, kEncapLimit, 1, limit, kPadN, 1, 0};
  std::copy_n(bytes, kEncapLimitBytes, at);
}

}  // namespace adit::tunnel
