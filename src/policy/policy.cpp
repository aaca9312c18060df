#include "policy/policy.h"

#include <algorithm>

#include "control/permission.h"
#include "host/host_rules.h"
#include "policy/rule_change.h"

namespace adit::engine {
Policy::Policy(const Context& context, Algorithms& algorithms, Guard& guard, const LinkView& links,
               Namespaces& namespaces)
    : context_(context),
      algorithms_(algorithms),
      guard_(guard),
      links_(links),
      namespaces_(namespaces),
      heads_(database_.current()),
      unconfirmed_(context) {}

std::shared_ptr<const spd::Head> Policy::head_of(const std::string& tunnel) const {
  return heads_->find(tunnel);
}

void Policy::contribute(platform::Firewall& firewall) const {
  firewall.host_rules = host_rules(heads_->find("").get());
}

// Edits, then lets everything follow. What cannot follow is taken back by copies of the rules from before: the owner's,
// and with an override everybody's.
Result<uint64_t> Policy::change(const spd::Owner& owner, const std::function<Result<uint64_t>()>& edit,
                                std::string closing, Opens opens, const std::string* only) {
  std::set<std::string> touched = {owner.name_space};
  if (owner.override_others)
    for (auto& name_space : database_.namespaces()) touched.insert(std::move(name_space));
  std::vector<spd::Draft> before;
  for (const auto& name_space : touched) {
    spd::Draft& draft = before.emplace_back(database_.empty_draft(name_space));
    if (only == nullptr)
      database_.clone_all(draft);
    else if (database_.knows_head(*only))
      TRY(database_.clone(draft, *only));
  }
  TRY_ASSIGN(const uint64_t value, edit());
  if (closing.empty() && namespaces_.keeps_closed(owner.name_space))
    closing = fmt::format("{} took its rules back", owner.name_space);
  if (!closing.empty()) keep_closed(*database_.current(), closing);
  const auto opener = opens == Opens::yes ? std::optional(owner.name_space) : std::nullopt;
  if (auto followed = take_effect(database_.current(), opener); !followed) {
    for (const spd::Draft& draft : before)
      if (auto undone = only == nullptr ? database_.take_back(draft) : database_.take_back(draft, *only); !undone)
        context_.events.add(Severity::alert, EventKind::policy_failed, draft.name_space(), undone.error().text);
    return fail(followed.error().code, "{}; the policy is as it was", followed.error().text);
  }
  // The services' refresh and stop come over whatever waits; everybody else was asked to wait.
  if (unconfirmed_.take(owner.name_space))
    context_.events.add(Severity::warning, EventKind::policy_superseded, owner.name_space,
                        "a flip that waited to be confirmed was replaced by a later change; it will not be undone");
  return value;
}

Result<> Policy::take_effect(std::shared_ptr<const spd::HeadSet> next, const std::optional<std::string>& opener) {
  const auto changed = spd::changed_heads(*heads_, *next);
  if (changed.empty()) {
    heads_ = std::move(next);
    return {};
  }
  TRY_ASSIGN(const auto guarded, guard_more(*next, changed));
  const auto before = std::exchange(heads_, std::move(next));
  if (changed.contains("")) {
    if (auto applied = guard_.reapply(); !applied) {
      heads_ = before;
      guard_.take_back(guarded);
      return fail(applied.error().code, "cannot apply the host's rules: {}", applied.error().text);
    }
  }
  publish(*before, changed, opener);
  return {};
}

// heads_ is new: packets see it, networks that no rule names any more are let go, and everybody is told.
void Policy::publish(const spd::HeadSet& before, const std::set<std::string>& changed,
                     const std::optional<std::string>& opener) {
  if (followers_.snapshot) followers_.snapshot(heads_->find(""), changed);
  guard_less(*heads_, changed, opener);
  tell_not_delegated(*heads_, changed);
  for (const auto& head : changed) {
    if (followers_.head_changed) followers_.head_changed(head);
    tell_change(head, before.find(head).get());
  }
}

void Policy::tell_change(const std::string& name, const spd::Head* before) {
  const auto now = heads_->find(name);
  const RuleChange change = rule_change(before, now.get());
  if (change.added == 0 && change.removed == 0) return;
  context_.events.add(Severity::info, EventKind::policy_changed, name,
                      fmt::format("the policy of {} changed: {} rules added, {} removed, {} in force{}",
                                  name.empty() ? "the host" : name, change.added, change.removed,
                                  now ? now->rules().size() : 0, change.owners));
}

std::vector<guard::Hold> Policy::holds_of(const std::string& tunnel, const spd::Head* head, bool temporary) const {
  std::vector<guard::Hold> holds;
  for (const auto& [owner, network] : protected_networks_by_owner(head)) {
    if (!namespaces_.may_close(owner, network)) continue;
    holds.push_back({network, tunnel, GuardSource::policy, temporary, owner == kPropertyNamespace ? "" : owner});
  }
  return holds;
}

// Every network that a rule names and that is not closed, because its namespace may not close it.
void Policy::tell_not_delegated(const spd::HeadSet& next, const std::set<std::string>& changed) const {
  for (const auto& name : changed) {
    const auto tunnel = links_.tunnel(name);
    if (!tunnel || !tunnel->secured) continue;
    for (const auto& [owner, network] : protected_networks_by_owner(next.find(name).get()))
      if (!namespaces_.may_close(owner, network))
        context_.events.add(
            Severity::warning, EventKind::guard_not_delegated, owner,
            fmt::format(
                "a rule of {} names {}, which is not delegated to it: the rule is in force on {}, but nothing is "
                "closed beside the tunnel; 'adit namespace delegate -n {} {}' lets it be closed",
                owner, network.str(), name, network.str(), owner));
  }
}

Result<guard::Book::Before> Policy::guard_more(const spd::HeadSet& next, const std::set<std::string>& changed) {
  std::vector<GuardHold> holds;
  for (const auto& name : changed) {
    const auto tunnel = links_.tunnel(name);
    if (!tunnel || !tunnel->secured) continue;
    if (next.find(name)) TRY(may_promise(links_, name));
    std::ranges::copy(holds_of(name, next.find(name).get(), tunnel->temporary), std::back_inserter(holds));
  }
  return guard_.hold(holds);
}

// A network that the new rules no longer name. It opens when its owner took away just that rule and still has others
// there; by everything else (a flush, a service that stops, files that lost a rule) it stays closed, and is told (I5).
void Policy::guard_less(const spd::HeadSet& next, const std::set<std::string>& changed,
                        const std::optional<std::string>& opener) {
  if (!all_restored_) return;
  for (const auto& name : changed) {
    const auto head = next.find(name);
    // What a rule that waits for a name protected when it was known is not known now.
    if (head && std::ranges::any_of(head->rules(), &spd::Rule::waits)) continue;
    std::set<std::pair<std::string, net::Prefix>> wanted;
    std::set<std::string> owners;
    for (auto& hold : holds_of(name, head.get(), false)) wanted.emplace(std::move(hold.owner), hold.network);
    if (head)
      for (const auto& rule : head->rules())
        owners.insert(rule.name_space == kPropertyNamespace ? "" : rule.name_space);
    std::vector<GuardHold> gone;
    std::map<std::string, std::vector<net::Prefix>> stays;
    for (const auto& network : guard_.networks_of(name))
      for (const auto& [key, holder] : guard_.book().find(network)->holders) {
        if (key.tunnel != name || !holder.sources.contains(GuardSource::policy) ||
            wanted.contains({key.owner, network}))
          continue;
        const bool by_its_owner = opener && (*opener == kPropertyNamespace ? "" : *opener) == key.owner;
        if (by_its_owner && owners.contains(key.owner))
          gone.push_back({network, name, GuardSource::policy, false, key.owner});
        else
          stays[key.owner].push_back(network);
      }
    Result<> done;
    for (const auto& [owner, networks] : stays)
      if (auto kept = guard_.rules_gone(name, owner, networks); !kept) done = kept;
    const bool operators = gone.empty() || gone.front().owner.empty();
    const Guard::Word word{Opening::release, fmt::format("no rule of {} names it any more", name),
                           operators ? "operator" : "user:" + gone.front().owner};
    if (auto dropped = guard_.drop(gone, word); !dropped) done = std::unexpected(dropped.error());
    if (!done) context_.events.add(Severity::warning, EventKind::guard_failed, name, done.error().text);
  }
}

void Policy::tunnel_gone(const std::string& tunnel) {
  const auto before = heads_;
  database_.remove_head(tunnel);
  unconfirmed_.forget_head(database_, tunnel);
  heads_ = database_.current();
  tell_change(tunnel, before->find(tunnel).get());
  if (followers_.head_changed) followers_.head_changed(tunnel);
}

Result<uint64_t> Policy::add_rules(const PolicyCaller& caller, std::string_view head, std::vector<spd::Rule> entries) {
  TRY(nothing_waits(caller.owner.name_space));
  TRY(check_rules(caller, entries));
  TRY_ASSIGN(const uint64_t index,
             change(caller.owner, [&] { return database_.add(caller.owner, head, std::move(entries)); }));
  report_override(caller, fmt::format("added index {} to {}", index, head.empty() ? "the host" : head));
  return index;
}

Result<> Policy::remove_rule(const PolicyCaller& caller, std::string_view head, uint64_t index) {
  TRY(nothing_waits(caller.owner.name_space));
  TRY(change(
      caller.owner,
      [&]() -> Result<uint64_t> {
        TRY(database_.remove(caller.owner, head, index));
        return 0;
      },
      {}, Opens::yes));
  report_override(caller, fmt::format("deleted index {} of {}", index, head.empty() ? "the host" : head));
  return {};
}

Result<> Policy::remove_rules(const PolicyCaller& caller, std::string_view head, const std::vector<spd::Rule>& like) {
  TRY(nothing_waits(caller.owner.name_space));
  TRY(change(
      caller.owner,
      [&]() -> Result<uint64_t> {
        TRY(database_.remove(caller.owner, head, like));
        return 0;
      },
      {}, Opens::yes));
  report_override(caller, fmt::format("deleted rules of {}", head.empty() ? "the host" : head));
  return {};
}

Result<> Policy::flush_rules(const PolicyCaller& caller, std::optional<std::string_view> head) {
  TRY(nothing_waits(caller.owner.name_space));
  TRY(change(caller.owner, [&]() -> Result<uint64_t> {
    if (head)
      TRY(database_.flush(caller.owner, *head));
    else
      database_.flush_all(caller.owner);
    return 0;
  }));
  return {};
}

Result<> Policy::set_algorithms(const PolicyCaller& caller, crypto::AlgorithmTable table) {
  TRY(permit_peer(caller.uid, "change the algorithms"));
  algorithms_.set(std::move(table));
  context_.events.add(Severity::info, EventKind::algorithms_changed, "", "the algorithm table changed");
  return {};
}

}  // namespace adit::engine
