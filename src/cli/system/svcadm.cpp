// svcadm(8): enable, disable, restart, refresh, clear, mark. aditd acts before it answers, so there is nothing to wait
// for.
#include <algorithm>
#include <ostream>

#include "cli/frame/options.h"
#include "cli/system/commands.h"

namespace adit::cli {
namespace {

using nlohmann::json;
using Args = std::span<const std::string>;

constexpr const char* kUsageText =
    "usage: svcadm [-v] enable [-rst] FMRI ...      -r with what it depends on, -s wait, -t until aditd starts anew\n"
    "       svcadm [-v] disable [-st] [-c COMMENT] FMRI ...\n"
    "       svcadm [-v] restart [-s] FMRI ...       the same atomic replacement as refresh\n"
    "       svcadm [-v] refresh [-s] FMRI ...\n"
    "       svcadm [-v] clear [-s] FMRI ...\n"
    "       svcadm [-v] mark [-It] maintenance|degraded FMRI ...\n"
    "  FMRI: svc:/network/ipsec/policy:default, a trailing part of it (ipsec/policy, policy), or a glob\n"
    "exit status: 0 done, 1 failed, 2 usage; with -s: 3 the service needs an administrator, 4 what it depends on "
    "does\n";

constexpr int kNeedsAdministrator = 3, kDependencyNeedsAdministrator = 4;

struct Action {
  std::string_view name;
  const char* method;
  std::vector<Option> options;
  std::string_view reached;  // -s waits for it
};

const std::vector<Action>& actions() {
  static const std::vector<Action> list = {
      {"enable", "Enable", {{'r', ""}, {'s', ""}, {'t', ""}}, "online"},
      {"disable", "Disable", {{'s', ""}, {'t', ""}, {'c', "", true}}, "disabled"},
      {"restart", "Restart", {{'d', ""}, {'s', ""}}, "online"},
      {"refresh", "Refresh", {{'s', ""}}, "online"},
      {"clear", "Clear", {{'s', ""}}, "online"},
      {"mark", "Mark", {{'I', ""}, {'t', ""}}, ""},
  };
  return list;
}

// -s: what became of each service that was meant.
int reached(Context& context, const json& services, std::string_view state) {
  int worst = kOk;
  for (const json& service : services) {
    const std::string now = service.at("state").get<std::string>();
    if (now == state || (state == "online" && now == "degraded")) continue;
    context.err << fmt::format("{}: Instance \"{}\" is {}: {}\n", context.self, service.at("fmri").get<std::string>(),
                               now, service.at("reason").get<std::string>());
    worst = std::max(worst, now == "offline" ? kDependencyNeedsAdministrator : kNeedsAdministrator);
  }
  return worst;
}

int act(Context& context, const Action& action, Args args, bool verbose) {
  const auto options = Options::parse(args, action.options);
  if (!options) return context.usage(options.error().text, kUsageText);
  std::vector<std::string> fmris = options->operands();
  json parameters = {{"temporary", options->has('t')}, {"recursive", options->has('r')}};
  if (action.name == "mark") {
    if (fmris.empty() || (fmris[0] != "maintenance" && fmris[0] != "degraded"))
      return context.usage("maintenance or degraded is expected behind mark", kUsageText);
    parameters["state"] = fmris[0];
    fmris.erase(fmris.begin());
  }
  if (fmris.empty()) return context.usage("an FMRI is missing", kUsageText);
  parameters["fmris"] = fmris;
  const auto answer = context.call(std::string("io.adit.services.") + action.method, parameters);
  if (!answer) return context.failed("", answer.error());
  if (verbose)
    for (const json& sentence : answer->at("done")) context.out << sentence.get<std::string>() << '\n';
  for (const json& error : answer->at("errors"))
    context.err << context.self << ": " << error.get<std::string>() << '\n';
  if (!answer->at("errors").empty()) return kFailed;
  return options->has('s') ? reached(context, answer->at("services"), action.reached) : kOk;
}

}  // namespace

int cmd_svcadm(Context& context, Args args) {
  bool verbose = false;
  while (!args.empty() && args[0] == "-v") {
    verbose = true;
    args = args.subspan(1);
  }
  if (args.empty()) return context.usage("an action is missing", kUsageText);
  if (std::ranges::any_of(args, [](const std::string& word) { return word == "--help"; }) || args[0] == "-h" ||
      args[0] == "help") {
    context.out << kUsageText;
    return kOk;
  }
  const auto found = std::ranges::find(actions(), std::string_view(args[0]), &Action::name);
  if (found == actions().end()) return context.usage(fmt::format("unknown action '{}'", args[0]), kUsageText);
  return act(context, *found, args.subspan(1), verbose);
}

}  // namespace adit::cli
