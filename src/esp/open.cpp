// Inbound ESP (RFC 4303 §3.4): bounds, replay check, the burst at once to the engine, replay commit, padding.
#include "esp/burst.h"

namespace adit::esp {
namespace {

constexpr auto kPadding = [] {
  std::array<uint8_t, 255> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i + 1);
  return bytes;
}();

// Without an integrity check a sequence number proves nothing, and marking it would let anyone block the real packets.
bool guards_replay(const sad::Sa& sa) {
  return sa.transform->icv_bytes() != 0;
}

DropReason prepare(JobBurst& burst, const sad::Sa& sa, net::Packet& packet) {
  const crypto::Transform& transform = *sa.transform;
  const uint32_t before = kEspHeaderBytes + transform.iv_bytes();
  if (packet.length < before + kEspTrailerBytes + transform.icv_bytes()) return DropReason::truncated;
  const uint32_t length = packet.length - before - transform.icv_bytes();
  if (length % transform.block_bytes() != 0) return DropReason::bad_padding;

  packet.sequence = sa.replay.infer(load_be32(packet.data + 4));
  if (guards_replay(sa) && !sa.replay.check(packet.sequence)) return DropReason::replay;

  crypto::Job& job = burst.add(packet);
  job.iv = packet.data + kEspHeaderBytes;
  job.data = packet.data + before;
  job.length = length;
  job.icv = job.data + length;
  job.sequence = packet.sequence;
  set_aad(burst, job, sa, packet.data, packet.sequence);
  return DropReason::none;
}

// Takes the padding off. TFC padding stays: only the payload's own length tells it (RFC 4303 §2.7).
DropReason finish(net::Packet& packet, const crypto::Transform& transform) {
  packet.trim_front(kEspHeaderBytes + transform.iv_bytes());
  packet.trim_back(transform.icv_bytes());
  const uint8_t* end = packet.data + packet.length;
  const uint8_t padding = end[-2];
  packet.protocol = end[-1];
  if (uint32_t{padding} + kEspTrailerBytes > packet.length) return DropReason::bad_padding;
  if (std::memcmp(end - kEspTrailerBytes - padding, kPadding.data(), padding) != 0) return DropReason::bad_padding;
  packet.trim_back(padding + kEspTrailerBytes);
  return packet.protocol == kDummyNextHeader ? DropReason::dummy : DropReason::none;
}

DropReason conclude(sad::Sa& sa, const crypto::Job& job, net::Packet& packet) {
  if (!job.ok) return guards_replay(sa) ? DropReason::bad_icv : DropReason::crypto_failed;
  if (guards_replay(sa) && !sa.may_see(packet.sequence)) return DropReason::sequence_unsaved;
  if (guards_replay(sa) && !sa.see(packet.sequence)) return DropReason::replay;
  return finish(packet, *sa.transform);
}

}  // namespace

void open(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets) {
  CHECK(packets.size() <= kMaxBurst && sa.transform != nullptr);
  const sad::InboundOwner owner(sa.inbound_owner);
  JobBurst burst;
  for (net::Packet& packet : packets) {
    if (packet.drop == DropReason::none) packet.drop = prepare(burst, sa, packet);
  }
  engine.open(*sa.transform, burst.jobs());
  for (size_t i = 0; i < burst.size(); ++i) {
    net::Packet& packet = burst.packet(i);
    packet.drop = conclude(sa, burst.jobs()[i], packet);
  }
}

}  // namespace adit::esp
