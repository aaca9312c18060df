// The workers and the snapshot they work by. Edits gather until publish(); then every worker sees all of them or none.
#pragma once

#include <memory>
#include <vector>

#include "control/seams.h"
#include "datapath/worker.h"

namespace adit::engine {

class Dataplane {
 public:
  explicit Dataplane(const Context& context);
  ~Dataplane();

  // Opens the wire sockets and starts the workers. EPERM: no CAP_NET_RAW.
  Result<> start();
  void stop();

  [[nodiscard]] uint32_t workers() const { return static_cast<uint32_t>(workers_.size()); }
  [[nodiscard]] datapath::Shared& shared() { return shared_; }
  [[nodiscard]] std::vector<const datapath::LinkCounters*> unlinked() const;
  // Packets that the sockets to the underlay lost before a worker could read them.
  [[nodiscard]] uint64_t socket_backlog() const;
  // One set of counters a worker, for a new link.
  [[nodiscard]] std::vector<std::shared_ptr<datapath::LinkCounters>> make_counters() const;

  void put_link(const std::shared_ptr<const datapath::Link>& link);  // replaces the one of its id
  void take_link(tunnel::LinkId id);
  void set_host_head(std::shared_ptr<const spd::Head> head) { host_ = std::move(head); }
  void set_sas(std::shared_ptr<const sad::Table> sas) { sas_ = std::move(sas); }
  void publish();
  void wake();  // what waits may go on
  // Returns when no packet is on its way any more by an older snapshot.
  void drain_older_snapshots();

  // REQUIRES: one port a worker.
  // On failure no worker has one. ENOSPC, ENOMEM: no more descriptors can be watched.
  Result<> attach(tunnel::LinkId id, std::vector<std::unique_ptr<datapath::TunPort>> ports);
  void detach(tunnel::LinkId id);

  // Where IKE on port 4500 goes; null: nowhere. On failure nowhere, either. ENOSPC, ENOMEM: it cannot be watched.
  Result<> attach_ike(const std::shared_ptr<ike::Port>& port);

  // Tests: one round of every worker.
  size_t run_once();

 private:
  const Context& context_;
  datapath::Shared shared_;
  std::vector<std::unique_ptr<datapath::Worker>> workers_;
  datapath::LinkSet links_;
  std::shared_ptr<const datapath::LinkSet> link_set_;  // a copy of links_; null: they have changed since
  std::shared_ptr<const spd::Head> host_;
  std::shared_ptr<const sad::Table> sas_;
  uint64_t generation_ = 0;
  bool running_ = false;
};

}  // namespace adit::engine
