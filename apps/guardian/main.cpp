// adit-guard: the guardian. Holds what aditd has closed, whatever becomes of aditd.
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "aditd/notify.h"
#include "control/step_log.h"
#include "guard/book/book_file.h"
#include "linux/guard/guardian/guardian.h"
#include "linux/process/cage.h"
#include "linux/process/own_folders.h"
#include "linux/process/privileges.h"
#include "linux/process/reach.h"

namespace adit {
namespace {

constexpr const char* kUsage =
    "usage: adit-guard [-R|--root DIR] [--run DIR]\n"
    "\n"
    "The guardian of Adit's closed networks: makes the guard's routing rule and its two nftables tables, holds one of\n"
    "them itself, and puts back what others break. It works without aditd, outlives it, and is started by it where no\n"
    "service manager does.\n"
    "\n"
    "  -R, --root DIR   the system under DIR (default /, or $ADIT_ROOT)\n"
    "      --run DIR    of its socket and its pid (default ROOT/run/adit, or $ADIT_RUNDIR)\n"
    "      --help, --version\n";

struct Options {
  std::string root, run;
  bool help = false, version = false;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<Options> read_options(const std::vector<std::string>& words) {
  Options options{.root = environment("ADIT_ROOT"), .run = environment("ADIT_RUNDIR")};
  for (size_t at = 0; at < words.size(); ++at) {
    const std::string& word = words[at];
    const bool root = word == "-R" || word == "--root", run = word == "--run";
    if (word == "--help" || word == "-h") {
      options.help = true;
    } else if (word == "--version") {
      options.version = true;
    } else if ((root || run) && at + 1 < words.size()) {
      (root ? options.root : options.run) = words[++at];
    } else {
      return fail(EINVAL, "unknown or incomplete option '{}'", word);
    }
  }
  while (options.root.ends_with('/')) options.root.pop_back();
  if (options.run.empty()) options.run = options.root + "/run/adit";
  return options;
}

guard::BookFiles books_of(const Options& options) {
  return {options.root + "/etc/adit/guard.book", options.run + "/guard.book"};
}

void say(const std::string& sentence) {
  std::cerr << "adit-guard: " + sentence + "\n";  // in one write: others write to the same log
}

// What the book says is closed, and nothing that may carry it: without aditd nothing passes.
Result<std::optional<platform::GuardianBook>> read_book(const Options& options) {
  guard::BookFiles files = books_of(options);
  std::vector<guard::Lines> lines;
  std::optional<Error> unreadable;
  for (guard::BookFile* file : files.all()) {
    auto read = file->load();
    if (!read && read.error().code == EACCES && file == &files.run) continue;  // aditd's users were kept out
    if (!read) {                                                               // as if it were lost
      say(read.error().text);
      unreadable = read.error();
      continue;
    }
    if (*read) lines.push_back(std::move(**read));
  }
  const bool any = !lines.empty();
  if (!any && !unreadable) return std::nullopt;
  if (!any) {
    for (const guard::BookFile* file : files.all()) lines.push_back(file->readable());
    if (std::ranges::all_of(lines, [](const guard::Lines& one) { return one.networks.empty(); }))
      return std::unexpected(*unreadable);
    say("no copy of the guard's book is whole: what its readable lines close is closed, and what stands closed");
  }
  const guard::Book book = guard::book_of(lines);
  platform::GuardianBook said{.plan = {}, .inside = book.inside(), .whole = any};
  said.plan.book = options.root;
  said.plan.generation = book.generation;
  for (const auto& [network, entry] : book.networks()) {
    said.plan.closed[network] = {};
    // The host's own networks that were inside when it closed: they are reachable at boot too.
    said.plan.inside.insert(entry.except.begin(), entry.except.end());
  }
  return said;
}

// SIGHUP: the book is to be read again.
Result<int> hangup_signal() {
  sigset_t hangup;
  sigemptyset(&hangup);
  sigaddset(&hangup, SIGHUP);
  sigprocmask(SIG_BLOCK, &hangup, nullptr);
  const int fd = signalfd(-1, &hangup, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return fail(errno, "cannot wait for signals: {}", std::strerror(errno));
  return fd;
}

// SIGTERM and SIGINT, to be read from a descriptor; nothing else ends it but what cannot be caught.
Result<int> stop_signals() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error as any other
  const int fd = signalfd(-1, &stop, SFD_CLOEXEC);
  if (fd < 0) return fail(errno, "cannot wait for signals: {}", std::strerror(errno));
  return fd;
}

Result<> serve(const Options& options) {
  const SystemClock clock;
  auto steps = engine::StepLog::from_environment("guardian", clock);  // before the cage closes
  TRY_ASSIGN(const int stop, stop_signals());
  TRY_ASSIGN(const int again, hangup_signal());
  auto own = platform::own_user(platform::kGuardianRole);
  platform::GuardianSettings settings;
  settings.daemon = platform::find_user(platform::kDaemonRole.user);
  const std::vector<std::string> folders = {options.root + "/etc/adit", options.run};
  platform::make_reachable(platform::kGuardianRole, own, folders);
  auto missing = platform::share_folders(folders, settings.daemon);
  guard::BookFiles books = books_of(options);
  for (const guard::BookFile* book : books.all()) platform::let_all_read(book->path());
  settings.root = options.root;
  settings.run = options.run;
  settings.say = say;
  if (steps.on())
    settings.opening = [&](const net::Prefix& network) {
      for (const engine::Layer layer : engine::kLayers) steps.layer_opens(layer, network);
    };
  settings.read_book = [options] { return read_book(options); };
  settings.give_up_rights = [&]() -> Result<std::vector<std::string>> {
    if (!own.why_not.empty()) missing.push_back(own.why_not);
    TRY(platform::drop_privileges(platform::kGuardianRole, own.user));
    TRY(platform::forbid_dumps());
    for (auto& sentence : platform::close_cage({.calls = platform::CageRules::Calls::guardian}))
      missing.push_back(std::move(sentence));
    return missing;
  };
  TRY_ASSIGN(const auto guardian, platform::Guardian::start(std::move(settings)));
  notify_service_manager("READY=1");
  guardian->run(stop, again);
  notify_service_manager("STOPPING=1");
  return {};
}

int run(const std::vector<std::string>& words) {
  const auto options = read_options(words);
  if (!options) {
    say(options.error().text + "; see adit-guard --help");
    return 2;
  }
  if (options->help) std::cout << kUsage;
  if (options->version) std::cout << "adit-guard (Adit) " << ADIT_VERSION << "\n";
  if (options->help || options->version) return 0;
  const auto served = serve(*options);
  if (!served) say(served.error().text);
  return served ? 0 : 1;
}

}  // namespace
}  // namespace adit

int main(int count, char** words) {
  return adit::run({words + 1, words + count});
}
