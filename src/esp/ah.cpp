// AH (RFC 4302). The integrity check covers the whole packet with its mutable fields as zeros: they are zeroed in
// place, the headers as they were kept aside, and put back afterwards.
#include "esp/ah_fields.h"
#include "esp/burst.h"
#include "net/checksum.h"
#include "net/flow.h"
#include "net/ip_header.h"

namespace adit::esp {
namespace {

constexpr uint32_t kAhFixedBytes = 12;  // next header, length, reserved, SPI, sequence number
constexpr size_t kChunk = 16;           // packets at a time; bounds what is kept on the stack

struct Kept {
  AhPlace place;
  uint32_t ah_bytes = 0;
  uint8_t headers[kMaxAhOffset];
};

struct Chunk {
  JobBurst burst;
  Kept kept[kChunk];
};

// RFC 4302 §2.2: the header is a multiple of 4 bytes with IPv4, of 8 with IPv6.
uint32_t ah_bytes_for(const crypto::Transform& transform, bool v6) {
  const uint32_t bytes = kAhFixedBytes + transform.icv_bytes();
  return v6 ? (bytes + 7) / 8 * 8 : (bytes + 3) / 4 * 4;
}

void set_length(uint8_t* packet, bool v6, uint32_t length) {
  if (v6)
    store_be16(packet + 4, static_cast<uint16_t>(length - net::kIpv6HeaderBytes));
  else
    store_be16(packet + 2, static_cast<uint16_t>(length));
}

// With ESN the engine writes the high sequence bits behind the packet.
bool has_tailroom(const sad::Sa& sa, const net::Packet& packet) {
  return !sa.spec.esn || packet.tailroom >= 4;
}

crypto::Job& add_job(JobBurst& burst, net::Packet& packet) {
  crypto::Job& job = burst.add(packet);
  job.data = packet.data;
  job.length = packet.length;
  job.sequence = packet.sequence;
  return job;
}

// ---- outbound

DropReason find_room(const sad::Sa& sa, const net::Packet& packet, Kept& kept) {
  const auto place = find_ah_place(packet.bytes());
  if (!place) return place.error();
  kept.place = *place;
  kept.ah_bytes = ah_bytes_for(*sa.transform, place->v6);
  if (packet.headroom < kept.ah_bytes || !has_tailroom(sa, packet)) return DropReason::no_buffer;
  return packet.length + kept.ah_bytes > net::kMaxIpBytes ? DropReason::too_big : DropReason::none;
}

// Makes room for AH and writes it, with zeros where the ICV goes. Returns it.
uint8_t* insert(const sad::Sa& sa, net::Packet& packet, const Kept& kept) {
  packet.prepend(kept.ah_bytes);
  std::memmove(packet.data, packet.data + kept.ah_bytes, kept.place.offset);
  uint8_t* ah = packet.data + kept.place.offset;
  ah[0] = packet.data[kept.place.next_offset];
  ah[1] = static_cast<uint8_t>(kept.ah_bytes / 4 - 2);
  store_be16(ah + 2, 0);
  store_be32(ah + 4, static_cast<uint32_t>(sa.spec.spi));
  store_be32(ah + 8, static_cast<uint32_t>(packet.sequence));
  std::memset(ah + kAhFixedBytes, 0, kept.ah_bytes - kAhFixedBytes);
  packet.data[kept.place.next_offset] = net::kProtoAh;
  set_length(packet.data, kept.place.v6, packet.length);
  return ah;
}

DropReason prepare_seal(Chunk& chunk, const sad::Sa& sa, net::Packet& packet, Kept& kept) {
  uint8_t* ah = insert(sa, packet, kept);
  std::memcpy(kept.headers, packet.data, kept.place.offset);
  if (!zero_mutable_fields(packet.data, kept.place)) return DropReason::bad_header;
  add_job(chunk.burst, packet).icv = ah + kAhFixedBytes;
  return DropReason::none;
}

void seal_chunk(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets) {
  Chunk chunk;
  for (size_t i = 0; i < packets.size(); ++i) {
    if (packets[i].drop == DropReason::none) packets[i].drop = find_room(sa, packets[i], chunk.kept[i]);
  }
  give_sequence_numbers(sa, packets);
  for (size_t i = 0; i < packets.size(); ++i) {
    if (packets[i].drop == DropReason::none) packets[i].drop = prepare_seal(chunk, sa, packets[i], chunk.kept[i]);
  }
  engine.seal(*sa.transform, chunk.burst.jobs());
  for (size_t i = 0; i < chunk.burst.size(); ++i) {
    net::Packet& packet = chunk.burst.packet(i);
    const Kept& kept = chunk.kept[&packet - packets.data()];
    if (!chunk.burst.jobs()[i].ok) packet.drop = DropReason::crypto_failed;
    std::memcpy(packet.data, kept.headers, kept.place.offset);
    if (!kept.place.v6) net::set_ipv4_checksum(packet.data);
  }
}

// ---- inbound

DropReason find_ah(const sad::Sa& sa, const net::Packet& packet, Kept& kept) {
  const auto place = find_ah_place(packet.bytes());
  if (!place) return place.error();
  kept.place = *place;
  if (packet.data[place->next_offset] != net::kProtoAh) return DropReason::bad_header;
  if (packet.length < place->offset + kAhFixedBytes) return DropReason::truncated;
  kept.ah_bytes = (packet.data[place->offset + 1] + 2u) * 4;
  if (packet.length < place->offset + kept.ah_bytes) return DropReason::truncated;
  // Some peers pad to 8 bytes with IPv4 too: what is between the ICV and the next header is covered like the rest.
  const uint32_t least = kAhFixedBytes + sa.transform->icv_bytes();
  if (kept.ah_bytes < least || kept.ah_bytes >= least + 8) return DropReason::bad_header;
  if (place->v6 && kept.ah_bytes % 8 != 0) return DropReason::bad_header;
  return has_tailroom(sa, packet) ? DropReason::none : DropReason::no_buffer;
}

DropReason prepare_open(Chunk& chunk, const sad::Sa& sa, net::Packet& packet, Kept& kept) {
  if (const DropReason bad = find_ah(sa, packet, kept); bad != DropReason::none) return bad;
  uint8_t* ah = packet.data + kept.place.offset;
  packet.sequence = sa.replay.infer(load_be32(ah + 8));
  if (!sa.replay.check(packet.sequence)) return DropReason::replay;
  std::memcpy(kept.headers, packet.data, kept.place.offset);
  if (!zero_mutable_fields(packet.data, kept.place)) return DropReason::bad_header;
  crypto::Job& job = add_job(chunk.burst, packet);
  job.icv = chunk.burst.scratch();
  std::memcpy(job.icv, ah + kAhFixedBytes, sa.transform->icv_bytes());
  std::memset(ah + kAhFixedBytes, 0, sa.transform->icv_bytes());
  return DropReason::none;
}

void take_out(net::Packet& packet, Kept& kept) {
  kept.headers[kept.place.next_offset] = packet.data[kept.place.offset];
  packet.trim_front(kept.ah_bytes);
  std::memcpy(packet.data, kept.headers, kept.place.offset);
  set_length(packet.data, kept.place.v6, packet.length);
  if (!kept.place.v6) net::set_ipv4_checksum(packet.data);
}

void open_chunk(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets) {
  Chunk chunk;
  for (size_t i = 0; i < packets.size(); ++i) {
    if (packets[i].drop == DropReason::none) packets[i].drop = prepare_open(chunk, sa, packets[i], chunk.kept[i]);
  }
  engine.open(*sa.transform, chunk.burst.jobs());
  for (size_t i = 0; i < chunk.burst.size(); ++i) {
    net::Packet& packet = chunk.burst.packet(i);
    if (!chunk.burst.jobs()[i].ok)
      packet.drop = DropReason::bad_icv;
    else if (!sa.may_see(packet.sequence))
      packet.drop = DropReason::sequence_unsaved;
    else if (!sa.see(packet.sequence))
      packet.drop = DropReason::replay;
    else
      take_out(packet, chunk.kept[&packet - packets.data()]);
  }
}

template <typename Work>
void in_chunks(std::span<net::Packet> packets, Work work) {
  while (!packets.empty()) {
    const size_t count = std::min(packets.size(), kChunk);
    work(packets.first(count));
    packets = packets.subspan(count);
  }
}

}  // namespace

void ah_seal(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets) {
  CHECK(packets.size() <= kMaxBurst && sa.transform != nullptr);
  in_chunks(packets, [&](std::span<net::Packet> some) { seal_chunk(engine, sa, some); });
}

void ah_open(crypto::Engine& engine, sad::Sa& sa, std::span<net::Packet> packets) {
  CHECK(packets.size() <= kMaxBurst && sa.transform != nullptr);
  const sad::InboundOwner owner(sa.inbound_owner);
  in_chunks(packets, [&](std::span<net::Packet> some) { open_chunk(engine, sa, some); });
}

}  // namespace adit::esp
