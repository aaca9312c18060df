// io.adit.explain
#include "config/ipsecconf/print.h"
#include "engine/explain.h"
#include "policy/policy.h"
#include "server/io_adit/engine_api.h"

namespace adit::protocol {
namespace {

using engine::Explanation;
using nlohmann::json;

constexpr const char* kDescription = R"(# Why a packet would leave this host, or be let in, or not.
interface io.adit.explain

# error: what the kernel says when no route leads there; interface is empty then.
type Route (destination: string, gateway: string, interface: string, error: string)
# A network that leaves only through these tunnels; none: it is kept closed.
type Guard (network: string, tunnels: []string)
# text: as ipsecconf -l -n lists it.
type Rule (tunnel: string, index: int, text: string, file: string, line: int, namespace: string)
type Tunnel (name: string, up: bool, secured: bool, policy: bool, local: string, remote: string, why_down: string)
# why_not "": it would carry the packet; overhead: bytes that it adds to the largest packet.
type Association (protocol: string, spi: int, algorithms: string, state: string, namespace: string, why_not: string, overhead: int)
# mtu = max(1280, path - outer - reserved) unless pinned by the property. largest: bytes of the largest packet that goes whole.
type Mtu (path: int, learned: bool, outer: int, reserved: int, pinned: bool, mtu: int, largest: int)

# Nothing is sent and nothing changes. own: the near address is this host's (the source going out, the destination coming in);
# else the packet would be forwarded. tunnel: as if it were routed there, or came through it. reason "": it passes; else a drop
# reason, or guard, no_route, forwarding, host_rule, firewall, no_outer_route, rp_filter. route: coming in, the way back. outer:
# the outer packet's way over the underlay. not_followed: what may drop it on this host and cannot be told, with rules by name.
method Outbound(source: string, destination: string, protocol: int, source_port: ?int, destination_port: ?int, icmp_type: ?int,
  icmp_code: ?int, tunnel: ?string) -> (own: bool, route: ?Route, guard: ?Guard, host_rule: ?Rule, tunnel: ?Tunnel, rule: ?Rule,
  associations: []Association, acquiring: bool, outer: ?Route, not_followed: []string, mtu: ?Mtu, passes: bool, clear: bool, reason: string, verdict: string)
method Inbound(source: string, destination: string, protocol: int, source_port: ?int, destination_port: ?int, icmp_type: ?int,
  icmp_code: ?int, tunnel: ?string) -> (own: bool, route: ?Route, guard: ?Guard, host_rule: ?Rule, tunnel: ?Tunnel, rule: ?Rule,
  associations: []Association, acquiring: bool, outer: ?Route, not_followed: []string, mtu: ?Mtu, passes: bool, clear: bool, reason: string, verdict: string)
error io.adit.Failed (code: int, text: string)
)";

Result<net::Address> address_parameter(const json& in, const char* name) {
  TRY_ASSIGN(const std::string text, text_parameter(in, name));
  const auto address = net::Address::parse(text);
  if (!address) return fail(EINVAL, "parameter {}: an address is expected, not '{}'", name, text);
  return *address;
}

Result<engine::ExplainRequest> request_of(const json& in) {
  engine::ExplainRequest request;
  TRY_ASSIGN(request.flow.source, address_parameter(in, "source"));
  TRY_ASSIGN(request.flow.destination, address_parameter(in, "destination"));
  TRY_ASSIGN(const auto protocol, number_parameter(in, "protocol", 255));
  TRY_ASSIGN(const auto source_port, number_parameter(in, "source_port", 65535));
  TRY_ASSIGN(const auto destination_port, number_parameter(in, "destination_port", 65535));
  TRY_ASSIGN(const auto icmp_type, number_parameter(in, "icmp_type", 255));
  TRY_ASSIGN(const auto icmp_code, number_parameter(in, "icmp_code", 255));
  net::Flow& flow = request.flow;
  flow.protocol = static_cast<uint8_t>(protocol.value_or(0));
  flow.has_ports = source_port && destination_port;
  flow.source_port = static_cast<uint16_t>(source_port.value_or(0));
  flow.destination_port = static_cast<uint16_t>(destination_port.value_or(0));
  flow.has_icmp = icmp_type && icmp_code;
  flow.icmp_type = static_cast<uint8_t>(icmp_type.value_or(0));
  flow.icmp_code = static_cast<uint8_t>(icmp_code.value_or(0));
  request.tunnel = optional_text(in, "tunnel");
  return request;
}

json rule_json(const config::PolicyPrinter& printer, const std::string& head, const spd::Rule& rule) {
  return {{"tunnel", head},           {"index", rule.index},      {"text", printer.rule(head, rule)},
          {"file", rule.origin.file}, {"line", rule.origin.line}, {"namespace", rule.name_space}};
}

json tunnel_json(const Explanation& about) {
  const engine::TunnelView& tunnel = *about.tunnel;
  return {{"name", tunnel.name},
          {"up", tunnel.up},
          {"secured", tunnel.secured},
          {"policy", about.policy},
          {"local", tunnel.local ? tunnel.local->str() : ""},
          {"remote", tunnel.remote ? tunnel.remote->str() : ""},
          {"why_down", about.why_down}};
}

json association_json(const engine::ExplainedSa& sa) {
  return {
      {"protocol", sa.ah ? "ah" : "esp"}, {"spi", sa.spi},         {"algorithms", sa.algorithms}, {"state", sa.state},
      {"namespace", sa.name_space},       {"why_not", sa.why_not}, {"overhead", sa.overhead}};
}

json route_json(const engine::ExplainedRoute& route) {
  return {{"destination", route.destination},
          {"gateway", route.gateway},
          {"interface", route.interface},
          {"error", route.error}};
}

json answer(const Explanation& about, const crypto::AlgorithmTable& table) {
  const config::PolicyPrinter printer{table, nullptr};
  json out = {{"own", about.own},        {"associations", json::array()}, {"acquiring", about.acquiring},
              {"passes", about.passes},  {"clear", about.clear},          {"reason", about.reason},
              {"verdict", about.verdict}};
  out["not_followed"] = about.not_followed;
  if (about.route) out["route"] = route_json(*about.route);
  if (about.outer) out["outer"] = route_json(*about.outer);
  if (about.guard) out["guard"] = {{"network", about.guard->network.str()}, {"tunnels", about.guard->tunnels}};
  if (about.host_rule) out["host_rule"] = rule_json(printer, "", *about.host_rule);
  if (about.tunnel) out["tunnel"] = tunnel_json(about);
  if (about.rule) out["rule"] = rule_json(printer, about.tunnel->name, *about.rule);
  for (const auto& sa : about.sas) out["associations"].push_back(association_json(sa));
  if (about.mtu)
    out["mtu"] = {{"path", about.mtu->path},         {"learned", about.mtu->learned}, {"outer", about.mtu->outer},
                  {"reserved", about.mtu->reserved}, {"pinned", about.mtu->pinned},   {"mtu", about.mtu->mtu},
                  {"largest", about.largest}};
  return out;
}

}  // namespace

// Rules and SPIs are shown to those who may list them: privileged callers.
void add_explain_methods(VarlinkMethods& methods, engine::Engine& engine) {
  methods.describe("io.adit.explain", kDescription);
  using Explain = Result<Explanation> (engine::Explainer::*)(const engine::ExplainRequest&);
  const auto add = [&](const char* method, Explain explain) {
    methods.add(method, Access::write, [&engine, explain](const json& in, const Caller&) -> Result<json> {
      TRY_ASSIGN(const auto request, request_of(in));
      TRY_ASSIGN(const auto explanation, (engine.explainer().*explain)(request));
      return answer(explanation, engine.policy().algorithms());
    });
  };
  add("io.adit.explain.Outbound", &engine::Explainer::explain);
  add("io.adit.explain.Inbound", &engine::Explainer::explain_inbound);
}

}  // namespace adit::protocol
