// io.adit.guard
#include "engine/guard.h"
#include "protocol/engine_api.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

constexpr const char* kDescription =
    R"(# The networks that only their secured tunnels may reach (invariant I7), and what tried otherwise.
interface io.adit.guard

# tunnels: those that exist; none: closed until the operator opens it. stopped_*: packets stopped beside the tunnel, the leak witness.
type Network (network: string, tunnels: []string, reasons: []string, stopped_packets: int, stopped_out: int, stopped_in: int)

method List() -> (networks: []Network)
# Opens a network that delete-iptun -k kept closed, or that a dead tunnel left behind.
method Open(network: string) -> ()
error io.adit.Failed (code: int, text: string)
)";

json network_json(const engine::GuardInfo& info) {
  return {{"network", info.network.str()},   {"tunnels", info.tunnels},
          {"reasons", info.reasons},         {"stopped_packets", info.stopped_out + info.stopped_in},
          {"stopped_out", info.stopped_out}, {"stopped_in", info.stopped_in}};
}

}  // namespace

void add_guard_methods(VarlinkMethods& methods, engine::Engine& engine) {
  methods.describe("io.adit.guard", kDescription);
  methods.add("io.adit.guard.List", Access::read, [&engine](const json&, const Caller&) -> Result<json> {
    engine.guard().poll_leaks();
    json rows = json::array();
    for (const engine::GuardInfo& info : engine.guard().list()) rows.push_back(network_json(info));
    return json{{"networks", rows}};
  });
  methods.add("io.adit.guard.Open", Access::write, [&engine](const json& in, const Caller&) -> Result<json> {
    TRY_ASSIGN(const std::string text, text_parameter(in, "network"));
    TRY_ASSIGN(const net::Prefix network, net::Prefix::parse(text));
    TRY(engine.guard().open(network));
    return json::object();
  });
}

}  // namespace adit::protocol
