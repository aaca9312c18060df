// io.adit.guard
#include "guard/guard.h"
#include "server/io_adit/engine_api.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

constexpr const char* kDescription =
    R"(# The networks that only their secured tunnels may reach (invariant I7), and what tried otherwise.
interface io.adit.guard

# tunnels: those that exist; none: closed until the operator opens it. stopped_*: packets stopped beside the tunnel, the leak witness.
type Network (network: string, tunnels: []string, reasons: []string, stopped_packets: int, stopped_out: int, stopped_in: int)

# rule, lasting, owned: the layers that stand; off: none is raised in this boot, by adit.guard=off on the kernel's command line;
# trouble: why one does not stand, or empty. cut_off: networks of interfaces of this host that a
# closed network cuts off. inside: interfaces whose networks are reachable although a wider network is closed.
type State (rule: bool, lasting: bool, owned: bool, off: bool, trouble: string, inside: []string, cut_off: []CutOff)
type CutOff (network: string, interface: string)

method List() -> (networks: []Network, state: State)
# Opens a network that delete-iptun -k kept closed, that a rule named, or that a dead tunnel left behind.
method Open(network: string) -> ()
# Closes a network but for a secured tunnel; no route or rule is needed.
method Close(network: string, tunnel: string) -> ()
# The networks of an interface are reachable although a wider network is closed (inside: true), or no longer.
method Inside(interface: string, inside: bool) -> ()
# Whether these closings would cut off who comes from that address: why, or an empty sentence. Nothing changes.
method WouldCut(session: string, closings: []Closing) -> (sentence: string)
type Closing (network: string, tunnel: string)
error io.adit.Failed (code: int, text: string)
)";

json network_json(const engine::GuardInfo& info) {
  return {{"network", info.network.str()},   {"tunnels", info.tunnels},
          {"reasons", info.reasons},         {"stopped_packets", info.stopped_out + info.stopped_in},
          {"stopped_out", info.stopped_out}, {"stopped_in", info.stopped_in}};
}

json state_json(const engine::Guard& guard) {
  const platform::GuardState state = guard.state();
  json cut = json::array();
  for (const auto& [network, interface] : guard.cut_off())
    cut.push_back({{"network", network.str()}, {"interface", interface}});
  return {{"rule", state.rule},          {"lasting", state.lasting}, {"owned", state.owned},
          {"off", guard.switched_off()}, {"trouble", state.trouble}, {"inside", guard.book().inside()},
          {"cut_off", std::move(cut)}};
}

Result<net::Prefix> network_in(const json& in) {
  TRY_ASSIGN(const std::string text, text_parameter(in, "network"));
  return net::Prefix::parse(text);
}

constexpr size_t kMostClosings = 100'000;

Result<json> would_cut(engine::Guard& guard, const json& in) {
  TRY_ASSIGN(const std::string session, text_parameter(in, "session"));
  TRY_ASSIGN(const net::Address from, net::Address::parse(session));
  const auto closings = in.find("closings");
  if (closings == in.end() || !closings->is_array() || closings->size() > kMostClosings)
    return fail(EINVAL, "parameter 'closings' must be an array of at most {} closings", kMostClosings);
  std::vector<engine::GuardHold> holds;
  for (const json& closing : *closings) {
    if (!closing.is_object()) return fail(EINVAL, "parameter 'closings' must be an array of closings");
    TRY_ASSIGN(const net::Prefix network, network_in(closing));
    TRY_ASSIGN(const std::string tunnel, text_parameter(closing, "tunnel"));
    holds.push_back({network, tunnel, engine::GuardSource::policy});
  }
  return json{{"sentence", guard.would_cut(from, holds)}};
}

}  // namespace

void add_guard_methods(VarlinkMethods& methods, engine::Engine& engine) {
  methods.describe("io.adit.guard", kDescription);
  methods.add("io.adit.guard.List", Access::read, [&engine](const json&, const Caller& caller) -> Result<json> {
    if (caller.privileged()) engine.guard().poll_leaks();  // others see the figures of some seconds ago
    json rows = json::array();
    for (const engine::GuardInfo& info : engine.guard().list()) rows.push_back(network_json(info));
    return json{{"networks", rows}, {"state", state_json(engine.guard())}};
  });
  methods.add("io.adit.guard.Open", Access::write, [&engine](const json& in, const Caller&) -> Result<json> {
    TRY_ASSIGN(const net::Prefix network, network_in(in));
    TRY(engine.guard().open(network));
    return json::object();
  });
  methods.add("io.adit.guard.Close", Access::write, [&engine](const json& in, const Caller&) -> Result<json> {
    TRY_ASSIGN(const net::Prefix network, network_in(in));
    TRY_ASSIGN(const std::string tunnel, text_parameter(in, "tunnel"));
    TRY(engine.guard().close(network, tunnel));
    return json::object();
  });
  // `session` is what it asks about, and closes nothing.
  methods.add("io.adit.guard.WouldCut", Access::write,
              [&engine](const json& in, const Caller&) { return would_cut(engine.guard(), in); });
  methods.add("io.adit.guard.Inside", Access::write, [&engine](const json& in, const Caller&) -> Result<json> {
    TRY_ASSIGN(const std::string interface, text_parameter(in, "interface"));
    TRY(engine.guard().set_inside(interface, flag_parameter(in, "inside")));
    return json::object();
  });
}

}  // namespace adit::protocol
