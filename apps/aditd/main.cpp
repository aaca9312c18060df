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
#include "daemon.h"
#include "linux/platform.h"
#include "linux/privileges.h"
#include "options.h"

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
  return event.severity != engine::Severity::info || !event.kind.starts_with("key.");
}

void log_event(const engine::LogEvent& event) {
  if (!is_for_log(event)) return;
  const char* level = event.severity == engine::Severity::alert     ? "alert: "
                      : event.severity == engine::Severity::warning ? "warning: "
                                                                    : "";
  fmt::print(std::cerr, "aditd: {}{}\n", level, event.text);
}

Result<> serve(const Options& options) {
  TRY(platform::check_privileges());
  TRY(check_tun());
  raise_descriptor_limit();
  TRY(platform::drop_privileges());
  TRY(platform::forbid_dumps());
  TRY(require_locked_secrets());
  const SystemClock clock;
  TRY_ASSIGN(const auto platform, platform::make_linux_platform(options.settings.root, options.settings.run_dir));
  engine::Engine engine(options.settings, *platform, clock);
  engine.events().subscribe(log_event);
  Daemon daemon(engine, *platform);
  TRY(engine.start());
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
    std::cerr << "aditd: an error of its own: " << error.what()
              << "; everything stays closed until it is started again\n";
    return 1;
  }
}
