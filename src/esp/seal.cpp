// Outbound ESP (RFC 4303 §3.3): trailer, header and sequence number for each packet, then the burst at once to the
// engine.
#include "esp/burst.h"
#include "net/flow.h"

namespace adit::esp {
namespace {

constexpr auto kPadding = [] {  // RFC 4303 §2.4: 1, 2, 3 …
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i + 1);
  return bytes;
}();

uint32_t padding_for(uint32_t payload_length, uint32_t block) {
  return (block - (payload_length + kEspTrailerBytes) % block) % block;
}

void write_trailer(net::Packet& packet, uint32_t padding) {
  uint8_t* end = packet.data + packet.length;
  std::memcpy(end, kPadding.data(), padding);
  end[padding] = static_cast<uint8_t>(padding);
  end[padding + 1] = packet.protocol;
}

void write_header(net::Packet& packet, const sad::Sa& sa) {
  store_be32(packet.data, static_cast<uint32_t>(sa.spec.spi));
  store_be32(packet.data + 4, static_cast<uint32_t>(packet.sequence));
}

bool has_room(const net::Packet& packet, const crypto::Transform& transform) {
  const uint32_t behind =
      padding_for(packet.length, transform.block_bytes()) + kEspTrailerBytes + transform.icv_bytes();
  return packet.headroom >= kEspHeaderBytes + transform.iv_bytes() && packet.tailroom >= behind;
}

void prepare(JobBurst& burst, const sad::Sa& sa, net::Packet& packet) {
  const crypto::Transform& transform = *sa.transform;
  const uint32_t padding = padding_for(packet.length, transform.block_bytes());
  write_trailer(packet, padding);
  crypto::Job& job = burst.add(packet);
  job.data = packet.data;
  job.length = packet.length + padding + kEspTrailerBytes;
  job.icv = job.data + job.length;
  job.iv = job.data - transform.iv_bytes();
  job.sequence = packet.sequence;
  packet.append(padding + kEspTrailerBytes + transform.icv_bytes());
  packet.prepend(kEspHeaderBytes + transform.iv_bytes());
  packet.protocol = net::kProtoEsp;
  write_header(packet, sa);
  set_aad(burst, job, sa, packet.data, packet.sequence);
}

}  // namespace

void seal(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets) {
  CHECK(packets.size() <= kMaxBurst && sa.transform != nullptr);
  for (net::Packet& packet : packets) {
    if (packet.drop == DropReason::none && !has_room(packet, *sa.transform)) packet.drop = DropReason::no_buffer;
  }
  give_sequence_numbers(sa, packets);
  JobBurst burst;
  for (net::Packet& packet : packets) {
    if (packet.drop == DropReason::none) prepare(burst, sa, packet);
  }
  engine.seal(*sa.transform, burst.jobs());
  for (size_t i = 0; i < burst.size(); ++i) {
    if (!burst.jobs()[i].ok) burst.packet(i).drop = DropReason::crypto_failed;
  }
}

uint32_t overhead(const sad::Sa& sa, uint32_t payload_length) {
  const crypto::Transform& transform = *sa.transform;
  return kEspHeaderBytes + transform.iv_bytes() + padding_for(payload_length, transform.block_bytes()) +
         kEspTrailerBytes + transform.icv_bytes();
}

}  // namespace adit::esp
