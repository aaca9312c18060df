#include "datapath/snapshot.h"

#include "base/check.h"

namespace adit::datapath {

LinkSet::LinkSet(Links links, uint32_t workers) : all_(std::move(links)) {
  for (const auto& link : all_) {
    CHECK(link->counters.size() >= workers);
    by_id_.emplace(static_cast<uint32_t>(link->id), link.get());
    if (link->bound) by_remote_[link->outer.remote].push_back(link.get());
  }
}

const Link* LinkSet::by_id(tunnel::LinkId id) const {
  const auto found = by_id_.find(static_cast<uint32_t>(id));
  return found == by_id_.end() ? nullptr : found->second;
}

const Link* LinkSet::by_outer(const net::Address& local, const net::Address& remote) const {
  const auto found = by_remote_.find(remote);
  if (found == by_remote_.end()) return nullptr;
  for (const Link* link : found->second)
    if (link->outer.local == local) return link;
  return nullptr;
}

void Publisher::publish(std::shared_ptr<const Snapshot> next) {
  const std::lock_guard lock(mutex_);
  CHECK(next->generation > generation_.load(std::memory_order_relaxed));
  snapshot_.swap(next);
  generation_.store(snapshot_->generation, std::memory_order_release);
}

bool Publisher::refresh(std::shared_ptr<const Snapshot>& held) const {
  const uint64_t newest = generation_.load(std::memory_order_acquire);
  if (newest == (held ? held->generation : 0)) return false;
  held = get();
  return true;
}

std::shared_ptr<const Snapshot> Publisher::get() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

}  // namespace adit::datapath
