// Flips that wait to be confirmed, by namespace. What a later life of the daemon must know of them is on disk before
// they are in force: policy is not carried over from one life to the next, so a flip that waited then is gone with the
// policy that it replaced, and that is said.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/seams.h"
#include "spd/database.h"

namespace adit::engine {

class Unconfirmed {
 public:
  struct Flip {
    spd::Draft before;                // what was in force, to be flipped in again
    std::optional<std::string> head;  // nullopt: all
    MonoTime deadline;
    bool override_others = false;  // as who flipped it could
    bool tried = false;            // undoing it failed once
  };

  explicit Unconfirmed(const Context& context) : context_(context) {}

  [[nodiscard]] bool waits(const std::string& name_space) const { return flips_.contains(name_space); }
  // Before the flip: its namespace is on disk when this returns success. The error says what to do.
  Result<> note(const std::string& name_space);
  void add(const std::string& name_space, Flip flip);       // REQUIRES: noted
  std::optional<Flip> take(const std::string& name_space);  // and the note goes
  void drop_note(const std::string& name_space);            // the flip did not come to be
  [[nodiscard]] std::vector<std::string> due(MonoTime now) const;
  void forget_head(spd::Database& database, const std::string& head);  // the tunnel is deleted, its rules with it
  void rename_head(const std::string& from, const std::string& to);    // the tunnel is renamed

  // Once, at start: the namespaces whose flip waited when an earlier life ended. Their notes go.
  std::vector<std::string> left_over();

 private:
  Result<> save() const;

  const Context& context_;
  std::map<std::string, Flip> flips_;
  std::vector<std::string> noted_;
};

}  // namespace adit::engine
