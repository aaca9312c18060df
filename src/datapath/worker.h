// A worker owns its queues and runs each burst to completion: one thread, all directions, no hand-over.
#pragma once

#include <memory>

#include "base/clock.h"
#include "crypto/transform.h"
#include "datapath/shared.h"
#include "ike/door/port.h"
#include "ports/ports.h"

namespace adit::datapath {

class Worker {
 public:
  // EMFILE, ENFILE, ENOMEM, ENOSPC: no descriptors, or no more of them can be watched.
  static Result<std::unique_ptr<Worker>> make(uint32_t index, Shared& shared, std::unique_ptr<crypto::Engine> engine,
                                              std::unique_ptr<WirePort> wire);
  ~Worker();  // stops the thread

  // Engine thread, at any time: the queue of a link comes or goes. Returns when the worker has taken it over or let it
  // go.
  // ENOSPC, ENOMEM: it cannot be watched; the port is gone.
  Result<> attach(tunnel::LinkId id, std::unique_ptr<TunPort> port);
  void detach(tunnel::LinkId id);

  // Engine thread, at any time: where IKE on port 4500 goes; null: nowhere. One worker `sends` what in.iked asks for.
  // Returns when the worker has let go of the one before. ENOSPC, ENOMEM: it cannot be watched.
  Result<> attach_ike(std::shared_ptr<ike::Port> port, bool sends);

  void start();  // a thread: a brief spin, then it sleeps in epoll until something comes
  void stop();
  void wake();  // after publish: parked packets may go now
  // Returns when no packet is on its way any more by a snapshot older than what stands published at the call.
  void drain_older_snapshots();

  // What no link could be found for (no_tunnel, unknown_spi …). Any thread.
  [[nodiscard]] const LinkCounters& unlinked() const;
  // What the sockets lost before it could be read. Any thread.
  [[nodiscard]] uint64_t overflow() const;

  // One round without a thread, for tests: reads what is there, carries it, flushes; returns packets moved.
  size_t run_once();
  void pass_time(Seconds seconds);  // the clock of the rounds to come is so much ahead

 private:
  struct Impl;
  explicit Worker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace adit::datapath
