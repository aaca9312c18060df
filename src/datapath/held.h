// Inbound packets whose numbers are not on disk yet (sad/ceiling.h): kept as they came, for the few milliseconds until
// they are, and then carried like new ones. A rare path (the first packets of a burst, a peer's leap), so it allocates;
// its bounds are firm. One worker's own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ports/ports.h"
#include "sad/table.h"

namespace adit::datapath {

struct HeldPacket {
  WireReceived item;  // its pointers are into `memory`
  std::unique_ptr<uint8_t[]> memory;
  sad::Spi spi{};
  sad::SaType type{};
  uint64_t sequence = 0;
  uint64_t deadline_ns = 0;
};

class Held {
 public:
  static constexpr size_t kMost = 1024;
  static constexpr uint64_t kWaitNs = 1'000'000'000;

  // May a packet with this number on the wire have to wait? Cheap, and right about all that must.
  static bool may_wait(const sad::Sa& sa, uint32_t wire);
  // A copy, before it is opened in place. `outer_header_bytes` in front of `data` belong to it.
  static HeldPacket copy(const WireReceived& item, const uint8_t* data, uint32_t length);

  // False: there is no room.
  bool put(HeldPacket packet);
  [[nodiscard]] bool empty() const { return packets_.empty(); }

  // Those that need not wait any more (their SA may be gone by now), and those that waited too long, in the order in
  // which they came.
  std::vector<HeldPacket> take_ready(const sad::Table* sas);
  std::vector<HeldPacket> take_late(uint64_t now_ns);

 private:
  std::vector<HeldPacket> packets_;
};

}  // namespace adit::datapath
