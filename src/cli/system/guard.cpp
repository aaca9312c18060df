// adit guard: the networks that only their secured tunnels may reach; and without any daemon, for the operator at the
// console: what the book says, and opening.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <ostream>

#include "base/text.h"
#include "cli/frame/options.h"
#include "cli/frame/table.h"
#include "cli/system/commands.h"
#include "guard/book/book_file.h"

namespace adit::cli {
namespace {

using nlohmann::json;

constexpr const char* kUsageText =
    "usage: adit guard [list] [--json]\n"
    "       adit guard open [--offline] NETWORK\n"
    "       adit guard close NETWORK TUNNEL\n"
    "       adit guard inside INTERFACE\n"
    "       adit guard outside INTERFACE\n"
    "       adit guard restore\n"
    "  list     what is closed but for its tunnels, why, and how many packets tried otherwise\n"
    "  open     opens a network that 'dladm delete-iptun -k' kept closed, that a rule named, or that a lost tunnel "
    "left;\n"
    "           works without aditd too; --offline: only writes it down for the next start\n"
    "  close    closes a network but for a secured tunnel\n"
    "  inside   the networks of an interface, present and future, are reachable although a wider network is closed\n"
    "  outside  no longer\n"
    "  restore  at boot: the host's own rules again, from the saved file and without the daemon\n";

constexpr const char* kTableFile = "/etc/adit/guard.nft";

std::string text_of(const json& word) {
  return word.get<std::string>();
}

// What is not as it should be, and what others' networks it cuts off.
void tell_state(Context& context, const json& state) {
  if (const std::string trouble = state.value("trouble", ""); !trouble.empty())
    context.err << context.self << ": " << (state.value("off", false) ? "" : "a layer of the guard does not stand: ")
                << trouble << "\n";
  const auto cut = state.find("cut_off");
  if (cut == state.end() || !cut->is_array()) return;
  for (const json& one : *cut) {
    const std::string network = one.value("network", ""), interface = one.value("interface", "");
    context.err << context.self << ": " << network << ", on "
                << interface << ", lies in a closed network; 'adit guard inside "
                << interface << "' makes it reachable\n";
  }
}

int list(Context& context, const Options& options) {
  static const std::vector<Column> columns = {{"network", 30},
                                              {"tunnels", 20, "", true, "none: closed"},
                                              {"stopped", 8, "stopped_packets"},
                                              {"because", 0, "reasons"}};
  const auto answer = context.call("io.adit.guard.List", json::object());
  if (!answer) return context.failed("", answer.error());
  json rows = answer->at("networks");
  if (!options.has('J')) tell_state(context, answer->value("state", json::object()));
  if (!options.has('J'))
    for (json& row : rows) {
      row["tunnels"] = joined(row.at("tunnels"), ", ", text_of);
      row["reasons"] = joined(row.at("reasons"), ", ", text_of);
    }
  const auto printed = print_table(context.out, columns, rows, {.json = options.has('J')});
  return printed ? kOk : context.failed("", printed.error());
}

// Writes the opening down in every copy; what is broken in a copy does not keep the operator from opening.
Result<> record_opening(const Context& context, const net::Prefix& network) {
  guard::BookFiles files(context.path("/etc/adit/guard.book"), context.socket("guard.book"));
  std::vector<guard::Lines> read;
  std::vector<guard::BookFile*> there;
  for (guard::BookFile* file : files.all()) {
    auto lines = file->load();
    if (!lines || !*lines) continue;
    there.push_back(file);
    read.push_back(std::move(**lines));
  }
  const guard::Book book = guard::book_of(read);
  if (!book.holds(network)) return fail(ENOENT, "{} is not guarded", network.str());
  const guard::Line line{.network = network.masked(),
                         .interface = {},
                         .generation = book.generation + 1,
                         .entry = {},
                         .because = "guard open without aditd"};
  for (guard::BookFile* file : there) TRY(file->append({line}, [&]() -> const guard::Book& { return book; }));
  return {};
}

// Tells a guardian without aditd that the book changed.
bool tell_guardian(const Context& context) {
  std::ifstream file(context.socket("adit-guard.pid"));
  pid_t pid = 0;
  return (file >> pid) && pid > 1 && ::kill(pid, SIGHUP) == 0;
}

int open_without_daemon(Context& context, const net::Prefix& network, bool offline) {
  if (::geteuid() != 0) return context.failed("", {EPERM, "only root opens what is closed"});
  if (const auto recorded = record_opening(context, network); !recorded)
    return context.failed(fmt::format("could not open {}", network.str()), recorded.error());
  if (offline) {
    context.err << context.self << ": " << network.str() << " opens at the next start of aditd\n";
    return kOk;
  }
  context.err << context.self << ": aditd does not answer; "
              << (tell_guardian(context) ? "the guardian was told" : "no guardian runs: it opens at the next start")
              << "\n";
  return kOk;
}

bool daemon_answers(Context& context) {
  return context.call("org.varlink.service.GetInfo", json::object()).has_value();
}

int open_network(Context& context, const std::string& text, bool offline) {
  const auto network = net::Prefix::parse(text);
  if (!network) return context.failed(fmt::format("could not open {}", text), network.error());
  if (offline || !daemon_answers(context)) return open_without_daemon(context, *network, offline);
  const auto answer = context.call("io.adit.guard.Open", {{"network", text}});
  return answer ? kOk : context.failed(fmt::format("could not open {}", text), answer.error());
}

int close_network(Context& context, const std::string& network, const std::string& tunnel) {
  const auto answer = context.call("io.adit.guard.Close", {{"network", network}, {"tunnel", tunnel}});
  return answer ? kOk : context.failed(fmt::format("could not close {}", network), answer.error());
}

int set_inside(Context& context, const std::string& interface, bool inside) {
  const auto answer = context.call("io.adit.guard.Inside", {{"interface", interface}, {"inside", inside}});
  return answer ? kOk : context.failed(interface, answer.error());
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

// The guard itself is the guardian's at boot (adit-guard(8)).
int restore(Context& context) {
  const std::string table = context.path(kTableFile);
  std::ifstream text(table);
  if (const int first = text.get(); first == EOF) return kOk;
  const auto loaded = run_program({"nft", "-j", "-f", table});
  return loaded ? kOk : context.failed("the host's own rules were not restored", loaded.error());
}

}  // namespace

int cmd_guard(Context& context, std::span<const std::string> args) {
  const std::vector<Option> known = {{'J', "json"}, {'h', "help"}, {'O', "offline"}};
  const auto options = Options::parse(args, known);
  if (!options) return context.usage(options.error().text, kUsageText);
  if (options->has('h')) {
    context.out << kUsageText;
    return kOk;
  }
  const auto& words = options->operands();
  if (words.empty() || (words.size() == 1 && words[0] == "list")) return list(context, *options);
  if (words.size() == 2 && words[0] == "open") return open_network(context, words[1], options->has('O'));
  if (words.size() == 3 && words[0] == "close") return close_network(context, words[1], words[2]);
  if (words.size() == 2 && (words[0] == "inside" || words[0] == "outside"))
    return set_inside(context, words[1], words[0] == "inside");
  if (words.size() == 1 && words[0] == "restore") return restore(context);
  return context.usage(fmt::format("'{}' is not a form of this command", words[0]), kUsageText);
}

}  // namespace adit::cli
