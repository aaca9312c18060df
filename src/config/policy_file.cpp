#include "config/policy_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "config/ipsecconf.h"

namespace adit::config {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Result<struct stat> look(int fd, const std::string& path) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail(errno, "{}: {}", path, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return fail(EINVAL, "{}: not a regular file", path);
  if (static_cast<uint64_t>(info.st_size) > kMaxPolicyBytes)
    return fail(EFBIG, "{}: {} bytes are too many for a policy file, which may have {}", path, info.st_size,
                kMaxPolicyBytes);
  return info;
}

}  // namespace

Result<std::string> read_policy_file(const std::string& path) {
  // Without O_NONBLOCK a named pipe would wait here for its writer.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) return fail(errno, "{}: {}", path, std::strerror(errno));
  TRY_ASSIGN(const struct stat info, look(file.fd, path));
  std::string text(static_cast<size_t>(info.st_size) + 1, '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(file.fd, text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(errno, "{}: {}", path, std::strerror(errno));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  if (have == text.size()) return fail(EAGAIN, "{}: grew while it was read; try again", path);
  text.resize(have);
  return text;
}

Result<> check_policy_file_mode(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return fail(errno, "{}: {}", path, std::strerror(errno));
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fail(EPERM, "{}: others may write it (mode {:04o}); chmod go-w it first", path, info.st_mode & 07777);
  if (info.st_uid != 0 && info.st_uid != ::geteuid())
    return fail(EPERM, "{}: belongs to user {}; a policy belongs to root", path, info.st_uid);
  return {};
}

}  // namespace adit::config
