#include "datapath/parking.h"

#include <algorithm>
#include <utility>

namespace adit::datapath {

Parking::Answer Parking::park(tunnel::LinkId link, uint64_t rule_index, ByteSpan packet, const Offload& offload,
                              uint64_t deadline_ns, size_t most_packets) {
  auto queue =
      std::ranges::find_if(queues_, [&](const Queue& q) { return q.link == link && q.rule_index == rule_index; });
  const bool first = queue == queues_.end();
  if (first) queue = queues_.insert(queues_.end(), Queue{link, rule_index, deadline_ns, {}});
  const bool kept = queue->packets.size() < most_packets && bytes_ + packet.size() <= kMostBytes;
  if (kept) {
    queue->packets.push_back({{packet.begin(), packet.end()}, offload});
    bytes_ += packet.size();
  }
  return {first, kept};
}

std::vector<Parking::Queue> Parking::take_all() {
  std::vector<Queue> taken;
  for (Queue& queue : queues_) {
    taken.push_back({queue.link, queue.rule_index, queue.deadline_ns, std::move(queue.packets)});
    queue.packets.clear();
  }
  bytes_ = 0;
  return taken;
}

void Parking::forget_empty() {
  std::erase_if(queues_, [](const Queue& queue) { return queue.packets.empty(); });
}

std::vector<Parking::Queue> Parking::take_expired(uint64_t now_ns) {
  const auto late = std::ranges::partition(queues_, [&](const Queue& q) { return q.deadline_ns > now_ns; });
  std::vector<Queue> taken(std::move_iterator(late.begin()), std::move_iterator(late.end()));
  queues_.erase(late.begin(), late.end());
  for (const Queue& queue : taken)
    for (const Parked& packet : queue.packets) bytes_ -= packet.bytes.size();
  return taken;
}

std::optional<uint64_t> Parking::next_deadline_ns() const {
  const auto first = std::ranges::min_element(queues_, {}, &Queue::deadline_ns);
  return first == queues_.end() ? std::nullopt : std::optional(first->deadline_ns);
}

}  // namespace adit::datapath
