// What the guard's layers are made from, as plain values: which networks are closed, which devices may carry them, and
// what passes all the same. The engine decides it (guard/guard.h); the layers only carry it out, in `aditd` and in the
// guardian alike.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "net/address.h"

namespace adit::platform {

// The outer packets of one tunnel: ESP, AH, or UDP from and to ports 500 and 4500, between these two addresses. Never
// plain IP in IP.
struct OuterFlow {
  net::Address local, remote;
  friend auto operator<=>(const OuterFlow&, const OuterFlow&) = default;
};

struct GuardPlan {
  std::string book;         // whose plan: the root directory under which the book lies
  uint64_t generation = 0;  // of the book; only grows
  uint32_t mark = 0;        // SO_MARK of outer packets
  uint32_t uid = 0;         // of the sockets that send them
  // Masked networks, each with the devices (interface indexes, ascending) that may carry it: live, secured tunnels of
  // ours. None: it is closed for everything. The most specific network that covers an address decides.
  std::map<net::Prefix, std::vector<int>> closed;
  // Reachable although a wider network is closed: the host's own networks that the operator counts as inside. Of equal
  // length the closed one wins.
  std::set<net::Prefix> inside;
  std::set<OuterFlow> flows;
  // Outer peers whose packets follow the host's own routes: `throw` in the guard's routing table. A peer that lies
  // behind another secured tunnel on purpose is not among them.
  std::set<net::Address> peers;
  friend bool operator==(const GuardPlan&, const GuardPlan&) = default;
};

// A step from one plan to the next: small, whatever the size of the plan. Nothing stands in both halves of a pair.
struct GuardChange {
  uint64_t generation = 0;
  std::map<net::Prefix, std::vector<int>> close;  // new, or with other devices than before
  std::set<net::Prefix> open;
  std::set<net::Prefix> inside, not_inside;
  std::set<OuterFlow> flows, not_flows;
  std::set<net::Address> peers, not_peers;
  [[nodiscard]] bool nothing() const {
    return close.empty() && open.empty() && inside.empty() && not_inside.empty() && flows.empty() &&
           not_flows.empty() && peers.empty() && not_peers.empty();
  }
};

inline void advance(GuardPlan& plan, const GuardChange& change) {
  plan.generation = change.generation;
  for (const auto& [network, devices] : change.close) plan.closed[network] = devices;
  for (const auto& network : change.open) plan.closed.erase(network);
  plan.inside.insert(change.inside.begin(), change.inside.end());
  for (const auto& network : change.not_inside) plan.inside.erase(network);
  plan.flows.insert(change.flows.begin(), change.flows.end());
  for (const auto& flow : change.not_flows) plan.flows.erase(flow);
  plan.peers.insert(change.peers.begin(), change.peers.end());
  for (const auto& peer : change.not_peers) plan.peers.erase(peer);
}

// Which layers stand just as the plan says. A layer that a plan without networks does not need counts as standing.
struct GuardState {
  bool rule = false;     // the routing rule at priority 0, and table 174
  bool lasting = false;  // table inet adit-guard
  bool owned = false;    // table inet adit-own, held by the guardian
  std::string trouble;   // why a layer does not stand; empty: all do
};

// What an earlier life of Adit left in the kernel.
struct FoundGuard {
  std::string book;
  uint64_t generation = 0;
  std::set<net::Prefix> networks;
};

}  // namespace adit::platform
