// aditd: the part of Adit that has privilege.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <iostream>

#include <fmt/ostream.h>

#include "base/secret.h"
#include "control/run_lock.h"
#include "daemon.h"
#include "linux/guard/guardian/guardian_client.h"
#include "linux/host/linux_platform.h"
#include "linux/launcher/launcher.h"
#include "linux/process/privileges.h"
#include "linux/process/reach.h"
#include "options.h"
#include "own_files.h"

namespace adit {
namespace {

// A tunnel holds a descriptor a worker. Before privileges go: with CAP_SYS_RESOURCE the hard limit rises too.
void raise_descriptor_limit() {
  constexpr rlim_t kWanted = 524'288;  // 10,000 tunnels of 50 workers
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlimit more{std::max(kWanted, limit.rlim_max), std::max(kWanted, limit.rlim_max)};
  if (::setrlimit(RLIMIT_NOFILE, &more) == 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<> check_tun() {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return fail(errno,
                "cannot open /dev/net/tun: {}; load the module (`modprobe tun`), or give the container the device "
                "(--device /dev/net/tun)",
                std::strerror(errno));
  ::close(fd);
  return {};
}

// Security associations come and go by the thousand: they are for subscribers.
bool is_for_log(const engine::LogEvent& event) {
  return event.severity != engine::Severity::info || !name_of(event.kind).starts_with("key.");
}

void log_event(const engine::LogEvent& event) {
  if (!is_for_log(event)) return;
  const char* level = event.severity == engine::Severity::alert     ? "alert: "
                      : event.severity == engine::Severity::warning ? "warning: "
                                                                    : "";
  fmt::print(std::cerr, "aditd: {}{}\n", level, event.text);
}

// Before anything of one that works here is touched; the engine takes the lock for good.
Result<> leave_another_alone(const engine::Settings& settings) {
  const auto lock = engine::RunLock::take(settings.run_dir);
  return lock || lock.error().code != EBUSY ? Result<>{} : std::unexpected(lock.error());
}

// Everything that needs root's powers, in this order; afterwards they are gone, and the cage is closed. Nothing that
// others sent was read before. What remains open is told and shows in `adit status`.
Result<platform::PlatformSettings> enter_cage(const engine::Settings& settings) {
  TRY(platform::check_privileges());
  TRY(check_tun());
  TRY(leave_another_alone(settings));
  raise_descriptor_limit();
  auto own = platform::own_user(platform::kDaemonRole);
  platform::PlatformSettings made{.root = settings.root, .run_dir = settings.run_dir};
  TRY_ASSIGN(made.launcher,
             platform::Launcher::start({platform::guardian_words(settings.root, settings.run_dir), own.user}));
  const auto folders = own_folders(settings);
  platform::make_reachable(platform::kDaemonRole, own, folders.all());
  made.missing = platform::take_over(folders, own.user);
  if (!own.why_not.empty()) made.missing.push_back(own.why_not);
  TRY(platform::drop_privileges(platform::kDaemonRole, own.user));
  TRY(platform::forbid_dumps());
  for (auto& sentence : platform::close_cage(cage_rules(settings))) made.missing.push_back(std::move(sentence));
  return made;
}

Result<> serve(const Options& options) {
  const SystemClock clock;
  auto steps = engine::StepLog::from_environment("aditd", clock);  // before the cage closes
  TRY_ASSIGN(auto entered, enter_cage(options.settings));
  TRY(require_locked_secrets());
  const auto launcher = entered.launcher;
  TRY_ASSIGN(const auto platform, platform::make_linux_platform(std::move(entered)));
  engine::Engine engine(options.settings, *platform, clock, nullptr, std::move(steps));
  engine.events().subscribe(log_event);
  Daemon daemon(engine, *platform);
  if (auto started = engine.start(); !started) {
    (void)launcher->start_guardian();  // closes what it can read; one that runs already stays
    return started;
  }
  TRY(daemon.open());
  daemon.run();
  engine.stop();
  return {};
}

int run(int argc, char** argv) {
  const auto options = read_options({argv + 1, static_cast<size_t>(argc - 1)});
  if (!options) {
    fmt::print(std::cerr, "aditd: {}\n{}", options.error().text, kUsage);
    return 2;
  }
  if (options->help || options->version) {
    std::cout << (options->help ? std::string(kUsage) : fmt::format("aditd {}\n", ADIT_VERSION));
    return 0;
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error as any other
  ::umask(022);
  if (const auto served = serve(*options); !served) {
    fmt::print(std::cerr, "aditd: {}\n", served.error().text);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace adit

int main(int argc, char** argv) {
  try {
    return adit::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "aditd: internal error: " << error.what() << "; everything stays closed until it is started again\n";
    return 1;
  }
}
