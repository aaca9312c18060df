// The table `inet adit` in the kernel: the host's own rules and model.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "linux/nft/nft_program.h"
#include "linux/platform/platform.h"

namespace adit::platform {

class NftTable {
 public:
  // `own_port` hears the netlink port of each of our transactions.
  NftTable(std::function<void(uint32_t)> own_port, NftRunner run)
      : own_port_(std::move(own_port)), run_(std::move(run)) {}

  Result<> apply(const Firewall& firewall);
  Result<> remove();
  Result<bool> stands();  // just as applied last, by content
  // Somebody touched the table: the next apply sends it whatever stood before.
  void distrust() { trusted_ = false; }

 private:
  Result<std::optional<std::string>> content_now() const;

  std::function<void(uint32_t)> own_port_;
  NftRunner run_;
  std::optional<Firewall> applied_;
  std::string content_;   // of the table, as the kernel listed it when it was applied
  bool trusted_ = false;  // the kernel has applied_, as far as we know
};

}  // namespace adit::platform
