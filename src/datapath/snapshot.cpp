#include "datapath/snapshot.h"

#include "base/check.h"

namespace adit::datapath {

LinkSet::LinkSet(const Links& links, uint32_t workers) {
  for (const auto& link : links) {
    CHECK(link->counters.size() >= workers);
    put(link);
  }
}

void LinkSet::put(const std::shared_ptr<const Link>& link) {
  erase(link->id);
  by_id_.put(static_cast<uint32_t>(link->id), link);
  if (link->bound) by_outer_.put({link->outer.local, link->outer.remote}, link.get());
}

void LinkSet::erase(tunnel::LinkId id) {
  const Link* const was = by_id(id);
  if (was == nullptr) return;
  const Outer outer{was->outer.local, was->outer.remote};
  const auto* found = by_outer_.find(outer);
  if (found != nullptr && *found == was) by_outer_.erase(outer);  // another link may have taken the pair since
  by_id_.erase(static_cast<uint32_t>(id));
}

LinkSet::Links LinkSet::all() const {
  Links links;
  by_id_.for_each([&](uint32_t, const auto& link) { links.push_back(link); });
  return links;
}

const Link* LinkSet::by_id(tunnel::LinkId id) const {
  const auto* found = by_id_.find(static_cast<uint32_t>(id));
  return found == nullptr ? nullptr : found->get();
}

const Link* LinkSet::by_outer(const net::Address& local, const net::Address& remote) const {
  const auto* found = by_outer_.find(Outer{local, remote});
  return found == nullptr ? nullptr : *found;
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
