#include "esp/udp_encap.h"

#include "base/check.h"

namespace adit::esp {
namespace {
constexpr size_t kEspHeaderBytes = 8, kIkeHeaderBytes = 28;
}

UdpPayload classify(ByteSpan payload) {
  if (payload.size() == 1 && payload[0] == 0xff) return UdpPayload::keepalive;
  if (payload.size() < kEspHeaderBytes) return UdpPayload::malformed;
  if (load_be32(payload.data()) != 0) return UdpPayload::esp;
  return payload.size() >= kNonEspMarkerBytes + kIkeHeaderBytes ? UdpPayload::ike : UdpPayload::malformed;
}

}  // namespace adit::esp
