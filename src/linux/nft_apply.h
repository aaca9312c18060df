// The table `inet adit` in the kernel: brings it to what is wanted with the smallest transaction that does.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "linux/guard_ranges.h"
#include "linux/netlink_socket.h"
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
  using Ranges = std::array<std::vector<GuardRange>, 2>;  // IPv4, IPv6
  using Counts = std::map<std::pair<net::Prefix, bool>, LeakCount>;
  Result<> replace(const Firewall& firewall, Ranges ranges);
  Result<bool> change_elements(const Firewall& firewall, const Ranges& ranges);  // false: that is not enough
  Result<Counts> counted();
  void accept(const Firewall& firewall, Ranges ranges);

  std::function<void(uint32_t)> own_port_;
  std::optional<Netlink> nfnetlink_;
  std::optional<Firewall> applied_;
  Ranges applied_ranges_;
  bool trusted_ = false;  // the kernel has applied_, as far as we know
  Counts before_;         // of tables that were replaced
};

}  // namespace adit::platform
