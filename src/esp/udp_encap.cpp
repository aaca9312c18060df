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

void write_udp_header(uint8_t* at, uint16_t source_port, uint16_t destination_port, uint32_t payload_length) {
  CHECK(payload_length <= 65527);
  store_be16(at, source_port);
  store_be16(at + 2, destination_port);
  store_be16(at + 4, static_cast<uint16_t>(payload_length + 8));
  store_be16(at + 6, 0);
}

}  // namespace adit::esp
