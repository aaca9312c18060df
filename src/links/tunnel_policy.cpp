#include "links/tunnel_policy.h"

#include <algorithm>

#include "tunnel/link.h"

namespace adit::engine {

std::set<std::pair<std::string, net::Prefix>> protected_networks_by_owner(const spd::Head* head) {
  std::set<std::pair<std::string, net::Prefix>> networks;
  if (head == nullptr) return networks;
  for (const auto& rule : head->rules()) {
    const auto& remote = rule.selector.remote;
    if (!remote || remote->length() == 0) continue;
    const bool protects = std::ranges::any_of(rule.actions, [](const auto& a) { return a.verb == spd::Verb::ipsec; });
    if (protects) networks.emplace(rule.name_space, remote->masked());
  }
  return networks;
}

std::vector<net::Prefix> protected_networks(const spd::Head* head) {
  std::set<net::Prefix> networks;
  for (const auto& [owner, network] : protected_networks_by_owner(head)) networks.insert(network);
  return {networks.begin(), networks.end()};
}

uint32_t worst_overhead(const spd::Head* head) {
  uint32_t worst = 0;
  if (head == nullptr) return worst;
  for (const auto& rule : head->rules()) {
    if (rule.direction != spd::Direction::out) continue;
    for (const auto& action : rule.actions) {
      if (action.verb != spd::Verb::ipsec) continue;
      const uint32_t ah = action.ah ? tunnel::kAhOverhead : 0;
      const uint32_t esp = action.encr || action.espa ? tunnel::kEspOverhead : 0;
      worst = std::max(worst, ah + esp);
    }
  }
  return worst;
}

}  // namespace adit::engine
