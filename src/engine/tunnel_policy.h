// What links ask of policy, and what a head means for a tunnel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "spd/head.h"

namespace adit::engine {

// Asked by Links; Policy implements it.
class TunnelPolicy {
 public:
  virtual ~TunnelPolicy() = default;
  [[nodiscard]] virtual std::shared_ptr<const spd::Head> head_of(const std::string& tunnel) const = 0;  // null: no rule
  virtual void tunnel_made(const std::string& tunnel) = 0;  // rules may be asked about though there are none yet
  virtual void tunnel_gone(const std::string& tunnel) = 0;  // its rules go with it, those of every namespace
};

// What the rules of this head protect: the remote prefixes of their `ipsec` rules, masked, each once, sorted. The whole
// of a family (0.0.0.0/0) is not among them: only a route makes that closed. Null: nothing.
std::vector<net::Prefix> protected_networks(const spd::Head* head);

// Bytes to reserve in the MTU: the worst case over the outbound rules (§1.6): AH 44, ESP 78. Null: 0.
uint32_t worst_overhead(const spd::Head* head);

}  // namespace adit::engine
