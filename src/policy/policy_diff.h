// What loading the policy's files would change, or has changed: one answer for `ipsecconf diff` and for the refresh
// that says what it did. Plain values.
#pragma once

#include <string>
#include <vector>

#include "control/seams.h"
#include "spd/database.h"
#include "spd/rule_changes.h"

namespace adit::engine {

struct TunnelChange {
  enum class What : uint8_t {
    up,           // it was closed, rules open it
    down,         // secured, and its last rule goes
    now_secured,  // not secured (-S), passed clear text, has rules now
    exposed,      // not secured (-S), and its last rule goes: it passes clear text
  } what = What::up;
  std::string tunnel;
  std::string sentence;
};
std::string_view name_of(TunnelChange::What what);  // up, down, protected, exposed

struct PolicyDiff {
  std::vector<spd::HeadChange> heads;  // of the global namespace, by name, the host's first; also those that stay
  std::vector<TunnelChange> tunnels;   // by name
  std::vector<std::string> warnings;   // about the files, each with file and line
  size_t added = 0, removed = 0, kept = 0;

  [[nodiscard]] bool changes_anything() const;
  // A sentence a tunnel, then: "4 policy rules added, 0 removed, 8 kept."
  [[nodiscard]] std::vector<std::string> summary() const;
};

// Counts what `heads` hold, and asks `links` what becomes of the tunnels. `now`: the rules in force, of all namespaces.
void finish_diff(PolicyDiff& diff, const spd::HeadSet& now, const LinkView& links);

}  // namespace adit::engine
