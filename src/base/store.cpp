#include "base/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace adit {
namespace {

constexpr size_t kMaxFile = 64u << 20;
void (*crash_hook)(std::string_view) = nullptr;

// Closes and, unless kept, takes away the half-written file.
class Temporary {
 public:
  Temporary(int fd, std::string path, bool kept = false) : fd_(fd), path_(std::move(path)), kept_(kept) {}
  ~Temporary() {
    if (fd_ >= 0) ::close(fd_);
    if (!kept_) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  void keep() { kept_ = true; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  std::string path_;
  bool kept_;
};

const char* remedy(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return "free some space and repeat the command";
    case EROFS:
      return "the file system is read-only; remount it, or use -t";
    case EACCES:
    case EPERM:
      return "check the owner and mode of its directory";
    default:
      return "check the file system";
  }
}

std::unexpected<Error> unchanged(const std::string& path, const char* step, int code) {
  return fail(code, "cannot save {}: {}: {}; nothing was changed, {}", path, step, std::strerror(code), remedy(code));
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = ::write(fd, text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    text.remove_prefix(static_cast<size_t>(done));
  }
  return true;
}

int sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int code = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return code;
}

// What root replaces in a folder of the daemon's (`adit guard open --offline`) stays the daemon's.
bool keep_owner(int fd, const std::string& path) {
  struct stat before{}, now{};
  if (::geteuid() != 0 || ::lstat(path.c_str(), &before) != 0 || ::fstat(fd, &now) != 0) return true;
  return before.st_uid == now.st_uid || ::fchown(fd, before.st_uid, before.st_gid) == 0;
}

void crash_point_of(std::string_view point, const char* step) {
  crash_point(std::string(point) + ":" + step);
}

}  // namespace

Result<> replace_file(const std::string& path, std::string_view text, mode_t mode, Lasting lasting,
                      std::string_view point) {
  const std::string directory = std::filesystem::path(path).parent_path();
  std::error_code made;
  std::filesystem::create_directories(directory, made);
  if (made) return unchanged(path, "make the directory", made.value());

  // A fixed name: what a crash leaves behind goes with the next attempt, and there is one writer. Never the same file:
  // whoever has an old one open reads nothing new in it.
  const std::string aside = path + ".new";
  if (::unlink(aside.c_str()) != 0 && errno != ENOENT) return unchanged(path, "make its new copy", errno);
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return unchanged(path, "make its new copy", errno);
  Temporary copy(fd, aside);
  crash_point_of(point, "opened");
  if (::fchmod(fd, mode) != 0) return unchanged(path, "set its mode", errno);
  if (!keep_owner(fd, path)) return unchanged(path, "keep its owner", errno);
  if (!write_all(fd, text)) return unchanged(path, "write", errno);
  crash_point_of(point, "written");
  if (lasting == Lasting::disk && ::fsync(fd) != 0) return unchanged(path, "fsync", errno);
  crash_point_of(point, "synced");
  if (::rename(aside.c_str(), path.c_str()) != 0) return unchanged(path, "rename", errno);
  copy.keep();
  crash_point_of(point, "renamed");
  // The new name stands already; a failing disk says so here, and the caller undoes.
  if (lasting == Lasting::disk) {
    if (const int code = sync_directory(directory); code != 0) return unchanged(path, "fsync of the directory", code);
  }
  return {};
}

Result<off_t> append_to_file(const Journal& journal, std::string_view text, bool& whole) {
  const std::string& path = journal.path;
  const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
  int fd = ::open(path.c_str(), flags);
  const bool fresh = fd < 0 && errno == ENOENT && journal.make;
  if (fresh) fd = ::open(path.c_str(), flags | O_CREAT | O_EXCL, journal.mode);
  whole = fd >= 0;
  if (fd < 0) return unchanged(path, "open", errno);
  const Temporary closing(fd, path, true);
  struct stat before{};
  int code = ::fstat(fd, &before) == 0 ? 0 : errno;
  crash_point_of(journal.point, "opened");
  if (code == 0 && !write_all(fd, text)) code = errno;
  crash_point_of(journal.point, "written");
  if (code == 0 && journal.lasting == Lasting::disk && ::fdatasync(fd) != 0) code = errno;
  if (code == 0 && journal.lasting == Lasting::disk && fresh)
    code = sync_directory(std::filesystem::path(path).parent_path());
  if (code == 0) {
    crash_point_of(journal.point, "synced");
    return before.st_size + static_cast<off_t>(text.size());
  }
  whole = ::ftruncate(fd, before.st_size) == 0;
  return unchanged(path, "write", code);
}

bool cut_file(const std::string& path, off_t size, Lasting lasting) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  const Temporary closing(fd, path, true);
  if (::ftruncate(fd, size) != 0) return false;
  if (lasting == Lasting::disk) (void)::fdatasync(fd);
  return true;
}

// Without O_NONBLOCK a named pipe would wait here for its writer.
Result<std::optional<std::string>> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return fail(errno, "cannot read {}: {}", path, std::strerror(errno));
  }
  struct stat info{};
  if (::fstat(fd, &info) != 0 || (!S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode))) {  // /dev/null masks a file
    ::close(fd);
    return fail(EINVAL, "cannot read {}: it is not a regular file", path);
  }
  std::string text;
  char chunk[16384];
  ssize_t got = 0;
  while ((got = ::read(fd, chunk, sizeof chunk)) > 0 && text.size() <= kMaxFile) {
    text.append(chunk, static_cast<size_t>(got));
  }
  const int code = errno;
  ::close(fd);
  if (got < 0) return fail(code, "cannot read {}: {}", path, std::strerror(code));
  if (text.size() > kMaxFile) return fail(EFBIG, "cannot read {}: it is larger than {} MB", path, kMaxFile >> 20);
  return text;
}

Result<> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
  return fail(errno, "cannot remove {}: {}", path, std::strerror(errno));
}

void set_crash_hook(void (*hook)(std::string_view name)) {
  crash_hook = hook;
}

void crash_point(std::string_view name) {
  if (crash_hook != nullptr) return crash_hook(name);
  static const char* const wanted = std::getenv("ADIT_CRASH_AT");
  if (wanted == nullptr || name != wanted) return;
  std::fprintf(stderr, "aditd: ADIT_CRASH_AT=%s reached\n", wanted);
  std::abort();
}

}  // namespace adit
