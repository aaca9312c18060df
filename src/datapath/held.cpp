#include "datapath/held.h"

#include <algorithm>
#include <cstring>

#include "net/packet.h"

namespace adit::datapath {
namespace {

template <typename Ready>
std::vector<HeldPacket> take_if(std::vector<HeldPacket>& packets, const Ready& ready) {
  std::vector<HeldPacket> taken;
  const auto rest =
      std::stable_partition(packets.begin(), packets.end(), [&](const HeldPacket& p) { return !ready(p); });
  std::move(rest, packets.end(), std::back_inserter(taken));
  packets.erase(rest, packets.end());
  return taken;
}

}  // namespace

bool Held::may_wait(const sad::Sa& sa, uint32_t wire) {
  const uint64_t limit = sa.seen.limit.load(std::memory_order_relaxed);
  if (limit == sad::Ceiling::kNone) return false;
  if (!sa.spec.esn) return wire > limit;
  return static_cast<int32_t>(wire - static_cast<uint32_t>(limit)) > 0;  // the limit is never far from the window
}

HeldPacket Held::copy(const WireReceived& item, const uint8_t* data, uint32_t length) {
  HeldPacket held;
  held.item = item;
  held.memory = std::make_unique<uint8_t[]>(net::kHeadroom + size_t{length} + net::kTailroom);
  held.item.data = held.memory.get() + net::kHeadroom;
  held.item.length = length;
  held.item.segment_bytes = 0;
  std::memcpy(held.item.data, data, length);
  if (item.outer_header == nullptr) return held;
  held.item.outer_header = held.item.data - item.outer_header_bytes;
  std::memcpy(held.item.outer_header, data - item.outer_header_bytes, item.outer_header_bytes);
  return held;
}

bool Held::put(HeldPacket packet) {
  if (packets_.size() >= kMost) return false;
  packets_.push_back(std::move(packet));
  return true;
}

std::vector<HeldPacket> Held::take_ready(const sad::Table* sas) {
  return take_if(packets_, [&](const HeldPacket& packet) {
    const sad::Sa* sa = sas == nullptr ? nullptr : sas->find(packet.spi, packet.type, packet.item.destination);
    return sa == nullptr || sa->seen.limit.load(std::memory_order_relaxed) >= packet.sequence;
  });
}

std::vector<HeldPacket> Held::take_late(uint64_t now_ns) {
  return take_if(packets_, [&](const HeldPacket& packet) { return packet.deadline_ns <= now_ns; });
}

}  // namespace adit::datapath
