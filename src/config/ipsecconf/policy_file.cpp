#include "config/ipsecconf/policy_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "config/ipsecconf/ipsecconf.h"

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

Result<std::string> read_whole(int fd, const std::string& path, size_t size) {
  std::string text(size + 1, '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(fd, text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(errno, "{}: {}", path, std::strerror(errno));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  if (have == text.size()) return fail(EAGAIN, "{}: grew while it was read; try again", path);
  text.resize(have);
  return text;
}

// What a link leads to is named as well: that is what is to be mended.
std::string named(const std::string& path, const std::string& target) {
  return target == path ? path : fmt::format("{}: leads to {}", path, target);
}

Result<> check_owner(const struct stat& info, const std::string& what) {
  if (info.st_uid != 0 && info.st_uid != ::geteuid())
    return fail(EPERM, "{}: belongs to user {}; a policy belongs to root", what, info.st_uid);
  return {};
}

Result<> check_mode(const struct stat& info, const std::string& what) {
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return fail(EPERM, "{}: others may write it (mode {:04o}); chmod go-w it first", what, info.st_mode & 07777);
  return {};
}

// Who may write the directory may put another file in its place; in a sticky one only the file's owner may.
Result<> check_surroundings(const std::string& path, const std::string& target) {
  const std::string directory = std::filesystem::path(target).parent_path();
  struct stat info{};
  if (::stat(directory.c_str(), &info) != 0) return fail(errno, "{}: {}", directory, std::strerror(errno));
  const std::string what = fmt::format("{}, in {}", named(path, target), directory);
  TRY(check_owner(info, what));
  return (info.st_mode & S_ISVTX) != 0 ? Result<>{} : check_mode(info, what);
}

// Without O_NONBLOCK a named pipe would wait here for its writer.
Result<int> open_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) return fd;
  std::error_code ignored;
  if (errno == ENOENT && std::filesystem::is_symlink(path, ignored))
    return fail(ENOENT, "{}: leads to {}, which is not there", path,
                std::filesystem::read_symlink(path, ignored).string());
  return fail(errno, "{}: {}", path, std::strerror(errno));
}

}  // namespace

Result<std::string> read_policy_file(const std::string& path) {
  TRY_ASSIGN(const int fd, open_file(path));
  const Descriptor file{fd};
  TRY_ASSIGN(const struct stat info, look(file.fd, path));
  return read_whole(file.fd, path, static_cast<size_t>(info.st_size));
}

Result<std::string> read_trusted_policy_file(const std::string& path) {
  TRY_ASSIGN(const int fd, open_file(path));
  const Descriptor file{fd};
  TRY_ASSIGN(const struct stat info, look(file.fd, path));
  std::error_code error;
  const std::filesystem::path resolved = std::filesystem::canonical(path, error);
  if (error) return fail(error.value(), "{}: {}", path, error.message());
  const bool is_link = std::filesystem::is_symlink(path, error);
  const std::string target = is_link ? resolved.string() : path;
  TRY(check_owner(info, named(path, target)));
  TRY(check_mode(info, named(path, target)));
  TRY(check_surroundings(path, target));
  return read_whole(file.fd, path, static_cast<size_t>(info.st_size));
}

Result<> check_policy_directory(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return fail(errno, "{}: {}", path, std::strerror(errno));
  if (!S_ISDIR(info.st_mode)) return fail(ENOTDIR, "{}: not a directory", path);
  TRY(check_owner(info, path));
  // In a sticky one a group may add files, as aditd's own does in /etc/inet; whose each is, is looked at.
  if ((info.st_mode & (S_ISVTX | S_IWOTH)) == S_ISVTX) return {};
  return check_mode(info, path);
}

}  // namespace adit::config
