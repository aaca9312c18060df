// Packets that wait for an SA: a bounded queue for each (link, rule). A rare path, so it allocates; its bounds are
// firm.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "ports/ports.h"
#include "tunnel/link.h"

namespace adit::datapath {

class Parking {
 public:
  struct Parked {
    std::vector<uint8_t> bytes;
    Offload offload;
  };
  struct Queue {
    tunnel::LinkId link{};
    uint64_t rule_index = 0;
    uint64_t deadline_ns = 0;
    std::vector<Parked> packets;
  };
  struct Answer {
    bool ask = false;  // the first of its queue: an SA must be asked for
    bool kept = false;
  };

  // Keeps a copy. `deadline_ns` counts for a new queue only: the first packet's wait is everybody's.
  Answer park(tunnel::LinkId link, uint64_t rule_index, ByteSpan packet, const Offload& offload, uint64_t deadline_ns,
              size_t most_packets);

  // Takes all packets out for another try. What is parked again meanwhile joins its old queue, with the old deadline
  // and without another question; call `forget_empty` afterwards.
  std::vector<Queue> take_all();
  void forget_empty();

  // Takes out the queues whose wait is over.
  std::vector<Queue> take_expired(uint64_t now_ns);
  [[nodiscard]] std::optional<uint64_t> next_deadline_ns() const;
  [[nodiscard]] bool empty() const { return queues_.empty(); }

  static constexpr size_t kMostBytes = 16 << 20;  // of one worker, all queues

 private:
  std::vector<Queue> queues_;
  size_t bytes_ = 0;
};

}  // namespace adit::datapath
