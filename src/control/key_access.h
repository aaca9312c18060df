// What the PF_KEY server needs of the engine. The engine implements it; tests implement it over a bare database.
// All calls on the engine's thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "crypto/algorithm.h"
#include "net/flow.h"
#include "sad/database.h"

namespace adit::engine {

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t connection = 0;  // each has a number of its own; 0: none, as in tests
};  // SO_PEERCRED

class KeyAccess {
 public:
  virtual ~KeyAccess() = default;

  virtual sad::Database& keys() = 0;
  [[nodiscard]] virtual const crypto::AlgorithmTable& algorithms() const = 0;

  // After requests that may have changed the database: publish its table, re-arm the timer, and hand take_events() to
  // the listener below (and to whoever else follows events).
  virtual void keys_changed() = 0;
  // One listener, the PF_KEY server: gets every event of the database, in order.
  virtual void listen_to_keys(std::function<void(const sad::Event&)> listener) = 0;

  // May this peer act in this namespace (and override owners)? EPERM with a sentence. Called before every request.
  virtual Result<> permit(const PeerCredentials& peer, const sad::Requester& who) = 0;
  // May it make or change SAs between these outer addresses? EPERM: they are not those of a tunnel of its.
  virtual Result<> permit_outer(const PeerCredentials&, const sad::Requester&, const net::Address& /*source*/,
                                const net::Address& /*destination*/) {
    return {};
  }
  // Root, or the daemon's own user: what concerns no namespace is theirs.
  [[nodiscard]] virtual bool is_privileged(const PeerCredentials&) const { return true; }
  // Are the SAs and ACQUIREs of that namespace for its eyes?
  [[nodiscard]] virtual bool may_see(const PeerCredentials&, const std::string& /*name_space*/) const { return true; }
  // It did that with override.
  virtual void overrode(const PeerCredentials&, const sad::Requester&, const std::string& /*what*/) {}
  virtual void connection_closed(const PeerCredentials&) {}

  // X_INVERSE_ACQUIRE: what policy wants for an outbound inner flow (or, without inner addresses, for the outer pair).
  // seq of the answer is 0. ENOENT: no rule asks for IPsec there.
  virtual Result<sad::Acquire> policy_for(const sad::Endpoints& outer, const std::optional<net::Flow>& inner) = 0;
};

}  // namespace adit::engine
