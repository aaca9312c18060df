// What the packet path knows: an immutable snapshot that the engine publishes. Readers never wait and never see half.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/counter.h"
#include "base/drop_reason.h"
#include "base/persistent_map.h"
#include "sad/table.h"
#include "spd/head.h"
#include "tunnel/link.h"

namespace adit::datapath {

// One worker's counters of one link; drops by reason. `show-link -s` adds the workers up.
struct LinkCounters {
  Counter ipackets, rbytes, opackets, obytes, ierrors, oerrors;
  std::array<Counter, kDropReasons> drops_in, drops_out;
  std::atomic<int> send_error{0};              // errno of the last send that failed
  std::atomic<uint64_t> sent_before_error{0};  // opackets at that moment: equal while nothing has left since
  // ESP in UDP that passed its integrity check and did not come from the port that its SA names: that port. 0: the last
  // one did.
  std::atomic<uint16_t> other_port{0};
};

struct Link {  // one tunnel, as packets see it
  tunnel::LinkId id{};
  std::string name;
  tunnel::Outer outer;
  bool bound = false;    // both outer addresses are known
  bool secured = false;  // -S
  bool up = false;       // the state machine's word: packets may pass (I2)
  uint32_t mtu = 1280;
  uint32_t path_mtu = 1500;
  bool clamp_mss = true;
  std::shared_ptr<const spd::Head> head;  // null or not active: no policy. A secured link then drops everything (I1)
  std::vector<std::shared_ptr<LinkCounters>> counters;  // by worker
};

[[nodiscard]] inline bool has_policy(const Link& link) {
  return link.head != nullptr && link.head->active();
}
// Nothing but its being down keeps clear text from leaving through it: no rule decides, and no rule must.
[[nodiscard]] inline bool needs_no_policy(const Link& link) {
  return !link.secured && !has_policy(link);
}
// What is routed into it leaves in the clear, at this moment. Who tells an operator that a tunnel is open asks this, as
// the packets do.
[[nodiscard]] inline bool passes_clear_text(const Link& link) {
  return link.up && link.bound && needs_no_policy(link);
}

// The links of a snapshot, found by id and by outer addresses. A changed copy costs what changed, whatever the number
// of links.
class LinkSet {
 public:
  using Links = std::vector<std::shared_ptr<const Link>>;
  LinkSet() = default;
  // REQUIRES: each has counters for so many workers.
  LinkSet(const Links& links, uint32_t workers);

  void put(const std::shared_ptr<const Link>& link);  // instead of the one of its id
  void erase(tunnel::LinkId id);

  [[nodiscard]] Links all() const;  // in no order
  [[nodiscard]] const Link* by_id(tunnel::LinkId id) const;
  [[nodiscard]] const Link* by_outer(const net::Address& local, const net::Address& remote) const;

 private:
  using Outer = std::pair<net::Address, net::Address>;  // local, remote
  struct IdHash {
    size_t operator()(uint32_t id) const { return id; }
  };
  struct OuterHash {
    size_t operator()(const Outer& outer) const {
      return std::hash<net::Address>{}(outer.first) * 31 + std::hash<net::Address>{}(outer.second);
    }
  };
  PersistentMap<uint32_t, std::shared_ptr<const Link>, IdHash> by_id_;
  PersistentMap<Outer, const Link*, OuterHash> by_outer_;  // those that are bound; by_id_ holds them
};

struct Snapshot {
  uint64_t generation = 0;  // grows with each publish, from 1
  std::shared_ptr<const LinkSet> links = std::make_shared<const LinkSet>();
  std::shared_ptr<const spd::Head> host;  // null: no host policy
  std::shared_ptr<const sad::Table> sas;
  uint32_t acquire_queue_packets = 64;  // bound of the waiting queue of one rule
  uint32_t acquire_wait_seconds = 10;

  [[nodiscard]] const Link* by_id(tunnel::LinkId id) const { return links->by_id(id); }
  [[nodiscard]] const Link* by_outer(const net::Address& local, const net::Address& remote) const {
    return links->by_outer(local, remote);
  }
};

// The one place where engine and workers meet. publish: engine thread. A worker calls `current` at the start of each
// burst: one atomic load unless the generation moved.
class Publisher {
 public:
  // REQUIRES: next->generation is above that of the one published before.
  void publish(std::shared_ptr<const Snapshot> next);
  // Replaces `held` when a newer one stands; true when it did.
  bool refresh(std::shared_ptr<const Snapshot>& held) const;
  [[nodiscard]] std::shared_ptr<const Snapshot> get() const;

 private:
  std::atomic<uint64_t> generation_{0};
  mutable std::mutex mutex_;  // taken only when the generation moved
  std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace adit::datapath
