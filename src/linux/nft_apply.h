// The table `inet adit` in the kernel: brings it to what is wanted with the smallest transaction that does.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "linux/platform.h"

namespace adit::platform {

class NftTable {
 public:
  // `own_port` hears the netlink port of each of our transactions.
  explicit NftTable(std::function<void(uint32_t)> own_port) : own_port_(std::move(own_port)) {}

  Result<> apply(const Firewall& firewall);
  Result<> remove();
  Result<bool> stands();
  Result<std::vector<LeakCount>> leaks();
  // Somebody touched the table: the next apply replaces it whole.
  void distrust() { trusted_ = false; }

 private:
  Result<> send(const std::string& document);
  Result<> replace(const Firewall& firewall);
  std::function<void(uint32_t)> own_port_;
  std::optional<Firewall> applied_;
  bool trusted_ = false;                        // the kernel has applied_, as far as we know
};

}  // namespace adit::platform
