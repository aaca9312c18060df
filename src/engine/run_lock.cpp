#include "engine/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

namespace adit::engine {

RunLock::RunLock(RunLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

RunLock::~RunLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<RunLock> RunLock::take(const std::string& run_dir) {
  std::error_code error;
  std::filesystem::create_directories(run_dir, error);
  if (error) return fail(error.value(), "cannot make the run directory {}: {}", run_dir, error.message());
  const std::string path = run_dir + "/aditd.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return fail(errno, "cannot open {}: {}", path, std::strerror(errno));
  RunLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = {};
    const ssize_t got = ::pread(fd, pid, sizeof pid - 1, 0);
    const std::string holder(pid, got > 0 ? static_cast<size_t>(got) - (pid[got - 1] == '\n' ? 1 : 0) : 0);
    return fail(EBUSY,
                "another aditd, process {}, works in {}; stop it, or give this one its own run directory (ADIT_RUNDIR)",
                holder.empty() ? "unknown" : holder, run_dir);
  }
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return fail(errno, "cannot write {}: {}", path, std::strerror(errno));
  return lock;
}

}  // namespace adit::engine
