#include "engine/policy.h"

#include <algorithm>

#include "engine/host_rules.h"
#include "engine/permission.h"

namespace adit::engine {
namespace {

// Names of the heads that are not the same in both.
std::set<std::string> changed_heads(const spd::HeadSet& before, const spd::HeadSet& after) {
  std::set<std::string> changed;
  for (const auto& [name, head] : before.heads) {
    if (after.find(name) != head) changed.insert(name);
  }
  for (const auto& [name, head] : after.heads) {
    if (before.find(name) != head) changed.insert(name);
  }
  return changed;
}

}  // namespace

Policy::Policy(const Context& context, Algorithms& algorithms, Guard& guard, const LinkView& links)
    : context_(context), algorithms_(algorithms), guard_(guard), links_(links), heads_(database_.current()) {}

Result<> Policy::permit(const PolicyCaller& caller, std::optional<std::string_view>, bool) {
  return permit_peer(caller.uid, "use PF_POLICY");
}

std::shared_ptr<const spd::Head> Policy::head_of(const std::string& tunnel) const {
  return heads_->find(tunnel);
}

void Policy::contribute(platform::Firewall& firewall) const {
  firewall.host_rules = host_rules(heads_->find("").get());
}

// Edits, then lets everything follow. What cannot follow is taken back by the copy of the owner's rules from before.
Result<uint64_t> Policy::change(const spd::Owner& owner, const std::function<Result<uint64_t>()>& edit) {
  spd::Draft before = database_.empty_draft(owner.name_space);
  database_.clone_all(before);
  TRY_ASSIGN(const uint64_t value, edit());
  if (auto followed = take_effect(database_.current()); !followed) {
    if (auto undone = database_.flip_all(before, true, true); !undone)
      context_.events.add(Severity::alert, "policy.failed", owner.name_space, undone.error().text);
    return fail(followed.error().code, "{}; the policy is as it was", followed.error().text);
  }
  return value;
}

Result<> Policy::take_effect(std::shared_ptr<const spd::HeadSet> next) {
  const auto changed = changed_heads(*heads_, *next);
  if (changed.empty()) {
    heads_ = std::move(next);
    return {};
  }
  const GuardBook guarded = guard_.book();
  TRY(guard_more(*next, changed));
  const auto before = std::exchange(heads_, std::move(next));
  if (changed.contains("")) {
    if (auto applied = guard_.reapply(); !applied) {
      heads_ = before;
      guard_.put_back(guarded);
      return fail(applied.error().code, "cannot apply the host's rules: {}", applied.error().text);
    }
  }
  if (followers_.picture) followers_.picture(heads_->find(""));
  guard_less(*heads_, changed);
  for (const auto& head : changed) {
    if (followers_.head_changed) followers_.head_changed(head);
    context_.events.add(Severity::info, "policy.changed", head,
                        fmt::format("the policy of {} changed: {} rules", head.empty() ? "the host" : head,
                                    heads_->find(head) ? heads_->find(head)->rules().size() : 0));
  }
  return {};
}

Result<> Policy::guard_more(const spd::HeadSet& next, const std::set<std::string>& changed) {
  std::vector<GuardHold> holds;
  for (const auto& name : changed) {
    const auto tunnel = links_.tunnel(name);
    if (!tunnel || !tunnel->secured) continue;
    for (const auto& network : protected_networks(next.find(name).get()))
      holds.push_back({network, name, GuardSource::policy, tunnel->temporary});
  }
  return holds.empty() ? Result<>{} : guard_.hold(holds);
}

// A network that the new rules no longer name is let go; but a policy that is gone altogether opens nothing (I5).
void Policy::guard_less(const spd::HeadSet& next, const std::set<std::string>& changed) {
  std::vector<Guard::Gone> gone;
  for (const auto& name : changed) {
    const auto head = next.find(name);
    if (!head || !head->active()) continue;
    const auto wanted = protected_networks(head.get());
    for (const auto& network : guard_.networks_of(name, GuardSource::policy)) {
      if (std::ranges::find(wanted, network) == wanted.end()) gone.push_back({network, name, GuardSource::policy});
    }
  }
  if (gone.empty()) return;
  if (auto dropped = guard_.drop(gone); !dropped)
    context_.events.add(Severity::warning, "guard.failed", "", dropped.error().text);
}

void Policy::tunnel_gone(const std::string& tunnel) {
  database_.remove_head(tunnel);
  heads_ = database_.current();
  if (followers_.head_changed) followers_.head_changed(tunnel);
}

Result<uint64_t> Policy::add_rules(const PolicyCaller& caller, std::string_view head, std::vector<spd::Rule> entries) {
  return change(caller.owner, [&] { return database_.add(caller.owner, head, std::move(entries)); });
}

Result<> Policy::remove_rule(const PolicyCaller& caller, std::string_view head, uint64_t index) {
  TRY(change(caller.owner, [&]() -> Result<uint64_t> {
    TRY(database_.remove(caller.owner, head, index));
    return 0;
  }));
  return {};
}

Result<> Policy::remove_rules(const PolicyCaller& caller, std::string_view head, const std::vector<spd::Rule>& like) {
  TRY(change(caller.owner, [&]() -> Result<uint64_t> {
    TRY(database_.remove(caller.owner, head, like));
    return 0;
  }));
  return {};
}

Result<> Policy::flush_rules(const PolicyCaller& caller, std::optional<std::string_view> head) {
  TRY(change(caller.owner, [&]() -> Result<uint64_t> {
    if (head)
      TRY(database_.flush(caller.owner, *head));
    else
      database_.flush_all(caller.owner);
    return 0;
  }));
  return {};
}

Result<uint64_t> Policy::flip(const PolicyCaller& caller, spd::Draft& draft, std::optional<std::string_view> head,
                              const FlipOptions& options) {
  const std::string& name_space = caller.owner.name_space;
  if (waiting_.contains(name_space))
    return fail(EBUSY, "an earlier flip of this namespace waits to be confirmed; confirm or undo it first");
  TRY_ASSIGN(const uint64_t generation, change(caller.owner, [&] {
               return head ? database_.flip(draft, *head, options.force, caller.owner.override_others)
                           : database_.flip_all(draft, options.force, caller.owner.override_others);
             }));
  if (options.confirm_seconds != 0) {
    Waiting waiting{draft, std::nullopt, context_.clock.now() + Seconds(options.confirm_seconds)};
    if (head) waiting.head = std::string(*head);
    waiting_.emplace(name_space, std::move(waiting));
  }
  return generation;
}

Result<> Policy::confirm_flip(const PolicyCaller& caller) {
  if (waiting_.erase(caller.owner.name_space) == 0)
    return fail(ESRCH, "no flip of this namespace waits to be confirmed");
  return {};
}

Result<> Policy::undo_flip(const PolicyCaller& caller) {
  auto found = waiting_.extract(caller.owner.name_space);
  if (found.empty()) return fail(ESRCH, "no flip of this namespace waits to be confirmed");
  undo_waiting(found.key(), std::move(found.mapped()), "it was asked to be");
  return {};
}

void Policy::undo_waiting(const std::string& name_space, Waiting waiting, const char* why) {
  const auto undone = change({name_space, true}, [&] {
    return waiting.head ? database_.flip(waiting.before, *waiting.head, true, true)
                        : database_.flip_all(waiting.before, true, true);
  });
  context_.events.add(undone ? Severity::warning : Severity::alert, "policy.undone", name_space,
                      undone ? fmt::format("a change of policy was undone because {}", why) : undone.error().text);
}

void Policy::tick() {
  const MonoTime now = context_.clock.now();
  for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
    if (waiting->second.deadline > now) {
      ++waiting;
      continue;
    }
    auto due = waiting_.extract(waiting++);
    undo_waiting(due.key(), std::move(due.mapped()), "nobody confirmed it in time");
  }
}

Result<> Policy::set_algorithms(const PolicyCaller&, crypto::AlgorithmTable table) {
  algorithms_.set(std::move(table));
  context_.events.add(Severity::info, "algorithms.changed", "", "the algorithm table changed");
  return {};
}

}  // namespace adit::engine
