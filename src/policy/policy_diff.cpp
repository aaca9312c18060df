#include "policy/policy_diff.h"

#include <algorithm>

namespace adit::engine {
namespace {

using What = TunnelChange::What;

// Whether the tunnel has a rule once the global namespace's are as wanted.
bool has_rules_then(const std::string& tunnel, const PolicyDiff& diff, const spd::HeadSet& now) {
  const auto change = std::ranges::lower_bound(diff.heads, tunnel, {}, &spd::HeadChange::head);
  if (change != diff.heads.end() && change->head == tunnel && change->kept.size() + change->added.size() > 0)
    return true;
  const auto head = now.find(tunnel);
  if (!head) return false;
  return std::ranges::any_of(head->rules(), [](const spd::Rule& rule) { return !rule.name_space.empty(); });
}

TunnelChange up(const std::string& name) {
  return {What::up, name, fmt::format("{} goes up: it has rules now", name)};
}
TunnelChange down(const std::string& name) {
  return {What::down, name,
          fmt::format("{} goes down: it requires security (-S) and no rule is left; its networks stay closed", name)};
}
TunnelChange now_secured(const std::string& name) {
  return {What::now_secured, name, fmt::format("{} passed clear text and goes by rules now", name)};
}
TunnelChange exposed(const std::string& name) {
  return {
      What::exposed, name,
      fmt::format("{} stops being protected: no rule is left, it is not secured (-S), and it passes clear text", name)};
}

}  // namespace

std::string_view name_of(What what) {
  constexpr std::string_view names[] = {"up", "down", "protected", "exposed"};
  return names[static_cast<size_t>(what)];
}

bool PolicyDiff::changes_anything() const {
  return std::ranges::any_of(heads, &spd::HeadChange::changes_anything);
}

std::vector<std::string> PolicyDiff::summary() const {
  std::vector<std::string> lines;
  lines.reserve(tunnels.size());
  for (const TunnelChange& tunnel : tunnels) lines.push_back(tunnel.sentence);
  lines.push_back(fmt::format("{} policy rules added, {} removed, {} kept.", added, removed, kept));
  return lines;
}

void finish_diff(PolicyDiff& diff, const spd::HeadSet& now, const LinkView& links) {
  for (const spd::HeadChange& head : diff.heads) {
    diff.added += head.added.size();
    diff.removed += head.removed.size();
    diff.kept += head.kept.size();
  }
  for (const TunnelView& tunnel : links.tunnels()) {
    const bool rules_then = has_rules_then(tunnel.name, diff, now);
    if (rules_then == tunnel.policy) continue;
    const bool up_then = links.up_with(tunnel.name, rules_then);
    if (!tunnel.secured && !rules_then)
      diff.tunnels.push_back(exposed(tunnel.name));
    else if (tunnel.up != up_then)
      diff.tunnels.push_back(up_then ? up(tunnel.name) : down(tunnel.name));
    else if (!tunnel.secured && tunnel.up)
      diff.tunnels.push_back(now_secured(tunnel.name));
  }
}

}  // namespace adit::engine
