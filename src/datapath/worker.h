// A worker owns its queues and runs each burst to completion: one thread, all directions, no hand-over.
#pragma once

#include <memory>
#include <thread>

#include "crypto/transform.h"
#include "datapath/events.h"
#include "datapath/ports.h"
#include "datapath/snapshot.h"

namespace adit::datapath {

struct Shared {                    // outlives every worker
  Publisher publisher;
  EventQueue events;
  TraceTap trace;
};

class Worker {
 public:
  Worker(uint32_t index, Shared& shared, std::unique_ptr<crypto::Engine> engine, std::unique_ptr<WirePort> wire);
  ~Worker();                       // stops the thread

  // Engine thread, at any time: the queue of a link comes or goes. Returns when the worker has taken it over or let it go.
  void attach(tunnel::LinkId id, std::unique_ptr<TunPort> port);
  void detach(tunnel::LinkId id);

  void start();                    // a thread: brief spin (about 20 empty rounds), then sleeps in epoll
  void stop();
  void wake();                     // after publish: parked packets may go now

  // One round without a thread, for tests: reads what is there, carries it, flushes; returns packets moved.
  size_t run_once();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace adit::datapath
