#include "control/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "base/unix_socket.h"

namespace adit::engine {
namespace {

std::string holder_of(int fd) {
  char pid[32] = {};
  const ssize_t got = ::pread(fd, pid, sizeof pid - 1, 0);
  const std::string holder(pid, got > 0 ? static_cast<size_t>(got) - (pid[got - 1] == '\n' ? 1 : 0) : 0);
  return holder.empty() ? "unknown" : holder;
}

// Whether root's, or our user's, daemon listens there: what a loose lock cannot tell.
bool a_daemon_answers(const std::string& run_dir) {
  const auto address = unix_address(run_dir + "/adit.sock");
  if (!address) return false;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;  // not known: as if
  const bool answers =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0 || errno == EAGAIN;
  ::close(fd);
  return answers;
}

}  // namespace

RunLock::RunLock(RunLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

RunLock::~RunLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<RunLock> RunLock::open(const std::string& path) {
  RunLock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.fd_ < 0) return fail(errno, "cannot open {}: {}", path, std::strerror(errno));
  return lock;
}

bool RunLock::try_lock() const {
  return ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
}

bool RunLock::is_loose() const {
  struct stat info{};
  if (::fstat(fd_, &info) != 0) return true;
  return (info.st_mode & 077) != 0 || (info.st_uid != 0 && info.st_uid != ::geteuid());
}

bool RunLock::is_at(const std::string& path) const {
  struct stat ours{}, there{};
  return ::fstat(fd_, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
         ours.st_dev == there.st_dev;
}

Result<> RunLock::write_pid(const std::string& path) const {
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return fail(errno, "cannot write {}: {}", path, std::strerror(errno));
  return {};
}

// A file that others could open may be held by any of them for ever: ours is a new one, locked before it has the name.
Result<RunLock> RunLock::replace_loose(const std::string& path) {
  const std::string aside = path + ".new";
  (void)::unlink(aside.c_str());
  TRY_ASSIGN(RunLock lock, open(aside));
  if (!lock.try_lock() || ::rename(aside.c_str(), path.c_str()) != 0)
    return fail(errno, "cannot make {}: {}", path, std::strerror(errno));
  return lock;
}

Result<RunLock> RunLock::take(const std::string& run_dir) {
  std::error_code error;
  std::filesystem::create_directories(run_dir, error);
  if (error) return fail(error.value(), "cannot make the run directory {}: {}", run_dir, error.message());
  const std::string path = run_dir + "/aditd.lock";
  for (;;) {
    TRY_ASSIGN(RunLock lock, open(path));
    const bool loose = lock.is_loose();
    if (loose ? a_daemon_answers(run_dir) : !lock.try_lock())
      return fail(
          EBUSY,
          "another aditd, process {}, works in {}; stop it, or give this one its own run directory (ADIT_RUNDIR)",
          holder_of(lock.fd_), run_dir);
    if (loose) {
      TRY_ASSIGN(lock, replace_loose(path));
    }
    if (!lock.is_at(path)) continue;  // somebody replaced it between our open and our lock
    TRY(lock.write_pid(path));
    return lock;
  }
}

}  // namespace adit::engine
