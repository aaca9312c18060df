// adit status: tunnels, guard and recent alerts on one page.
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "cli/frame/options.h"
#include "cli/frame/table.h"
#include "cli/system/commands.h"

namespace adit::cli {
namespace {

using nlohmann::json;

constexpr const char* kStatusUsage = "usage: adit status [--json]\n";

std::string join(const json& words) {
  std::string text;
  for (const json& word : words) text += (text.empty() ? "" : ",") + word.get<std::string>();
  return text;
}

// The tunnels' part of show-link: the host's other interfaces do not belong here. What passes clear text is called so,
// whatever else is the matter with it.
Result<json> tunnels(Context& context) {
  TRY_ASSIGN(const json answer, context.call("io.adit.links.ShowLink", json::object()));
  json rows = json::array();
  for (const json& link : answer.at("links"))
    if (link.at("class") == "iptun") rows.push_back(link);
  for (json& row : rows)
    if (row.value("open", false)) row["state"] = "OPEN";
  return rows;
}

Result<json> guarded(Context& context) {
  return context.call("io.adit.guard.List", json::object());
}

Result<json> alerts(Context& context) {
  TRY_ASSIGN(const json answer, context.call("io.adit.events.Notable", json::object()));
  return answer.at("events");
}

Result<json> missing(Context& context) {
  TRY_ASSIGN(const json answer, context.call("io.adit.events.Missing", json::object()));
  return answer.at("sentences");
}

const std::vector<Column> kTunnelColumns = {{"link", 16, "name"}, {"state", 7},     {"mtu", 6},
                                            {"ipackets", 10},     {"opackets", 10}, {"why", 0, "why", true, ""}};
const std::vector<Column> kGuardColumns = {{"network", 30},
                                           {"tunnels", 20, "", true, "none: closed"},
                                           {"stopped", 8, "stopped_packets"},
                                           {"because", 0, "reasons"}};

json tunnel_rows(const json& links) {
  json rows = links;
  for (json& row : rows) {
    std::vector<std::string> reasons;
    for (const char* key : {"why_open", "why_down"})
      if (std::string reason = row.value(key, ""); !reason.empty()) reasons.push_back(std::move(reason));
    row["why"] = fmt::format("{}", fmt::join(reasons, "; "));
  }
  return rows;
}

Result<json> guard_rows(const json& networks) {
  json rows = networks;
  for (json& row : rows) {
    row["tunnels"] = join(row.at("tunnels"));
    row["reasons"] = join(row.at("reasons"));
  }
  return rows;
}

Result<> print_status(Context& context, bool as_json) {
  TRY_ASSIGN(const json links, tunnels(context));
  TRY_ASSIGN(const json guard, guarded(context));
  const json& networks = guard.at("networks");
  TRY_ASSIGN(const json events, alerts(context));
  TRY_ASSIGN(const json lacks, missing(context));
  const bool off = guard.value("state", json::object()).value("off", false);
  if (as_json) {
    const json all = {
        {"tunnels", links}, {"guard", networks}, {"guard_off", off}, {"alerts", events}, {"missing", lacks}};
    context.out << all.dump(2) << '\n';
    return {};
  }
  TRY(print_table(context.out, kTunnelColumns, tunnel_rows(links), {}));
  TRY_ASSIGN(const json rows, guard_rows(networks));
  context.out << (off ? "\nIn the guard's book, and NOT closed (adit.guard=off):\n"
                      : "\nClosed but for their tunnels:\n");
  TRY(print_table(context.out, kGuardColumns, rows, {}));
  if (!lacks.empty()) context.out << "\nMissing now:\n";
  for (const json& sentence : lacks) context.out << fmt::format("  {}\n", sentence.get<std::string>());
  if (!events.empty()) context.out << "\nWarnings and alerts (adit monitor -a 0 shows all events):\n";
  for (const json& event : events)
    context.out << fmt::format("  {} {}\n", event.at("subject").get<std::string>(),
                               event.at("text").get<std::string>());
  return {};
}

}  // namespace

int cmd_status(Context& context, std::span<const std::string> args) {
  const std::vector<Option> known = {{'J', "json"}, {'h', "help"}};
  const auto options = Options::parse(args, known);
  if (!options || !options->operands().empty())
    return context.usage(options ? "too many operands" : options.error().text, kStatusUsage);
  if (options->has('h')) {
    context.out << kStatusUsage;
    return kOk;
  }
  const auto printed = print_status(context, options->has('J'));
  return printed ? kOk : context.failed("", printed.error());
}

}  // namespace adit::cli
