#include "spd/head.h"

#include <array>

#include "spd/head_index.h"

namespace adit::spd {

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
  for (uint32_t place = 0; place < rules.size(); ++place) {
    Rule& rule = rules[place];
    TRY(check_rule(name, rule));
    if (place > 0 && rule.mode != mode)
      return fail(EBUSY, "tunnel {} would mix 'negotiate tunnel' and 'negotiate transport'; one tunnel has one of them",
                  name);
    mode = rule.mode;
    const Selector& selector = rule.selector;
    uses_ports = uses_ports || selector.local_port || selector.remote_port || selector.icmp;
    index->lists[Index::place(rule.direction, rule.family)].add(selector, {rule.priority, place});
  }
  for (ShapeList& list : index->lists) list.seal();

  std::shared_ptr<Head> head(new Head);
  head->name_ = std::move(name);
  head->mode_ = mode;
  head->uses_ports_ = uses_ports;
  head->rules_ = std::move(rules);
  head->index_ = std::move(index);
  return head;
}

const Rule* Head::lookup(const net::Flow& flow, Direction direction) const {
  Rank found;
  const ShapeList& list = index_->lists[Index::place(direction, flow.source.family())];
  return list.find(view_of(flow, direction), found) ? &rules_[found.place] : nullptr;
}

}  // namespace adit::spd
