#include "server/pf_policy_dump.h"

#include <adit/pfpolicy.h>

#include <algorithm>

#include "protocol/pf_policy/actions.h"
#include "protocol/pf_policy/codec.h"

namespace adit::protocol {
namespace {

// Outbound, then inbound; in each what illumos keeps in its hash (one remote host), then the rest by family; then by
// index.
auto dump_place(const spd::Rule* rule) {
  const bool hashed = rule->selector.remote && rule->selector.remote->is_host();
  const int kind = hashed ? 0 : rule->family == net::Family::v4 ? 1 : 2;
  return std::tuple(rule->direction == spd::Direction::out ? 0 : 1, kind, rule->index);
}

}  // namespace

PolicyMessage rule_message(const PolicyHeader& header, std::string_view head, const spd::Rule& rule, bool extended) {
  PolicyMessage message{.header = header};
  message.rule = PolicyRuleExt{
      rule.priority,
      static_cast<uint32_t>(rule.direction) | (rule.mode == spd::Mode::tunnel ? SPD_RULE_FLAG_TUNNEL : 0u), rule.index};
  if (!head.empty()) message.tunnel = std::string(head);
  message.selector = rule.selector;
  message.actions = encode_actions(rule.actions);
  if (!extended) return message;
  message.name_space = PolicyNamespaceExt{0, rule.name_space};
  if (rule.origin.line != 0) message.origin = rule.origin;
  if (rule.waits()) message.text = rule.waits_for;
  return message;
}

std::vector<const spd::Rule*> dump_order(std::span<const spd::Rule> rules,
                                         const std::optional<std::string>& name_space) {
  std::vector<const spd::Rule*> order;
  for (const spd::Rule& rule : rules) order.push_back(&rule);
  return dump_order(std::move(order), name_space);
}

std::vector<const spd::Rule*> dump_order(std::vector<const spd::Rule*> rules,
                                         const std::optional<std::string>& name_space) {
  if (name_space) std::erase_if(rules, [&](const spd::Rule* rule) { return rule->name_space != *name_space; });
  std::ranges::stable_sort(rules, {}, dump_place);
  return rules;
}

PolicyDump::PolicyDump(Wish wish, std::shared_ptr<const spd::HeadSet> heads, uint64_t version)
    : wish_(std::move(wish)), version_(version), heads_(std::move(heads)) {
  if (wish_.head)
    names_.push_back(*wish_.head);
  else
    names_ = heads_->names();
}

PolicyDump::PolicyDump(Wish wish, const spd::Draft& draft, uint64_t version)
    : wish_(std::move(wish)), version_(version), draft_(draft) {
  if (wish_.head)
    names_.push_back(*wish_.head);
  else
    names_ = draft_.heads();
}

bool PolicyDump::open_next_head() {
  while (next_name_ < names_.size()) {
    head_ = names_[next_name_++];
    at_ = 0;
    if (heads_) {
      const auto head = heads_->find(head_);
      order_ = head ? dump_order(head->rules(), wish_.name_space) : std::vector<const spd::Rule*>{};
    } else {
      order_ = dump_order(draft_.rule_pointers(head_), std::nullopt);
    }
    if (!order_.empty()) return true;
  }
  return false;
}

std::vector<uint8_t> PolicyDump::ruleset(uint32_t count, uint8_t error) const {
  PolicyMessage message{.header = wish_.header};
  message.header.error = error;
  message.ruleset = PolicyRulesetExt{count, version_};
  return encode_policy(message);
}

std::optional<std::vector<uint8_t>> PolicyDump::next(uint64_t version_now) {
  switch (stage_) {
    case Stage::header:
      stage_ = Stage::rules;
      return ruleset(0, 0);
    case Stage::rules:
      if (at_ < order_.size() || open_next_head()) {
        ++count_;
        return encode_policy(rule_message(wish_.header, head_, *order_[at_++], wish_.extended));
      }
      [[fallthrough]];
    case Stage::trailer:
      stage_ = Stage::done;
      return ruleset(count_, version_now == version_ ? 0 : EAGAIN);
    case Stage::done:
      break;
  }
  return std::nullopt;
}

}  // namespace adit::protocol
