// What the PF_POLICY server asks of the engine. The engine implements it over its spd::Database: it checks that the
// caller may, applies, publishes, persists, reports; each call is one transaction. Engine thread only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/consequences.h"
#include "crypto/algorithm.h"
#include "spd/database.h"

namespace adit::engine {

// Who sends: the kernel's peer credentials, and what the message says about itself.
struct PolicyCaller {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  spd::Owner owner;             // SPD_EXT_NAMESPACE; override_others only as asked, not yet allowed
  bool all_namespaces = false;  // SPD_NAMESPACE_ALL
  uint64_t connection = 0;      // each has a number of its own; 0: none, as in tests
};

struct FlipOptions {
  bool force = false;            // even if the namespace changed since the clone
  uint32_t confirm_seconds = 0;  // not 0: undone after so long unless confirmed
};

class PolicyAccess {
 public:
  virtual ~PolicyAccess() = default;

  // EPERM with a sentence: the caller may not use PF_POLICY at all, not in this namespace, or may not override. `head`:
  // the tunnel that a change is about; nullopt: none in particular. Called before every request; the methods below may
  // rely on it.
  virtual Result<> permit(const PolicyCaller& caller, std::optional<std::string_view> head, bool change) = 0;
  // May it be told a rule of that namespace?
  [[nodiscard]] virtual bool may_see(const PolicyCaller&, const std::string& /*name_space*/) const { return true; }
  // The connection ended: what it owned is without it.
  virtual void connection_closed(const PolicyCaller&) {}

  // In force. Errors are those of spd::Database.
  virtual Result<uint64_t> add_rules(const PolicyCaller& caller, std::string_view head,
                                     std::vector<spd::Rule> entries) = 0;
  virtual Result<> remove_rule(const PolicyCaller& caller, std::string_view head, uint64_t index) = 0;
  virtual Result<> remove_rules(const PolicyCaller& caller, std::string_view head,
                                const std::vector<spd::Rule>& like) = 0;
  virtual Result<> flush_rules(const PolicyCaller& caller,
                               std::optional<std::string_view> head) = 0;  // nullopt: all heads

  // Drafts belong to the connection, which edits them through database() (drafts touch nothing in force).
  virtual spd::Database& database() = 0;
  virtual Result<uint64_t> flip(const PolicyCaller& caller, spd::Draft& draft, std::optional<std::string_view> head,
                                const FlipOptions& options) = 0;
  // The flip that waits for it stands for good. ESRCH: none waits in that namespace.
  virtual Result<> confirm_flip(const PolicyCaller& caller) = 0;
  // The flip that waits is undone now. ESRCH: none waits.
  virtual Result<> undo_flip(const PolicyCaller& caller) = 0;

  // Where what becomes of tunnels is noted while a request is served. Null: nowhere.
  virtual Consequences* consequences() { return nullptr; }

  virtual const crypto::AlgorithmTable& algorithms() = 0;
  virtual Result<> set_algorithms(const PolicyCaller& caller, crypto::AlgorithmTable table) = 0;
};

}  // namespace adit::engine
