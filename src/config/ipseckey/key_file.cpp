#include "config/ipseckey/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <utility>

#include "config/ipseckey/ipseckey.h"

namespace adit::config {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ > STDERR_FILENO) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::unexpected<Error> too_large(const std::string& path) {
  return fail(EFBIG, "{} is larger than {} MiB; a key file is not", path, kMaxKeyFileBytes >> 20);
}

Result<> check(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode)) return fail(EINVAL, "{} is not a regular file", path);
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return fail(EPERM, "{} holds keys, and group or world may read or write it (mode {:04o}); run: chmod 600 {}", path,
                info.st_mode & 07777u, path);
  if (info.st_uid != 0 && info.st_uid != ::geteuid())
    return fail(EPERM, "{} holds keys, and belongs to user {}; run: chown root {}", path, info.st_uid, path);
  if (static_cast<uint64_t>(info.st_size) > kMaxKeyFileBytes) return too_large(path);
  return {};
}

// Grows by doubling into fresh locked memory; what was there is wiped.
Result<Secret> read_all(int fd, size_t expected, const std::string& path) {
  TRY_ASSIGN(Secret text, Secret::zeros(expected == 0 ? 4096 : expected + 1));
  size_t have = 0;
  while (true) {
    if (have == text.size()) {
      if (have > kMaxKeyFileBytes) return too_large(path);
      TRY_ASSIGN(Secret larger, Secret::zeros(have * 2));
      std::memcpy(larger.bytes().data(), text.bytes().data(), have);
      text = std::move(larger);
    }
    const ssize_t got = ::read(fd, text.bytes().data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(errno, "cannot read {}: {}", path, std::strerror(errno));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  if (have > kMaxKeyFileBytes) return too_large(path);
  return Secret::of(std::as_const(text).bytes().first(have));
}

}  // namespace

Result<Secret> read_key_file(const std::string& path) {
  if (path == "-") return read_all(STDIN_FILENO, 0, "standard input");
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return fail(errno, "cannot open {}: {}", path, std::strerror(errno));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return fail(errno, "cannot read {}: {}", path, std::strerror(errno));
  TRY(check(path, info));
  return read_all(file.get(), static_cast<size_t>(info.st_size), path);
}

}  // namespace adit::config
