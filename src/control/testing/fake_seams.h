// Links and guard as addresses and routes see them, for tests: what a test says stands, and what was asked is written
// down.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/seams.h"

namespace adit::engine {

struct FakeLinks final : LinkView {
  std::map<std::string, TunnelView> all;

  std::optional<TunnelView> tunnel(const std::string& name) const override {
    const auto found = all.find(name);
    return found == all.end() ? std::nullopt : std::optional(found->second);
  }
  std::vector<TunnelView> tunnels() const override {
    std::vector<TunnelView> list;
    for (const auto& [name, view] : all) list.push_back(view);
    return list;
  }
  std::string name_at(int device) const override {
    for (const auto& [name, view] : all)
      if (device != 0 && view.device == device) return name;
    return {};
  }
  bool up_with(const std::string& name, bool policy) const override {
    const auto found = tunnel(name);
    return found && (policy || !found->secured);
  }
};

// Writes what is asked into the platform's journal, so that a test sees the order of guard and kernel:
// "protect 10.0.1.0/24 t0".
struct FakeGuard final : GuardDoor {
  std::vector<std::string>& journal;
  const LinkView& links;
  std::set<std::tuple<net::Prefix, std::string, GuardSource>> held;
  std::optional<Error> refuse;  // protect fails with it

  FakeGuard(std::vector<std::string>& shared_journal, const LinkView& view) : journal(shared_journal), links(view) {}

  Result<bool> protect(const net::Prefix& network, const std::string& tunnel, GuardSource source) override {
    const auto view = links.tunnel(tunnel);
    if (!view || !view->secured) return false;
    if (refuse) return std::unexpected(*refuse);
    if (!held.emplace(network, tunnel, source).second) return false;
    journal.push_back("protect " + network.str() + " " + tunnel);
    return true;
  }
  Result<bool> release(const net::Prefix& network, const std::string& tunnel, GuardSource source) override {
    if (held.erase({network, tunnel, source}) == 0) return false;
    journal.push_back("release " + network.str() + " " + tunnel);
    return !guards(network);
  }
  bool guards(const net::Prefix& network) const override {
    return std::ranges::any_of(held, [&](const auto& hold) { return std::get<0>(hold) == network; });
  }
  bool covers(const net::Prefix& network) const override {
    return std::ranges::any_of(held, [&](const auto& hold) { return std::get<0>(hold).contains(network); });
  }
};

struct FakeFirewall final : FirewallDoor {
  int applied = 0;
  std::optional<Error> refuse;
  Result<> reapply() override {
    if (refuse) return std::unexpected(*refuse);
    ++applied;
    return {};
  }
};

}  // namespace adit::engine
