#include "engine/explain.h"

#include <algorithm>

#include "base/drop_reason.h"
#include "base/text.h"
#include "engine/explain_words.h"
#include "esp/esp.h"
#include "host/host_rules.h"

namespace adit::engine {
namespace {}  // namespace

bool conclude(Explanation& about, std::string_view reason, std::string verdict) {
  about.reason = reason;
  about.verdict = std::move(verdict);
  return false;
}

std::string name_of_rule(const spd::Rule& rule) {
  return rule.origin.line == 0 ? fmt::format("rule {}", rule.index)
                               : fmt::format("rule {} ({}:{})", rule.index, rule.origin.file, rule.origin.line);
}

std::string_view name_of(sad::SaState state) {
  constexpr std::string_view names[] = {"larval", "mature", "dying", "dead"};
  return names[static_cast<size_t>(state)];
}

bool can_protect(const sad::Sa& sa) {
  const auto state = sa.state.load(std::memory_order_relaxed);
  return state == sad::SaState::mature || state == sad::SaState::dying;
}

Result<Explanation> Explainer::begin(const ExplainRequest& request, const net::Address& near, const net::Address& far) {
  if (near.family() != far.family())
    return fail(EINVAL, "{} and {} are of two families: no packet has both", request.flow.source.str(),
                request.flow.destination.str());
  if (request.tunnel && !links_.tunnel(*request.tunnel))
    return fail(ENOENT, "object not found: there is no tunnel {}", *request.tunnel);
  Explanation about;
  ruleset_.reset();
  about.own = is_own(near);
  about.guard = guard_.verdict_on(far);
  return about;
}

Result<Explanation> Explainer::explain(const ExplainRequest& request) {
  const net::Flow& flow = request.flow;
  TRY_ASSIGN(Explanation about, begin(request, flow.source, flow.destination));
  std::string tunnel = request.tunnel.value_or("");
  if (!request.tunnel) {
    if (!forwarded(flow.source, about) || !routed(flow, about)) return about;
    tunnel = about.route->interface;
  }
  if (about.own && !host_allows(flow, spd::Direction::out, about)) return about;
  if (links_.tunnel(tunnel)) {
    through_tunnel(tunnel, flow, about);
  } else if (unguarded(about) && reaches(tunnel, flow, about)) {
    about.passes = about.clear = true;
    about.verdict =
        fmt::format("It leaves over {} in the clear: no tunnel is on its way, and no guard closes it.", tunnel);
  }
  tell_not_followed(about);
  return about;
}

bool Explainer::is_own(const net::Address& address) const {
  const auto addresses = context_.platform.addresses();
  return addresses && std::ranges::any_of(*addresses, [&](const platform::AddressInfo& info) {
           return info.local.address() == address;
         });
}

std::string Explainer::interface_name(int index) const {
  const auto all = context_.platform.interfaces();
  if (!all) return {};
  const auto found = std::ranges::find(*all, index, &platform::InterfaceInfo::index);
  return found == all->end() ? "" : found->name;
}

bool Explainer::forwarded(const net::Address& near, Explanation& about) {
  if (about.own) return true;
  const bool v4 = near.is_v4();
  const auto value = context_.platform.sysctl(v4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding");
  if (!value || value->starts_with('1')) return true;
  return conclude(
      about, "forwarding",
      fmt::format("It is not forwarded: {} is not an address of this host, and forwarding is off; 'ipadm set-prop -p "
                  "forwarding=on {}' turns it on.",
                  near.str(), v4 ? "ipv4" : "ipv6"));
}

ExplainedRoute Explainer::told_route(const platform::Route& route) const {
  return {route.destination.length() == 0 ? "default" : route.destination.str(),
          route.gateway ? route.gateway->str() : "", interface_name(route.interface_index), ""};
}

// The guard's own route answers when the tunnel's is gone or its link is down.
bool Explainer::routed(const net::Flow& flow, Explanation& about) {
  const auto way = context_.platform.lookup_route(flow.destination, 0);
  if (way) {
    about.route = told_route(*way);
    if (about.route->interface != "lo") return true;
    return conclude(about, "no_route",
                    fmt::format("It does not leave: {} is an address of this host itself.", flow.destination.str()));
  }
  about.route = ExplainedRoute{.error = way.error().text};
  if (about.guard)
    return conclude(about, "guard", fmt::format("It is stopped by the guard: {}", what_opens(*about.guard)));
  return conclude(about, "no_route", fmt::format("It does not leave: {}.", way.error().text));
}

std::string Explainer::what_opens(const GuardVerdict& guard) const {
  const std::string network = guard.network.str();
  if (guard.tunnels.empty())
    return fmt::format("{0} is kept closed, and no tunnel carries it; 'adit guard open {0}' opens it.", network);
  std::string text = fmt::format("{} leaves only through {}", network, joined(guard.tunnels, " or "));
  for (const auto& name : guard.tunnels) {
    const std::string why = links_.why_closed(name);
    if (!links_.tunnel(name))
      text += fmt::format("; {} is not there: make it, or open the network with 'adit guard open {}'", name, network);
    else if (!why.empty())
      text += "; " + why;
    else
      text += fmt::format("; {} is up, and a route into it is missing: 'adit route add {} GATEWAY'", name, network);
  }
  return text + ".";
}

bool Explainer::unguarded(Explanation& about) {
  if (!about.guard) return true;
  return conclude(
      about, "guard",
      fmt::format("It is stopped at {} by the guard: {}", about.route->interface, what_opens(*about.guard)));
}

bool Explainer::host_allows(const net::Flow& flow, spd::Direction direction, Explanation& about) {
  const auto head = policy_.head_of("");
  const spd::Rule* rule = head == nullptr ? nullptr : head->lookup(flow, direction);
  if (rule == nullptr || passes_always(flow)) return true;
  about.host_rule = *rule;
  if (rule->actions.front().verb != spd::Verb::drop) return true;
  return conclude(about, "host_rule", fmt::format("It is dropped by {} of the host's policy.", name_of_rule(*rule)));
}

const datapath::Link* Explainer::tell_tunnel(const std::string& name, spd::Direction direction, const net::Flow& flow,
                                             const datapath::Snapshot* snapshot, Explanation& about) {
  about.tunnel = links_.tunnel(name);
  about.why_down = links_.why_closed(name);
  about.mtu = links_.mtu_sum(name);
  const datapath::Link* link = snapshot == nullptr ? nullptr : snapshot->by_id(about.tunnel->id);
  if (link == nullptr) {
    conclude(about, "link_down", fmt::format("It is dropped: {}.", about.why_down));
    return nullptr;
  }
  about.policy = link->head != nullptr && link->head->active();
  if (about.policy)
    if (const spd::Rule* rule = link->head->lookup(flow, direction)) about.rule = *rule;
  if (!about.guard || std::ranges::find(about.guard->tunnels, name) != about.guard->tunnels.end()) return link;
  conclude(about, "guard", fmt::format("It is stopped at {} by the guard: {}", name, what_opens(*about.guard)));
  return nullptr;
}

void Explainer::through_tunnel(const std::string& name, const net::Flow& flow, Explanation& about) {
  const auto snapshot = dataplane_.shared().publisher.get();
  const datapath::Link* link = tell_tunnel(name, spd::Direction::out, flow, snapshot.get(), about);
  if (link == nullptr) return;
  const auto decision = datapath::decide(*snapshot, *link, flow);
  tell_sas(decision, *link, about);
  if (decision.drop == DropReason::none && (!reaches(name, flow, about) || !leaves_host(decision.way, flow, about)))
    return;
  tell_verdict(decision, about);
}

ExplainedSa Explainer::described(const sad::Sa& sa) const {
  const auto word = [&](crypto::AlgProto proto, auto number) {
    const auto* row = keys_.algorithms().find(proto, static_cast<uint8_t>(number));
    return row == nullptr ? fmt::format("{}", static_cast<int>(number)) : row->names.front();
  };
  ExplainedSa told{.spi = static_cast<uint32_t>(sa.spec.spi), .ah = sa.spec.type == sad::SaType::ah};
  if (sa.spec.encr != crypto::EncrAlg::none)
    told.algorithms = fmt::format("{}({})", word(crypto::AlgProto::esp, sa.spec.encr), sa.spec.encr_key.size() * 8);
  if (sa.spec.auth != crypto::AuthAlg::none)
    told.algorithms += (told.algorithms.empty() ? "" : " ") + word(crypto::AlgProto::ah, sa.spec.auth);
  told.state = name_of(sa.state.load(std::memory_order_relaxed));
  told.name_space = sa.spec.name_space;
  return told;
}

void Explainer::tell_sas(const datapath::Decision& decision, const datapath::Link& link, Explanation& about) {
  const datapath::Way& way = decision.way;
  for (const sad::Sa* sa : {way.esp, way.ah}) {
    if (sa == nullptr) continue;
    ExplainedSa told = described(*sa);
    if (sa == way.esp) told.overhead = esp::overhead(*sa, way.largest) + (way.in_udp() ? 8 : 0);
    about.sas.push_back(std::move(told));
  }
  if (decision.drop == DropReason::none) about.largest = way.largest;
  if (decision.drop != DropReason::no_sa) return;
  about.acquiring = std::ranges::any_of(keys_.keys().acquires(), [&](const auto& open) {
    return open.second.key == sad::AcquireKey{link.name, way.rule->index};
  });
  for (const auto& sa : keys_.keys().table()->all()) {
    if (sa->spec.source != link.outer.local || sa->spec.destination != link.outer.remote) continue;
    ExplainedSa told = described(*sa);
    const bool ah = sa->spec.type == sad::SaType::ah;
    if (!can_protect(*sa))
      told.why_not = "it is " + told.state;
    else if (sa->spec.inbound && !sa->spec.outbound)
      told.why_not = "it is for the other direction: it was loaded as inbound";
    else if (!sad::Table::satisfies(*way.rule, ah ? nullptr : sa.get(), ah ? sa.get() : nullptr))
      told.why_not = "its algorithms are not what the rule asks for";
    else
      told.why_not = "its selectors are not the rule's and do not cover the packet";
    about.sas.push_back(std::move(told));
  }
}

void Explainer::tell_verdict(const datapath::Decision& decision, Explanation& about) {
  const std::string& name = about.tunnel->name;
  const datapath::Way& way = decision.way;
  if (decision.drop == DropReason::none) {
    about.passes = true;
    about.clear = way.clear();
    if (!way.clear())
      about.verdict = fmt::format("It leaves through {}, protected.", name);
    else if (way.rule != nullptr)
      about.verdict =
          fmt::format("It leaves through {} in the clear, because {} says so.", name, name_of_rule(*way.rule));
    else
      about.verdict = fmt::format("It leaves through {0} in the clear: {0} has no rule and is not secured (-S).", name);
    return;
  }
  const auto& drop = text_of(decision.drop);
  std::string verdict = fmt::format("It is dropped: {}.", drop.sentence);
  if (decision.drop == DropReason::link_down || decision.drop == DropReason::no_remote ||
      decision.drop == DropReason::no_policy)
    verdict = fmt::format("It is dropped: {}.", about.why_down.empty() ? drop.sentence : about.why_down);
  else if (decision.drop == DropReason::no_rule)
    verdict = fmt::format("It is dropped: no rule of {} matches it.", name);
  else if (decision.drop == DropReason::rule_drop && about.rule)
    verdict = fmt::format("It is dropped by {} of {}.", name_of_rule(*about.rule), name);
  else if (decision.drop == DropReason::no_sa)
    verdict = fmt::format(
        "It is held back until a key manager brings an SA, and dropped when none comes: {} of {} asks for "
        "IPsec, and {}.",
        name_of_rule(*way.rule), name,
        about.sas.empty() ? "there is no SA between the tunnel's ends" : "no SA there satisfies it");
  conclude(about, drop.name, std::move(verdict));
}

}  // namespace adit::engine
