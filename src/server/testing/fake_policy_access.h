// An engine of policy without an engine: the database alone. For the tests of PF_POLICY and of the commands that speak
// it.
#pragma once

#include <new>

#include "control/policy_access.h"

namespace adit::protocol {

class FakePolicyAccess final : public engine::PolicyAccess {
 public:
  Result<> permit(const engine::PolicyCaller& caller, std::optional<std::string_view>, bool) override {
    last_caller = caller;
    if (throws) throw std::bad_alloc();
    if (forbidden) return fail(EPERM, "user {} may not use PF_POLICY", caller.uid);
    return {};
  }
  Result<uint64_t> add_rules(const engine::PolicyCaller& caller, std::string_view head,
                             std::vector<spd::Rule> entries) override {
    return db.add(caller.owner, head, std::move(entries));
  }
  Result<> remove_rule(const engine::PolicyCaller& caller, std::string_view head, uint64_t index) override {
    return db.remove(caller.owner, head, index);
  }
  Result<> remove_rules(const engine::PolicyCaller& caller, std::string_view head,
                        const std::vector<spd::Rule>& like) override {
    return db.remove(caller.owner, head, like);
  }
  Result<> flush_rules(const engine::PolicyCaller& caller, std::optional<std::string_view> head) override {
    for (const std::string& tunnel : opens)
      noted.note(tunnel, engine::Stand::up, engine::Stand::open, tunnel + " is OPEN");
    if (head) return db.flush(caller.owner, *head);
    db.flush_all(caller.owner);
    return {};
  }
  spd::Database& database() override { return db; }
  Result<uint64_t> flip(const engine::PolicyCaller& caller, spd::Draft& draft, std::optional<std::string_view> head,
                        const engine::FlipOptions& options) override {
    last_flip = options;
    const bool override_others = caller.owner.override_others;
    return head ? db.flip(draft, *head, options.force, override_others)
                : db.flip_all(draft, options.force, override_others);
  }
  Result<> confirm_flip(const engine::PolicyCaller&) override { return fail(ESRCH, "no flip waits"); }
  Result<> undo_flip(const engine::PolicyCaller&) override { return fail(ESRCH, "no flip waits"); }
  engine::Consequences* consequences() override { return &noted; }
  const crypto::AlgorithmTable& algorithms() override { return table; }
  Result<> set_algorithms(const engine::PolicyCaller&, crypto::AlgorithmTable next) override {
    table = std::move(next);
    return {};
  }

  spd::Database db;
  crypto::AlgorithmTable table = crypto::AlgorithmTable::builtin();
  bool forbidden = false, throws = false;
  engine::Consequences noted;
  std::vector<std::string> opens;  // tunnels that a flush leaves open
  engine::PolicyCaller last_caller;
  engine::FlipOptions last_flip;
};

}  // namespace adit::protocol
