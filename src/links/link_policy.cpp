// The property `ipsec`: policy that comes and goes with its tunnel.
#include "links/links.h"

namespace adit::engine {

// The rules of `text` instead of those in force, with the way back. No text: the property's rules go.
Result<> Links::take_property(const std::string& name, const std::optional<std::string>& text,
                              const std::string& source, Undo& undo, Outcome& outcome) {
  PropertyRules rules;
  if (text) {
    TRY_ASSIGN(rules, policy_.read_property(name, *text, source));
  }
  TRY_ASSIGN(const PropertyRules before, policy_.put_property(name, rules));
  undo.add([this, name, before] {
    if (auto undone = policy_.put_property(name, before); !undone)
      context_.events.add(Severity::alert, EventKind::policy_failed, name, undone.error().text);
  });
  for (const std::string& warning : rules.warnings) outcome.notes.push_back(warning);
  return {};
}

// A secured tunnel closes without its rules; another one would open.
Result<> Links::may_lose_property(const Tunnel& tunnel) const {
  if (tunnel.active.secured || tunnel.lost_policy) return {};
  const std::string& name = tunnel.active.name;
  if (const auto head = policy_.head_of(name)) {
    for (const spd::Rule& rule : head->rules()) {
      if (rule.name_space != kPropertyNamespace) return {};
    }
  }
  return fail(EPERM,
              "{} is not secured (-S) and has no other rule: without its property ipsec it would pass clear text; give "
              "it another policy first, or say -f if that is what you want",
              name);
}

// Before the files: as in the life before, these stand, and a file that comes into conflict with one is refused.
void Links::load_policies() {
  const auto all = remembered();
  if (!all) return;
  std::map<std::string, std::string> texts;
  for (const auto& [record, stored] : all->tunnels) {
    if (record.properties.ipsec) texts.emplace(record.name, *record.properties.ipsec);
  }
  if (texts.empty()) return;
  broken_at_start_ = policy_.load_properties(texts);
  for (const auto& [name, why] : broken_at_start_)
    context_.events.add(Severity::alert, EventKind::link_policy, name, why);
}

// `svcadm restart network/iptun`: names may resolve and algorithms be known by now.
void Links::read_broken_again() {
  for (auto& [name, tunnel] : tunnels_) {
    if (tunnel.broken_policy.empty()) continue;
    Undo undo;
    Outcome outcome;
    const auto taken = take_property(name, tunnel.active.properties.ipsec, "dladm " + name, undo, outcome);
    undo.keep();
    tunnel.broken_policy = taken ? "" : taken.error().text;
  }
}

}  // namespace adit::engine
