// The decisions of flows seen lately, so that the steady state asks neither SPD nor SAD. One worker's own.
#pragma once

#include <array>

#include "datapath/decide.h"

namespace adit::datapath {

class FlowCache {
 public:
  // The flow's way by this snapshot, when it was decided before and its SAs are still MATURE. Valid until `put`.
  [[nodiscard]] const Way* find(uint64_t generation, const Link& link, const net::Flow& flow) const {
    const Entry& entry = entries_[slot(link, flow)];
    const bool hit =
        entry.generation == generation && entry.way.link == &link && entry.flow == flow && entry.way.fresh();
    return hit ? &entry.way : nullptr;
  }
  void put(uint64_t generation, const net::Flow& flow, const Way& way) {
    entries_[slot(*way.link, flow)] = {generation, flow, way};
  }

 private:
  struct Entry {
    uint64_t generation = 0;  // 0: empty; snapshots count from 1
    net::Flow flow;
    Way way;
  };
  static constexpr size_t kEntries = 1024;

  static size_t slot(const Link& link, const net::Flow& flow) {
    uint64_t hash = static_cast<uint32_t>(link.id);
    hash = net::hash_address(flow.source, hash);
    hash = net::hash_address(flow.destination, hash);
    hash ^= (uint64_t{flow.source_port} << 32 | uint64_t{flow.destination_port} << 16 | flow.protocol) *
            0x9e3779b97f4a7c15U;
    return (hash ^ hash >> 29) % kEntries;
  }

  std::array<Entry, kEntries> entries_;
};

}  // namespace adit::datapath
