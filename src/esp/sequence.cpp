#include "esp/burst.h"

namespace adit::esp {

void give_sequence_numbers(sad::Sa& sa, std::span<net::Packet> packets) {
  uint32_t count = 0;
  for (const net::Packet& packet : packets) count += packet.drop == DropReason::none;
  if (count == 0) return;
  if (const auto first = sa.reserve_sequence(count)) {
    uint64_t next = *first;
    for (net::Packet& packet : packets) {
      if (packet.drop == DropReason::none) packet.sequence = next++;
    }
    return;
  }
  for (net::Packet& packet : packets) {  // the last numbers there are
    if (packet.drop != DropReason::none) continue;
    const auto number = sa.reserve_sequence(1);
    if (number)
      packet.sequence = *number;
    else
      packet.drop = sa.is_exhausted() ? DropReason::sequence_exhausted : DropReason::sequence_unsaved;
  }
}

}  // namespace adit::esp
