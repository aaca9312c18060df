// adit guard: the networks that only their secured tunnels may reach; and at boot, before any daemon, their two layers.
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <ostream>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/table.h"

namespace adit::cli {
namespace {

using nlohmann::json;

constexpr const char* kUsageText =
    "usage: adit guard [list] [--json]\n"
    "       adit guard open NETWORK\n"
    "       adit guard restore\n"
    "  list     what is closed but for its tunnels, why, and how many packets tried otherwise\n"
    "  open     opens a network that 'dladm delete-iptun -k' kept closed, or that a dead tunnel left\n"
    "  restore  at boot: closes again what was closed, from the saved files and without the daemon\n";

constexpr const char* kRoutesFile = "/etc/adit/guard.routes";
constexpr const char* kTableFile = "/etc/adit/guard.nft";

std::string joined(const json& words) {
  std::string text;
  for (const json& word : words) text += (text.empty() ? "" : ", ") + word.get<std::string>();
  return text;
}

int list(Context& context, const Options& options) {
  static const std::vector<Column> columns = {{"network", 30},
                                              {"tunnels", 20, "", true, "none: closed"},
                                              {"stopped", 8, "stopped_packets"},
                                              {"because", 0, "reasons"}};
  const auto answer = context.call("io.adit.guard.List", json::object());
  if (!answer) return context.failed("", answer.error());
  json rows = answer->at("networks");
  if (!options.has('J'))
    for (json& row : rows) {
      row["tunnels"] = joined(row.at("tunnels"));
      row["reasons"] = joined(row.at("reasons"));
    }
  const auto printed = print_table(context.out, columns, rows, {.json = options.has('J')});
  return printed ? kOk : context.failed("", printed.error());
}

int open_network(Context& context, const std::string& network) {
  const auto answer = context.call("io.adit.guard.Open", {{"network", network}});
  return answer ? kOk : context.failed(fmt::format("could not open {}", network), answer.error());
}

// Runs a program with standard input from /dev/null; its errors go to ours.
Result<> run_program(const std::vector<std::string>& words) {
  const pid_t child = ::fork();
  if (child < 0) return fail(errno, "cannot start {}: {}", words[0], std::strerror(errno));
  if (child == 0) {
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status == 0) return {};
  return fail(EIO, "{} ended with status {}{}", words[0],
              WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
              WIFEXITED(status) && WEXITSTATUS(status) == 127 ? " (is it installed?)" : "");
}

// nftables first: it holds whatever routes there are. A layer that fails does not keep the other from standing.
int restore(Context& context) {
  int status = kOk;
  const std::string table = context.path(kTableFile);
  std::ifstream text(table);
  if (const int first = text.get(); first != EOF) {
    const auto loaded = run_program(first == '{' ? std::vector<std::string>{"nft", "-j", "-f", table}
                                                 : std::vector<std::string>{"nft", "-f", table});
    if (!loaded) status = context.failed("the nftables layer of the guard was not restored", loaded.error());
  }
  const std::string routes = context.path(kRoutesFile);
  if (::access(routes.c_str(), F_OK) == 0) {
    const auto loaded = run_program({"ip", "-force", "-batch", routes});
    if (!loaded) status = context.failed("the unreachable routes of the guard were not restored", loaded.error());
  }
  return status;
}

}  // namespace

int cmd_guard(Context& context, std::span<const std::string> args) {
  const std::vector<Option> known = {{'J', "json"}, {'h', "help"}};
  const auto options = Options::parse(args, known);
  if (!options) return context.usage(options.error().text, kUsageText);
  if (options->has('h')) {
    context.out << kUsageText;
    return kOk;
  }
  const auto& words = options->operands();
  if (words.empty() || (words.size() == 1 && words[0] == "list")) return list(context, *options);
  if (words.size() == 2 && words[0] == "open") return open_network(context, words[1]);
  if (words.size() == 1 && words[0] == "restore") return restore(context);
  return context.usage(fmt::format("'{}' is not a form of this command", words[0]), kUsageText);
}

}  // namespace adit::cli
