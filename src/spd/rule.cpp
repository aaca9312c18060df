#include "spd/rule.h"

#include <algorithm>
#include <functional>

namespace adit::spd {
namespace {

constexpr uint32_t kFirstPriority = 0x000fffff;
constexpr uint32_t kBypassClass = 0x00800000, kEspClass = 0x00400000, kAhClass = 0x00200000;

bool is_empty(const Selector& selector) {
  return selector == Selector{};
}

void mix(size_t& seed, size_t value) {
  seed ^= value + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2);
}

template <typename T>
void mix_number(size_t& seed, const std::optional<T>& value) {
  mix(seed, value ? static_cast<size_t>(*value) + 1 : 0);
}

void mix_prefix(size_t& seed, const std::optional<net::Prefix>& prefix) {
  mix(seed, prefix ? std::hash<net::Prefix>{}(*prefix) : 0);
}

void mix_action(size_t& seed, const Action& action) {
  mix(seed, static_cast<size_t>(action.verb) * 4 + (action.bypass ? 2 : 0) + (action.unique ? 1 : 0));
  if (action.ah) mix(seed, 0x100 + static_cast<size_t>(action.ah->alg));
  if (action.encr) mix(seed, 0x200 + static_cast<size_t>(action.encr->alg) + action.encr->bits.min * 0x1000ULL);
  if (action.espa) mix(seed, 0x300 + static_cast<size_t>(action.espa->alg));
}

std::optional<net::Family> family_of(const Selector& selector) {
  if (selector.local) return selector.local->family();
  if (selector.remote) return selector.remote->family();
  return std::nullopt;
}

Rule entry_of(const RuleSpec& spec, Direction direction, net::Family family) {
  Rule rule{.priority = spec.priority,
            .direction = direction,
            .family = family,
            .mode = spec.mode,
            .selector = spec.selector,
            .actions = spec.actions,
            .name_space = spec.name_space,
            .waits_for = spec.waits_for,
            .origin = spec.origin};
  if (rule.selector.local) rule.selector.local = rule.selector.local->masked();
  if (rule.selector.remote) rule.selector.remote = rule.selector.remote->masked();
  return rule;
}

Result<> check_mode(std::string_view head, const Rule& rule) {
  if (head.empty() && rule.mode != Mode::none)
    return fail(EINVAL, "a rule for the host cannot negotiate tunnel or transport; name a tunnel");
  if (!head.empty() && rule.mode == Mode::none)
    return fail(EINVAL, "a rule for tunnel {} must say whether it negotiates tunnel or transport", head);
  if (rule.mode == Mode::transport && !is_empty(rule.selector))
    return fail(EINVAL,
                "tunnel {} negotiates transport, where a rule cannot select by address, protocol or port; "
                "use 'negotiate tunnel' or leave the selectors out",
                head);
  return {};
}

Result<> check_action(std::string_view head, Mode mode, const Action& action) {
  if (head.empty() && action.verb == Verb::ipsec)
    return fail(ENOTSUP,
                "protecting the host's own traffic with IPsec is not there yet; protect it with a tunnel: "
                "'{ tunnel NAME negotiate tunnel } ipsec { ... }'");
  if (action.unique && mode == Mode::tunnel)
    return fail(EINVAL, "'sa unique' does not go with 'negotiate tunnel' (tunnel {}); write 'sa shared'", head);
  const bool protects = action.ah || action.encr || action.espa;
  if ((action.verb == Verb::ipsec) != protects)
    return fail(EINVAL, protects ? "algorithms are given for an action that does not protect"
                                 : "an ipsec action names no algorithm");
  return {};
}

}  // namespace

bool same_traffic(const Rule& a, const Rule& b) {
  return a.direction == b.direction && a.family == b.family && a.selector == b.selector && a.waits_for == b.waits_for;
}

size_t memory_of(const Rule& rule) {
  constexpr size_t kNodes = 160;  // of the maps that it is found by
  return sizeof(Rule) + kNodes + rule.actions.size() * sizeof(Action) + rule.name_space.size() +
         rule.origin.file.size();
}

bool same_entry(const Rule& a, const Rule& b) {
  return same_traffic(a, b) && a.mode == b.mode && a.actions == b.actions;
}

size_t hash_entry(const Rule& rule) {
  size_t seed = static_cast<size_t>(rule.direction) * 8 + static_cast<size_t>(rule.family);
  mix_prefix(seed, rule.selector.local);
  mix_prefix(seed, rule.selector.remote);
  mix_number(seed, rule.selector.protocol);
  mix_number(seed, rule.selector.local_port);
  mix_number(seed, rule.selector.remote_port);
  if (rule.selector.icmp) mix(seed, rule.selector.icmp->type * 256u + rule.selector.icmp->code);
  for (const Action& action : rule.actions) mix_action(seed, action);
  if (rule.waits()) mix(seed, std::hash<std::string>{}(rule.waits_for));
  return seed;
}

std::vector<Rule> expand(const RuleSpec& spec) {
  std::vector<Rule> entries;
  const auto fixed = family_of(spec.selector);
  for (const Direction direction : {Direction::out, Direction::in}) {
    if (!(direction == Direction::out ? spec.outbound : spec.inbound)) continue;
    for (const net::Family family : {net::Family::v4, net::Family::v6})
      if (!fixed || *fixed == family) entries.push_back(entry_of(spec, direction, family));
  }
  return entries;
}

uint32_t priority_of(uint32_t position, std::span<const Action> actions) {
  uint32_t priority = kFirstPriority - std::min(position, kFirstPriority);
  for (const Action& action : actions) {
    if (action.verb == Verb::pass) priority |= kBypassClass;
    if (action.encr || action.espa) priority |= kEspClass;
    if (action.ah) priority |= kAhClass;
  }
  return priority;
}

Result<> check_rule(std::string_view head, const Rule& rule) {
  if (rule.actions.empty()) return fail(EINVAL, "a rule has no action");
  for (const auto& prefix : {rule.selector.local, rule.selector.remote})
    if (prefix && prefix->family() != rule.family)
      return fail(EINVAL, "{} is of another address family than its rule", prefix->str());
  TRY(check_mode(head, rule));
  for (const Action& action : rule.actions) TRY(check_action(head, rule.mode, action));
  return {};
}

}  // namespace adit::spd
