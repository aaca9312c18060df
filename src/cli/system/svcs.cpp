// svcs(1): the state of services, one line each, whole (-l), or why one does not run (-x).
#include <algorithm>
#include <ctime>
#include <ostream>

#include "base/clock.h"
#include "cli/frame/options.h"
#include "cli/frame/table.h"
#include "cli/system/commands.h"

namespace adit::cli {
namespace {

using nlohmann::json;
using Args = std::span<const std::string>;

constexpr const char* kUsageText =
    "usage: svcs [-aHpv] [-o COLUMN,...] [-s COLUMN] [-S COLUMN] [--json] [FMRI ...]\n"
    "       svcs {-d|-D} [-Hv] [-o COLUMN,...] [-s COLUMN] [-S COLUMN] [--json] [FMRI ...]\n"
    "       svcs -l [--json] FMRI ...\n"
    "       svcs -x [-v] [--json] [FMRI ...]\n"
    "  COLUMN: state, nstate, sta, stime, ctid, fmri, svc, inst, desc\n"
    "  -a  disabled ones too    -d  what they depend on    -D  what depends on them    -l  everything    -x  why not "
    "running\n";

constexpr uint64_t kDaySeconds = 24 * 60 * 60;

std::string text(const json& row, const char* key) {
  return row.at(key).get<std::string>();
}

std::string formatted(uint64_t wall_seconds, const char* format) {
  const auto time = static_cast<time_t>(wall_seconds);
  tm parts{};
  localtime_r(&time, &parts);
  char buffer[64];
  const size_t length = strftime(buffer, sizeof buffer, format, &parts);
  return {buffer, length};
}

std::string since_text(uint64_t since) {
  const uint64_t now = SystemClock().wall_seconds();
  return formatted(since, now < since + kDaySeconds ? "%H:%M:%S" : "%b_%d");
}

int rank_of(const std::string& state) {
  constexpr std::string_view order[] = {"disabled", "online", "degraded", "offline", "maintenance", "uninitialized"};
  return static_cast<int>(std::ranges::find(order, state) - std::begin(order));
}

// A service's row with the columns that svcs knows.
json row_of(const json& service) {
  json row = service;
  const std::string fmri = text(service, "fmri"), name = fmri.substr(sizeof "svc:/" - 1);
  row["stime"] = since_text(service.at("since").get<uint64_t>());
  row["nstate"] = text(service, "next_state") == "none" ? "-" : text(service, "next_state");
  row["ctid"] = "-";
  row["svc"] = name.substr(0, name.find(':'));
  row["inst"] = name.substr(std::min(name.find(':') + 1, name.size()));
  row["desc"] = service.at("name");
  constexpr std::pair<std::string_view, std::string_view> kShort[] = {{"disabled", "DIS"},    {"online", "ON"},
                                                                      {"degraded", "DGD"},    {"offline", "OFF"},
                                                                      {"maintenance", "MNT"}, {"uninitialized", "UN"}};
  for (const auto& [state, sta] : kShort)
    if (state == text(service, "state")) row["sta"] = sta;
  return row;
}

const std::vector<Column>& columns(bool verbose) {
  static const std::vector<Column> plain = {
      {"state", 15},          {"nstate", 15, "", false}, {"sta", 5, "", false},   {"stime", 9}, {"ctid", 7, "", false},
      {"svc", 25, "", false}, {"inst", 15, "", false},   {"desc", 40, "", false}, {"fmri", 0}};
  static const std::vector<Column> wordy = {
      {"state", 15},          {"nstate", 15},          {"sta", 5, "", false},   {"stime", 9}, {"ctid", 7},
      {"svc", 25, "", false}, {"inst", 15, "", false}, {"desc", 40, "", false}, {"fmri", 0}};
  return verbose ? wordy : plain;
}

// The services that the operands mean; what fits none is said, the others are shown all the same.
Result<json> fetch(Context& context, const std::vector<std::string>& operands, bool& missing) {
  json services = json::array();
  if (operands.empty()) {
    TRY_ASSIGN(const json answer, context.call("io.adit.services.List", json::object()));
    return answer.at("services");
  }
  for (const std::string& operand : operands) {
    const auto answer = context.call("io.adit.services.List", {{"fmris", {operand}}});
    if (!answer && answer.error().code != ENOENT) return std::unexpected(answer.error());
    if (!answer) {
      missing = true;
      context.err << context.self << ": " << answer.error().text << '\n';
      continue;
    }
    for (const json& service : answer->at("services"))
      if (std::ranges::none_of(services, [&](const json& have) { return have.at("fmri") == service.at("fmri"); }))
        services.push_back(service);
  }
  return services;
}

// -d and -D: the services at the other end of the dependencies.
Result<json> related(Context& context, const json& services, const char* direction) {
  std::vector<std::string> names;
  for (const json& service : services)
    for (const json& dependency : service.at(direction))
      if (std::ranges::find(names, text(dependency, "fmri")) == names.end()) names.push_back(text(dependency, "fmri"));
  bool missing = false;
  if (names.empty()) return json::array();
  return fetch(context, names, missing);
}

void sort_rows(json& rows, const Options& options) {
  const std::string column = options.value('s').value_or(options.value('S').value_or(""));
  std::stable_sort(rows.begin(), rows.end(), [&](const json& a, const json& b) {
    if (!column.empty() && column != "state") return a.at(column) < b.at(column);
    const auto key = [](const json& row) {
      return std::tuple(rank_of(text(row, "state")), row.at("since").get<uint64_t>(), text(row, "fmri"));
    };
    return key(a) < key(b);
  });
  if (options.has('S')) std::reverse(rows.begin(), rows.end());
}

int print_rows(Context& context, const json& services, const Options& options) {
  json rows = json::array();
  for (const json& service : services) rows.push_back(row_of(service));
  for (const char letter : {'s', 'S'}) {
    const auto column = options.value(letter);
    if (column && std::ranges::find(columns(false), std::string_view(*column), &Column::field) == columns(false).end())
      return context.usage(fmt::format("unknown column '{}'", *column), kUsageText);
  }
  sort_rows(rows, options);
  const auto printed =
      print_table(context.out, columns(options.has('v')), rows,
                  {.header = !options.has('H'), .json = options.has('J'), .fields = options.value('o').value_or("")});
  return printed ? kOk : context.usage(printed.error().text, kUsageText);
}

void print_long(std::ostream& out, const json& service) {
  const auto line = [&](const char* name, const std::string& value) { out << fmt::format("{:<12} {}\n", name, value); };
  line("fmri", text(service, "fmri"));
  line("name", text(service, "name"));
  line("enabled", std::string(service.at("enabled").get<bool>() ? "true" : "false") +
                      (service.at("temporary").get<bool>() ? " (temporary)" : ""));
  line("state", text(service, "state"));
  line("next_state", text(service, "next_state"));
  line("state_time", formatted(service.at("since").get<uint64_t>(), "%a %b %e %H:%M:%S %Y"));
  line("logfile", text(service, "logfile"));
  line("restarter", "svc:/system/svc/restarter:default");
  line("contract_id", "-");
  for (const json& dependency : service.at("dependencies"))
    line("dependency",
         fmt::format("{}/none {} ({})", text(dependency, "kind"), text(dependency, "fmri"), text(dependency, "state")));
}

void print_explanation(std::ostream& out, const json& service) {
  const std::string state = text(service, "state"), reason = text(service, "reason"), impact = text(service, "impact");
  out << fmt::format("{} ({})\n", text(service, "fmri"), text(service, "name"));
  out << fmt::format(" State: {} since {}\n", state,
                     formatted(service.at("since").get<uint64_t>(), "%a %b %e %H:%M:%S %Y"));
  if (!reason.empty()) out << "Reason: " << reason << '\n';
  if (!text(service, "manual").empty()) out << "   See: " << text(service, "manual") << '\n';
  out << "   See: " << text(service, "logfile") << '\n';
  out << "Impact: " << (impact.empty() ? "None." : impact) << '\n';
}

// Without operands: those that should run and do not.
int explain(Context& context, const json& services, bool all, bool as_json) {
  json wanted = json::array();
  for (const json& service : services) {
    const std::string state = text(service, "state");
    const bool trouble = state == "maintenance" ||
                         ((state == "offline" || state == "uninitialized") && service.at("enabled").get<bool>());
    if (all || trouble) wanted.push_back(service);
  }
  if (as_json) {
    context.out << wanted.dump(2) << '\n';
    return kOk;
  }
  for (const json& service : wanted) {
    if (&service != &wanted.front()) context.out << '\n';
    print_explanation(context.out, service);
  }
  return kOk;
}

}  // namespace

int cmd_svcs(Context& context, Args args) {
  static const std::vector<Option> known = {{'a', ""},       {'H', ""},       {'p', ""},    {'v', ""}, {'o', "", true},
                                            {'s', "", true}, {'S', "", true}, {'d', ""},    {'D', ""}, {'l', ""},
                                            {'x', ""},       {'J', "json"},   {'h', "help"}};
  const auto options = Options::parse(args, known);
  if (!options) return context.usage(options.error().text, kUsageText);
  if (options->has('h')) {
    context.out << kUsageText;
    return kOk;
  }
  if (options->has('d') + options->has('D') + options->has('l') + options->has('x') > 1)
    return context.usage("-d, -D, -l and -x exclude each other", kUsageText);
  const auto& operands = options->operands();
  if (options->has('l') && operands.empty()) return context.usage("-l needs an FMRI", kUsageText);
  bool missing = false;
  auto services = fetch(context, operands, missing);
  if (!services) return context.failed("", services.error());
  if (missing && services->empty()) return kFailed;

  int status = kOk;
  if (options->has('x')) {
    status = explain(context, *services, !operands.empty(), options->has('J'));
  } else if (options->has('l') && options->has('J')) {
    context.out << services->dump(2) << '\n';
  } else if (options->has('l')) {
    for (const json& service : *services) {
      if (&service != &services->front()) context.out << '\n';
      print_long(context.out, service);
    }
  } else {
    if (options->has('d') || options->has('D')) {
      services = related(context, *services, options->has('d') ? "dependencies" : "dependents");
      if (!services) return context.failed("", services.error());
    } else if (operands.empty() && !options->has('a')) {
      json running = json::array();
      std::ranges::copy_if(*services, std::back_inserter(running),
                           [](const json& service) { return text(service, "state") != "disabled"; });
      services = running;
    }
    status = print_rows(context, *services, *options);
  }
  return status == kOk && missing ? kFailed : status;
}

}  // namespace adit::cli
