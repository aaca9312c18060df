#include "linux/process/detached.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

namespace adit::platform {
namespace {

// In a forked child of a process that may have threads: system calls only.
[[noreturn]] void become(const char* program, char* const* words) {
  setsid();
  if (fork() != 0) _exit(0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int one : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) signal(one, SIG_DFL);
  const int nothing = open("/dev/null", O_RDWR);
  if (nothing >= 0) {
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
  }
  execv(program, words);
  _exit(127);
}

}  // namespace

Result<> start_detached(const std::vector<std::string>& words) {
  const std::string& program = words.at(0);
  if (access(program.c_str(), X_OK) != 0) return fail(errno, "cannot start {}: {}", program, std::strerror(errno));
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const auto& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) return fail(errno, "cannot start {}: {}", program, std::strerror(errno));
  if (child == 0) become(program.c_str(), pointers.data());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return {};
}

}  // namespace adit::platform
