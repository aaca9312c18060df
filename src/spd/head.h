// A policy head: the rules of one tunnel name, or of the host. Immutable once built, so any thread reads it without a
// lock; a change builds the next generation and swaps it in (invariant I3).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "net/flow.h"
#include "spd/rule.h"

namespace adit::spd {

class Head {
 public:
  // `name` is the tunnel's; empty for the host head. EBUSY: tunnel and transport mode mixed. EINVAL: a rule that cannot
  // be (transport-mode selectors, diagnostic 45; unique in tunnel mode, diagnostic 10). Rules keep the order given.
  static Result<std::shared_ptr<const Head>> build(std::string name, std::vector<Rule> rules);
  ~Head();

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::span<const Rule> rules() const { return rules_; }
  [[nodiscard]] bool active() const { return !rules_.empty(); }
  [[nodiscard]] Mode mode() const { return mode_; }
  // Some rule looks at ports or ICMP types, which later fragments do not show: reassemble before lookup (policy.md
  // §3.2).
  [[nodiscard]] bool uses_ports() const { return uses_ports_; }

  // The matching rule of highest priority (first in order among equals), or nullptr. `flow` is as the packet has it
  // (its source and destination); direction decides which of them is local. A rule with ports or an ICMP type does not
  // match a flow that does not know them. A rule that waits for a name matches nothing, but where one that protects or
  // drops might have come before a rule that passes, the answer is a rule that drops (waits() tells). Cost: at most one
  // hash probe for each distinct shape of selector in the head, whatever the number of rules; shapes of high priority
  // first, so that most lookups end early. Never allocates.
  [[nodiscard]] const Rule* lookup(const net::Flow& flow, Direction direction) const;

 private:
  Head();
  struct Index;
  std::string name_;
  Mode mode_ = Mode::none;
  bool uses_ports_ = false;
  const Rule* closed_by_waiting(const Rule* found, const net::Flow& flow, Direction direction) const;

  std::vector<Rule> rules_;
  std::vector<Rule> waiting_;  // what closes, with the action drop; few
  std::unique_ptr<const Index> index_;
};

}  // namespace adit::spd
