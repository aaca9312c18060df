// What the two directions of one worker share. The worker's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "base/clock.h"
#include "crypto/transform.h"
#include "datapath/shared.h"
#include "ike/door/relay.h"
#include "net/icmp.h"
#include "ports/ports.h"

namespace adit::datapath {

struct Context {
  const uint32_t worker;
  Shared& shared;
  crypto::Engine& engine;
  WirePort& wire;
  LinkCounters& unlinked;  // for what no link can be found for

  std::unordered_map<uint32_t, TunPort*> tuns;  // by LinkId; the worker's own queues

  // Fixed for one round.
  std::shared_ptr<const Snapshot> snapshot;  // null until the engine has published
  uint64_t seconds = 0;                      // Clock::seconds
  uint64_t now_ns = 0;                       // monotonic
  bool tracing = false;

  ike::Relay ike;  // of UDP port 4500
  net::TokenBucket rare{10, 10};

  [[nodiscard]] TunPort* tun(tunnel::LinkId id) const {
    const auto found = tuns.find(static_cast<uint32_t>(id));
    return found == tuns.end() ? nullptr : found->second;
  }
  [[nodiscard]] MonoTime now() const { return MonoTime(std::chrono::nanoseconds(now_ns)); }
  [[nodiscard]] LinkCounters& counters(const Link* link) const {
    return link == nullptr ? unlinked : *link->counters[worker];
  }
  void report(const Event& event) const { shared.events.put(event); }
  // Of what every packet may cause: some a second are enough, and must not fill the queue.
  void report_rarely(const Event& event) {
    if (rare.take(now())) report(event);
  }
};

}  // namespace adit::datapath
