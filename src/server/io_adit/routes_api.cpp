#include "server/io_adit/routes_api.h"

namespace adit::protocol {
namespace {

using engine::Routes;
using nlohmann::json;

constexpr const char* kDescription = R"(# Routes: route(8) and netstat -r.
interface io.adit.routes

# What a command prints: the table and the file each have a line, and each may fail by itself.
type Line (text: string, failed: bool)
type Route (destination: string, gateway: string, flags: string, interface: string, v6: bool, ours: bool, persistent: bool,
  guard: bool, metric: int, table: int)

# words: as behind `route add`: modifiers, destination, gateway
method Add(words: []string, persistent: ?bool, force: ?bool) -> (lines: []Line, notes: []string)
method Delete(words: []string, persistent: ?bool) -> (lines: []Line, notes: []string)
method Change(words: []string, force: ?bool) -> (lines: []Line, notes: []string)
method Get(words: []string) -> (route_to: string, destination: string, mask: string, gateway: string, interface: string,
  flags: string, mtu: int)
# family: inet or inet6; neither: both
method Flush(family: ?string) -> (lines: []Line, notes: []string)
method Persistent() -> (lines: []string)
method Show(family: ?string, all: ?bool) -> (routes: []Route)
)";

Result<std::vector<std::string>> words_parameter(const json& parameters) {
  if (!parameters.contains("words")) return fail(EINVAL, "parameter 'words' must be an array of strings");
  return texts_parameter(parameters, "words");
}

Result<std::optional<net::Family>> family_parameter(const json& parameters) {
  const auto family = optional_text(parameters, "family");
  if (!family) return std::nullopt;
  if (*family == "inet") return net::Family::v4;
  if (*family == "inet6") return net::Family::v6;
  return fail(EINVAL, "parameter family: inet or inet6 is expected");
}

Result<json> answer(const Result<engine::RouteReport>& report) {
  if (!report) return std::unexpected(report.error());
  json lines = json::array();
  for (const engine::RouteLine& line : report->lines) lines.push_back({{"text", line.text}, {"failed", line.failed}});
  return json{{"lines", lines}, {"notes", report->notes}};
}

Result<json> get(const Routes& routes, const json& parameters) {
  TRY_ASSIGN(const auto words, words_parameter(parameters));
  TRY_ASSIGN(const engine::RouteAnswer route, routes.get(words));
  return json{{"route_to", route.route_to},
              {"destination", route.destination},
              {"mask", route.mask},
              {"gateway", route.gateway},
              {"interface", route.interface},
              {"flags", route.flags},
              {"mtu", route.mtu}};
}

Result<json> show(const Routes& routes, const json& parameters) {
  TRY_ASSIGN(const auto family, family_parameter(parameters));
  TRY_ASSIGN(const auto rows, routes.table(family, flag_parameter(parameters, "all")));
  json list = json::array();
  for (const engine::RouteRow& row : rows)
    list.push_back({{"destination", row.destination},
                    {"gateway", row.gateway},
                    {"flags", row.flags},
                    {"interface", row.interface},
                    {"v6", row.v6},
                    {"ours", row.ours},
                    {"persistent", row.persistent},
                    {"guard", row.guard},
                    {"metric", row.metric},
                    {"table", row.table}});
  return json{{"routes", list}};
}

}  // namespace

void add_route_methods(VarlinkMethods& methods, Routes& routes) {
  methods.describe("io.adit.routes", kDescription);
  const auto add = [&](const char* method, Access access, auto handler) {
    methods.add(std::string("io.adit.routes.") + method, access,
                [handler](const json& parameters, const Caller&) -> Result<json> { return handler(parameters); });
  };
  add("Add", Access::write, [&](const json& p) -> Result<json> {
    TRY_ASSIGN(const auto words, words_parameter(p));
    return answer(routes.add(words, flag_parameter(p, "persistent"), flag_parameter(p, "force")));
  });
  add("Delete", Access::write, [&](const json& p) -> Result<json> {
    TRY_ASSIGN(const auto words, words_parameter(p));
    return answer(routes.remove(words, flag_parameter(p, "persistent")));
  });
  add("Change", Access::write, [&](const json& p) -> Result<json> {
    TRY_ASSIGN(const auto words, words_parameter(p));
    return answer(routes.change(words, flag_parameter(p, "force")));
  });
  add("Flush", Access::write, [&](const json& p) -> Result<json> {
    TRY_ASSIGN(const auto family, family_parameter(p));
    return answer(routes.flush(family));
  });
  add("Persistent", Access::read, [&](const json&) -> Result<json> {
    TRY_ASSIGN(const auto lines, routes.persistent_lines());
    return json{{"lines", lines}};
  });
  add("Get", Access::read, [&](const json& p) { return get(routes, p); });
  add("Show", Access::read, [&](const json& p) { return show(routes, p); });
}

}  // namespace adit::protocol
