// A KeyAccess over nothing but a database, with a clock that a test moves: PF_KEY without an engine.
#pragma once

#include <optional>

#include "base/clock.h"
#include "control/key_access.h"

namespace adit::protocol {

class BareKeyAccess final : public engine::KeyAccess {
 public:
  BareKeyAccess() = default;
  explicit BareKeyAccess(sad::Database::Settings settings) : database(clock, table, std::move(settings)) {}

  sad::Database& keys() override { return database; }
  [[nodiscard]] const crypto::AlgorithmTable& algorithms() const override { return table; }
  void keys_changed() override {
    for (const sad::Event& event : database.take_events()) {
      if (listener) listener(event);
    }
  }
  void listen_to_keys(std::function<void(const sad::Event&)> given) override { listener = std::move(given); }
  // Everyone, but nobody in the namespace "forbidden"; "throws" does.
  Result<> permit(const engine::PeerCredentials& peer, const sad::Requester& who) override {
    last_peer = peer;
    if (who.name_space == "throws") throw std::bad_alloc();
    if (who.name_space == "forbidden") return fail(EPERM, "that namespace is not yours");
    return {};
  }
  [[nodiscard]] bool is_privileged(const engine::PeerCredentials&) const override { return privileged; }
  [[nodiscard]] bool may_see(const engine::PeerCredentials&, const std::string& name_space) const override {
    return privileged || name_space == "vpn";
  }
  Result<> permit_outer(const engine::PeerCredentials&, const sad::Requester& who, const net::Address&,
                        const net::Address& destination) override {
    if (privileged || destination.str() == "5.6.7.8") return {};
    return fail(EPERM, "no tunnel of {} leads to {}", who.name_space, destination.str());
  }
  void overrode(const engine::PeerCredentials&, const sad::Requester&, const std::string& what) override {
    overridden.push_back(what);
  }
  Result<sad::Acquire> policy_for(const sad::Endpoints& outer, const std::optional<net::Flow>& inner) override {
    if (!rule) return fail(ENOENT, "no rule asks for IPsec there");
    sad::Acquire acquire;
    acquire.outer = outer;
    acquire.rule = *rule;
    acquire.flow = inner.value_or(net::Flow{});
    return acquire;
  }

  FakeClock clock;
  crypto::AlgorithmTable table = crypto::AlgorithmTable::builtin();
  sad::Database database{clock, table};
  std::function<void(const sad::Event&)> listener;
  std::optional<spd::Rule> rule;  // what policy_for finds
  engine::PeerCredentials last_peer;
  bool privileged = true;  // else every peer is a user to whom "vpn" is delegated
  std::vector<std::string> overridden;
};

}  // namespace adit::protocol
