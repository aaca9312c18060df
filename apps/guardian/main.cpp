// adit-guard: the guardian. Holds what aditd has closed, whatever becomes of aditd.
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "aditd/notify.h"
#include "linux/guardian.h"
#include "linux/privileges.h"

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

void say(const std::string& sentence) {
  std::cerr << "adit-guard: " << sentence << std::endl;
}

// SIGTERM and SIGINT, to be read from a descriptor; nothing else ends it but what cannot be caught.
Result<int> stop_signals() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  const int fd = signalfd(-1, &stop, SFD_CLOEXEC);
  if (fd < 0) return fail(errno, "cannot wait for signals: {}", std::strerror(errno));
  return fd;
}

Result<> serve(const Options& options) {
  TRY_ASSIGN(const int stop, stop_signals());
  (void)::mkdir(options.run.c_str(), 0755);
  platform::GuardianSettings settings;
  settings.root = options.root;
  settings.run = options.run;
  settings.say = say;
  TRY_ASSIGN(const auto guardian, platform::Guardian::start(std::move(settings)));
  TRY(platform::keep_net_admin_only());
  notify_service_manager("READY=1");
  guardian->run(stop);
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
