#include "path/dataplane.h"

#include <algorithm>
#include <thread>

#include "base/check.h"
#include "linux/platform/mark.h"

namespace adit::engine {
namespace {

constexpr uint32_t kMostWorkers = 8;  // beyond it a gateway's links, not its cores, are the limit

uint32_t worker_count(const Settings& settings) {
  if (settings.workers != 0) return std::min(settings.workers, 64u);
  return std::clamp(std::thread::hardware_concurrency(), 1u, kMostWorkers);
}

}  // namespace

Dataplane::Dataplane(const Context& context) : context_(context) {
  sas_ = std::make_shared<const sad::Table>();
}

Dataplane::~Dataplane() {
  stop();
}

Result<> Dataplane::start() {
  const uint32_t count = worker_count(context_.settings);
  publish();  // a worker never runs without a snapshot
  std::vector<std::unique_ptr<datapath::Worker>> workers;
  for (uint32_t index = 0; index < count; ++index) {
    TRY_ASSIGN(auto engine, crypto::make_engine(context_.settings.crypto));
    TRY_ASSIGN(auto wire, context_.platform.open_wire(index, count));
    TRY_ASSIGN(auto worker, datapath::Worker::make(index, shared_, std::move(engine), std::move(wire)));
    workers.push_back(std::move(worker));
  }
  workers_ = std::move(workers);
  publish();
  if (context_.settings.threads) {
    for (auto& worker : workers_) worker->start();
    running_ = true;
  }
  return {};
}

void Dataplane::stop() {
  if (running_) {
    for (auto& worker : workers_) worker->stop();
    running_ = false;
  }
  workers_.clear();
}

std::vector<const datapath::LinkCounters*> Dataplane::unlinked() const {
  std::vector<const datapath::LinkCounters*> all;
  all.reserve(workers_.size());
  for (const auto& worker : workers_) all.push_back(&worker->unlinked());
  return all;
}

uint64_t Dataplane::socket_backlog() const {
  uint64_t packets = 0;
  for (const auto& worker : workers_) packets += worker->overflow();
  return packets;
}

std::vector<std::shared_ptr<datapath::LinkCounters>> Dataplane::make_counters() const {
  std::vector<std::shared_ptr<datapath::LinkCounters>> counters;
  counters.reserve(workers_.size());
  for (size_t i = 0; i < workers_.size(); ++i) counters.push_back(std::make_shared<datapath::LinkCounters>());
  return counters;
}

void Dataplane::put_link(const std::shared_ptr<const datapath::Link>& link) {
  CHECK(link->counters.size() >= workers());
  links_.put(link);
  link_set_ = nullptr;
}

void Dataplane::take_link(tunnel::LinkId id) {
  links_.erase(id);
  link_set_ = nullptr;
}

void Dataplane::publish() {
  auto next = std::make_shared<datapath::Snapshot>();
  next->generation = ++generation_;
  if (link_set_ == nullptr) link_set_ = std::make_shared<const datapath::LinkSet>(links_);
  next->links = link_set_;
  next->host = host_;
  next->sas = sas_;
  shared_.publisher.publish(std::move(next));
  wake();
}

void Dataplane::wake() {
  for (auto& worker : workers_) worker->wake();
}

void Dataplane::drain_older_snapshots() {
  if (!running_) return;
  for (auto& worker : workers_) worker->drain_older_snapshots();
}

Result<> Dataplane::attach(tunnel::LinkId id, std::vector<std::unique_ptr<datapath::TunPort>> ports) {
  CHECK(ports.size() == workers_.size());
  for (size_t i = 0; i < ports.size(); ++i) {
    if (auto attached = workers_[i]->attach(id, std::move(ports[i])); !attached) {
      detach(id);
      return attached;
    }
  }
  return {};
}

void Dataplane::detach(tunnel::LinkId id) {
  for (auto& worker : workers_) worker->detach(id);
}

// The first worker sends for it: any of them can, and one keeps the order.
Result<> Dataplane::attach_ike(const std::shared_ptr<ike::Port>& port) {
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (auto attached = workers_[i]->attach_ike(port, i == 0); !attached) {
      (void)attach_ike(nullptr);
      return attached;
    }
  }
  return {};
}

size_t Dataplane::run_once() {
  size_t moved = 0;
  for (auto& worker : workers_) moved += worker->run_once();
  return moved;
}

}  // namespace adit::engine
