#include "spd/head.h"

#include <algorithm>
#include <array>

#include "spd/head_index.h"

namespace adit::spd {
namespace {

bool passes(const Rule& rule) {
  return std::ranges::any_of(rule.actions, [](const Action& action) { return action.verb == Verb::pass; });
}

Rule closing(Rule rule) {
  rule.actions = {Action{.verb = Verb::drop}};
  return rule;
}

// With whatever addresses the name may come to stand for; of the rest what the flow does not tell counts as equal.
bool may_match(const Rule& rule, const net::Flow& flow) {
  const Selector& wanted = rule.selector;
  const bool out = rule.direction == Direction::out;
  const auto outside = [](const std::optional<net::Prefix>& prefix, const net::Address& address) {
    return prefix && !prefix->contains(address);
  };
  if (outside(wanted.local, out ? flow.source : flow.destination)) return false;
  if (outside(wanted.remote, out ? flow.destination : flow.source)) return false;
  if (wanted.protocol && *wanted.protocol != flow.protocol) return false;
  if (!flow.has_ports) return true;
  const uint16_t local = out ? flow.source_port : flow.destination_port;
  const uint16_t remote = out ? flow.destination_port : flow.source_port;
  return wanted.local_port.value_or(local) == local && wanted.remote_port.value_or(remote) == remote;
}

}  // namespace

struct Head::Index {
  std::array<ShapeList, 4> lists;

  static size_t place(Direction direction, net::Family family) {
    return (direction == Direction::out ? 0 : 2) + (family == net::Family::v4 ? 0 : 1);
  }
};

Head::Head() = default;
Head::~Head() = default;

Result<std::shared_ptr<const Head>> Head::build(std::string name, std::vector<Rule> rules) {
  auto index = std::make_unique<Index>();
  Mode mode = Mode::none;
  bool uses_ports = false;
  std::vector<Rule> waiting;
  for (uint32_t place = 0; place < rules.size(); ++place) {
    Rule& rule = rules[place];
    TRY(check_rule(name, rule));
    if (place > 0 && rule.mode != mode)
      return fail(EBUSY, "tunnel {} would mix 'negotiate tunnel' and 'negotiate transport'; one tunnel has one of them",
                  name);
    mode = rule.mode;
    const Selector& selector = rule.selector;
    uses_ports = uses_ports || selector.local_port || selector.remote_port || selector.icmp;
    if (!rule.waits())
      index->lists[Index::place(rule.direction, rule.family)].add(selector, {rule.priority, place});
    else if (!passes(rule))
      waiting.push_back(closing(rule));
  }
  for (ShapeList& list : index->lists) list.seal();

  std::shared_ptr<Head> head(new Head);
  head->name_ = std::move(name);
  head->mode_ = mode;
  head->uses_ports_ = uses_ports;
  head->rules_ = std::move(rules);
  head->waiting_ = std::move(waiting);
  head->index_ = std::move(index);
  return head;
}

const Rule* Head::lookup(const net::Flow& flow, Direction direction) const {
  Rank found;
  const ShapeList& list = index_->lists[Index::place(direction, flow.source.family())];
  const Rule* const rule = list.find(view_of(flow, direction), found) ? &rules_[found.place] : nullptr;
  return waiting_.empty() ? rule : closed_by_waiting(rule, flow, direction);
}

// Where nothing matches, nothing passes; what is protected stays so.
const Rule* Head::closed_by_waiting(const Rule* found, const net::Flow& flow, Direction direction) const {
  if (found == nullptr || !passes(*found)) return found;
  for (const Rule& rule : waiting_) {
    const bool before =
        rule.priority > found->priority || (rule.priority == found->priority && rule.index < found->index);
    if (before && rule.direction == direction && rule.family == flow.source.family() && may_match(rule, flow))
      return &rule;
  }
  return found;
}

}  // namespace adit::spd
