// What others change in the kernel that the guard must hear of: rules, routes, nexthop objects, links, nftables.
#pragma once

#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "linux/guard/layers/guard_layers.h"
#include "linux/process/descriptor.h"

namespace adit::platform {

class GuardWatch {
 public:
  // Listens from now on.
  static Result<GuardWatch> start();

  [[nodiscard]] std::array<int, 2> fds() const { return {routes_.get(), tables_.get()}; }  // readable: call drain
  // Tells the layers everything that has come, at least once a second; devices that are gone lose their pass at once.
  void drain(GuardLayers& layers);
  // Since the last question: an address or an interface came, went or changed, or notices were lost.
  bool addresses_touched() { return std::exchange(addresses_touched_, false); }

 private:
  void drain_one(int fd, int protocol, GuardLayers& layers);
  Descriptor routes_, tables_;
  std::vector<uint8_t> buffer_;
  bool lost_ = false, addresses_touched_ = false;
  std::chrono::steady_clock::time_point looked_{};
};

// A notice of nfnetlink that names one of the guard's tables.
bool concerns_guard_tables(const nlmsghdr& notice);

}  // namespace adit::platform
