#include "net/checksum.h"
#include "net/ip_header.h"
#include "tunnel/link.h"

namespace adit::tunnel {
namespace {

constexpr uint8_t kDrop = 0xff;

// The inner codepoint that goes on, by [inner][outer]; codepoints: 0 Not-ECT, 1 ECT(1), 2 ECT(0), 3 CE (RFC 6040 fig.
// 4).
constexpr uint8_t kFolded[4][4] = {
    {0, 0, 0, kDrop},
    {1, 1, 1, 3},
    {2, 1, 2, 3},
    {3, 3, 3, 3},
};

void set_v4(MutByteSpan inner, uint8_t codepoint) {
  const uint16_t old_word = load_be16(inner.data());
  inner[1] = static_cast<uint8_t>((inner[1] & ~net::kEcnMask) | codepoint);
  const uint16_t checksum = net::update_checksum(load_be16(&inner[10]), old_word, load_be16(inner.data()));
  store_be16(&inner[10], checksum);
}

}  // namespace

DropReason fold_ecn(uint8_t outer_traffic_class, MutByteSpan inner) {
  if (inner.size() < net::kIpv4HeaderBytes) return DropReason::none;  // no IP packet: read_flow will say so
  const uint8_t version = inner[0] >> 4;
  if (version != 4 && version != 6) return DropReason::none;
  const uint8_t inner_ecn = (version == 4 ? inner[1] : inner[1] >> 4) & net::kEcnMask;
  const uint8_t folded = kFolded[inner_ecn][outer_traffic_class & net::kEcnMask];
  if (folded == kDrop) return DropReason::ecn_illegal;
  if (folded == inner_ecn) return DropReason::none;
  if (version == 4)
    set_v4(inner, folded);
  else
    inner[1] = static_cast<uint8_t>((inner[1] & ~(net::kEcnMask << 4)) | (folded << 4));
  return DropReason::none;
}

}  // namespace adit::tunnel
