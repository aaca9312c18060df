// Policy and namespaces: who may do what to which head, and rules whose owner is gone for good.
#include <algorithm>

#include "base/text.h"
#include "control/permission.h"
#include "policy/policy.h"

namespace adit::engine {
namespace {

NamespaceActor actor_of(const PolicyCaller& caller) {
  return {caller.uid, NamespaceActor::Via::policy, caller.connection};
}

bool lets_pass(const spd::Rule& rule) {
  return std::ranges::any_of(rule.actions, [](const auto& action) { return action.verb == spd::Verb::pass; });
}

}  // namespace

// Root's reading is no ownership; whoever else speaks in a namespace is its owner.
Result<> Policy::permit(const PolicyCaller& caller, std::optional<std::string_view> head, bool change) {
  const std::string& name = caller.owner.name_space;
  if (change && name == kPropertyNamespace)
    return fail(EPERM,
                "the rules of {} are the property ipsec of tunnels: 'dladm set-linkprop -p ipsec=...' changes them",
                name);
  TRY(namespaces_.permit(caller.uid, name, caller.owner.override_others || caller.all_namespaces));
  if (head && (change || !head->empty())) TRY(namespaces_.permit_tunnel(caller.uid, name, *head));
  if (change || !is_privileged(caller.uid)) namespaces_.acts(actor_of(caller), name);
  return {};
}

bool Policy::may_see(const PolicyCaller& caller, const std::string& name_space) const {
  return namespaces_.may_see(caller.uid, name_space);
}

void Policy::connection_closed(const PolicyCaller& caller) {
  namespaces_.gone(actor_of(caller));
}

// Clear text is a right of its own: to let it pass is to decide that a tunnel need not protect.
Result<> Policy::check_rules(const PolicyCaller& caller, const std::vector<spd::Rule>& rules) const {
  const std::string& name = caller.owner.name_space;
  if (is_privileged(caller.uid) || namespaces_.may_bypass(name) || std::ranges::none_of(rules, lets_pass)) return {};
  return fail(EPERM,
              "permission denied: user id {} may not let clear text pass in {}; root may allow it with "
              "'adit namespace delegate -b {}'",
              caller.uid, name, name);
}

// What was drafted under a wider delegation does not come into force under a narrower one.
Result<> Policy::check_draft(const PolicyCaller& caller, const spd::Draft& draft) const {
  if (is_privileged(caller.uid)) return {};
  for (const auto& head : draft.heads()) {
    TRY(namespaces_.permit_tunnel(caller.uid, caller.owner.name_space, head));
    TRY(check_rules(caller, draft.rules(head)));
  }
  return {};
}

void Policy::keep_closed(const spd::HeadSet& next, const std::string& why) const {
  for (const auto& tunnel : links_.tunnels()) {
    if (!tunnel.secured && tunnel.policy && !next.find(tunnel.name) && followers_.keep_closed)
      followers_.keep_closed(tunnel.name, why);
  }
}

void Policy::report_override(const PolicyCaller& caller, const std::string& what) const {
  if (!caller.owner.override_others) return;
  const std::string& name = caller.owner.name_space;
  context_.events.add(Severity::warning, EventKind::policy_override, name,
                      fmt::format("user id {}, process {}, acting in {}, overrode other namespaces: it {}", caller.uid,
                                  caller.pid, name.empty() ? "the global namespace" : name, what));
}

void Policy::set_quota(const std::string& name, const NamespaceRecord* record) {
  database_.set_quota(name, record == nullptr ? std::nullopt : std::optional<size_t>(record->rules));
}

Result<> Policy::may_retire(const std::string& name) const {
  const size_t drops = database_.host_drops(name);
  if (drops == 0) return {};
  return fail(EBUSY,
              "{} has {} rules that drop traffic of the host: without them it would pass; if it shall, remove them "
              "first with 'ipsecconf -N {} -f'",
              name, drops, name);
}

Result<> Policy::retire(const std::string& name, Outcome& outcome) {
  const auto before = heads_;
  const std::string why = fmt::format("the rules of {} were taken away", name);
  TRY(change(
      {name, true},
      [&]() -> Result<uint64_t> {
        database_.retire(name);
        return 0;
      },
      why));
  std::vector<std::string> closed, fewer;
  for (const auto& tunnel : links_.tunnels()) {
    if (before->find(tunnel.name) == heads_->find(tunnel.name)) continue;
    (heads_->find(tunnel.name) ? fewer : closed).push_back(tunnel.name);
  }
  if (!closed.empty())
    outcome.notes.push_back(fmt::format("{} passes nothing until it has rules again: {}", joined(closed, ", "), why));
  if (!fewer.empty())
    outcome.notes.push_back(
        fmt::format("what only those rules let through {} is dropped: {}", joined(fewer, ", "), why));
  if (const size_t drops = database_.host_drops(name); drops > 0)
    outcome.notes.push_back(fmt::format("{} rules of {} that drop traffic of the host stay", drops, name));
  return {};
}

void Policy::deleted(const std::string& name, Outcome& outcome) {
  const auto opened = guard_.retire(name);
  if (!opened) return outcome.notes.push_back(opened.error().text);
  for (const auto& network : *opened)
    outcome.notes.push_back(
        fmt::format("{} is no longer kept closed for {}: it is reachable in the clear if a route "
                    "leads there",
                    network.str(), name));
}

}  // namespace adit::engine
