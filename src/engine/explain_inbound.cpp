// Why a packet would be let in, or not: the other direction of engine/explain.cpp.
#include <algorithm>

#include "base/drop_reason.h"
#include "datapath/admit.h"
#include "engine/explain.h"
#include "engine/explain_words.h"
#include "host/host_rules.h"

namespace adit::engine {
namespace {

using datapath::Arrival;

bool passes(const Arrival& arrival, const net::Flow& flow) {
  return datapath::admit_arrival(arrival, flow, flow) == DropReason::none &&
         datapath::admit(arrival, flow, flow).drop == DropReason::none;
}

// The SAs of the tunnel's peer, with which a packet may come alone or, AH around ESP, together.
struct PeerSas {
  std::vector<const sad::Sa*> esp, ah;
};
PeerSas sas_from_peer(const std::vector<std::shared_ptr<sad::Sa>>& all, const tunnel::Outer& outer) {
  PeerSas found;
  for (const auto& sa : all)
    if (sa->spec.source == outer.remote && sa->spec.destination == outer.local)
      (sa->spec.type == sad::SaType::ah ? found.ah : found.esp).push_back(sa.get());
  return found;
}

// Alone, or with one of the other kind.
bool lets_in(const datapath::Link& link, const sad::Sa& sa, const PeerSas& sas, const net::Flow& flow) {
  const bool is_ah = sa.spec.type == sad::SaType::ah;
  if (passes(is_ah ? Arrival{&link, nullptr, &sa} : Arrival{&link, &sa, nullptr}, flow)) return true;
  return std::ranges::any_of(is_ah ? sas.esp : sas.ah, [&](const sad::Sa* other) {
    return datapath::receives(*other) && passes(is_ah ? Arrival{&link, other, &sa} : Arrival{&link, &sa, other}, flow);
  });
}

// AH is outside of ESP.
uint8_t outer_protocol(const sad::Sa& sa, std::optional<uint8_t> known) {
  if (sa.spec.type == sad::SaType::ah) return net::kProtoAh;
  return known.value_or(sa.spec.nat.has_value() ? net::kProtoUdp : net::kProtoEsp);
}

std::string why_refused(const datapath::Link& link, const sad::Sa& sa, const net::Flow& flow) {
  if (!can_protect(sa)) return fmt::format("it is {}", name_of(sa.state.load(std::memory_order_relaxed)));
  if (!datapath::receives(sa)) return "it is for the other direction: it was loaded as outbound";
  const bool is_ah = sa.spec.type == sad::SaType::ah;
  const auto drop =
      datapath::admit(is_ah ? Arrival{&link, nullptr, &sa} : Arrival{&link, &sa, nullptr}, flow, flow).drop;
  return std::string(text_of(drop).sentence);
}

}  // namespace

Result<Explanation> Explainer::explain_inbound(const ExplainRequest& request) {
  const net::Flow& flow = request.flow;
  TRY_ASSIGN(Explanation about, begin(request, flow.destination, flow.source));
  std::string tunnel = request.tunnel.value_or("");
  if (!request.tunnel) {
    if (!forwarded(flow.destination, about)) return about;
    const auto back = context_.platform.lookup_route(flow.source, 0);
    about.route = back ? told_route(*back) : ExplainedRoute{.error = back.error().text};
    tunnel = about.route->interface;
  }
  if (about.own && !host_allows(flow, spd::Direction::in, about)) return about;
  if (links_.tunnel(tunnel)) {
    in_through_tunnel(tunnel, flow, about);
    tell_not_followed(about);
    return about;
  }
  if (about.guard) {
    conclude(about, "guard",
             fmt::format("It is stopped by the guard unless it comes through a tunnel: {}", what_opens(*about.guard)));
    return about;
  }
  about.passes = about.clear = true;
  about.verdict = tunnel.empty() ? "It is let in, and no route leads back."
                                 : fmt::format("It is let in, in the clear; the way back is over {}.", tunnel);
  return about;
}

void Explainer::in_through_tunnel(const std::string& name, const net::Flow& flow, Explanation& about) {
  const auto snapshot = dataplane_.shared().publisher.get();
  const datapath::Link* link = tell_tunnel(name, spd::Direction::in, flow, snapshot.get(), about);
  if (link == nullptr) return;
  about.mtu.reset();
  if (!link->up) {
    conclude(about, "link_down", fmt::format("It is dropped: {}.", about.why_down));
    return;
  }
  if (datapath::is_martian(*link, flow.source)) {
    conclude(about, "martian", fmt::format("It is dropped: {}.", text_of(DropReason::martian).sentence));
    return;
  }
  about.clear = passes(Arrival{link}, flow);
  const auto all = keys_.keys().table()->all();
  const PeerSas sas = sas_from_peer(all, link->outer);
  std::optional<uint8_t> protocol;  // of the outer packet, under an SA that lets it in
  for (const auto* list : {&sas.esp, &sas.ah})
    for (const sad::Sa* sa : *list) {
      ExplainedSa told = described(*sa);
      if (datapath::receives(*sa) && lets_in(*link, *sa, sas, flow))
        protocol = outer_protocol(*sa, protocol);
      else
        told.why_not = why_refused(*link, *sa, flow);
      about.sas.push_back(std::move(told));
    }
  about.passes = protocol.has_value();
  if (about.clear) protocol = flow.source.is_v4() ? net::kProtoIpv4 : net::kProtoIpv6;
  if (protocol && (!outer_arrives(*link, *protocol, about) || !inner_arrives(name, flow, about))) {
    about.passes = false;
    return;
  }
  tell_inbound_verdict(about);
}

void Explainer::tell_inbound_verdict(Explanation& about) {
  const std::string& name = about.tunnel->name;
  if (about.clear) {
    about.passes = true;
    about.verdict =
        about.rule
            ? fmt::format("It is let in through {} in the clear, because {} says so.", name, name_of_rule(*about.rule))
            : fmt::format("It is let in through {0} in the clear: {0} has no rule and is not secured (-S).", name);
    return;
  }
  if (about.passes) {
    about.verdict = fmt::format(
        "It is let in through {} when it comes under an SA that is listed above without a remark; in the clear "
        "it is dropped.",
        name);
    return;
  }
  if (!about.rule) {
    conclude(about, "no_inbound_rule", fmt::format("It is dropped: no rule of {} matches it.", name));
  } else if (about.rule->actions.front().verb == spd::Verb::drop) {
    conclude(about, "rule_drop", fmt::format("It is dropped by {} of {}.", name_of_rule(*about.rule), name));
  } else {
    conclude(about, "wrong_protection",
             fmt::format("It is dropped: {} of {} asks for IPsec, and {}.", name_of_rule(*about.rule), name,
                         about.sas.empty() ? "there is no SA from the tunnel's peer"
                                           : "no SA from the tunnel's peer satisfies it"));
  }
}

}  // namespace adit::engine
