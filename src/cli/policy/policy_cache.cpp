#include "cli/policy/policy_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace adit::cli {
namespace {

constexpr std::string_view kTag = "#INDEX ";
constexpr std::string_view kHeld = ".unconfirmed", kGeneration = ";GENERATION ";  // a line that is not shown

std::string written(const std::vector<CachedEntry>& entries) {
  std::string text;
  for (const CachedEntry& entry : entries)
    text += fmt::format("{}{}{}{}\n{}\n\n", kTag, entry.head, entry.head.empty() ? "" : ",", entry.index, entry.text);
  return text;
}

// "#INDEX 3" or "#INDEX mytun0,9".
CachedEntry read_tag(std::string_view line) {
  CachedEntry entry;
  std::string_view rest = line.substr(kTag.size());
  if (const size_t comma = rest.find(','); comma != std::string_view::npos) {
    entry.head = rest.substr(0, comma);
    rest.remove_prefix(comma + 1);
  }
  std::from_chars(rest.data(), rest.data() + rest.size(), entry.index);
  return entry;
}

}  // namespace

Result<std::string> PolicyCache::shown() const {
  std::ifstream file(path_);
  if (!file) {
    if (errno == ENOENT) return std::string();
    return fail(errno, "{} cannot be opened: {}", path_, std::strerror(errno));
  }
  std::string text, line;
  while (std::getline(file, line))
    if (!line.starts_with(';')) text += line + "\n";
  return text;
}

Result<std::vector<CachedEntry>> PolicyCache::read() const {
  TRY_ASSIGN(const std::string text, shown());
  std::vector<CachedEntry> entries;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kTag))
      entries.push_back(read_tag(line));
    else if (!entries.empty() && !(line.empty() && entries.back().text.empty()))
      entries.back().text += line + "\n";
  }
  for (CachedEntry& entry : entries)
    while (entry.text.ends_with('\n')) entry.text.pop_back();
  return entries;
}

Result<> PolicyCache::append(const std::vector<CachedEntry>& entries) const {
  TRY_ASSIGN(std::vector<CachedEntry> all, read());
  all.insert(all.end(), entries.begin(), entries.end());
  return replace(all);
}

Result<> PolicyCache::replace(const std::vector<CachedEntry>& entries) const {
  std::error_code error;
  if (entries.empty()) {
    std::filesystem::remove(path_, error);
    if (error) return fail(error.value(), "cannot remove {}: {}", path_, error.message());
    return {};
  }
  return write(written(entries));
}

Result<> PolicyCache::write(const std::string& text) const {
  std::error_code error;
  const std::string fresh = path_ + ".new";
  std::ofstream file(fresh, std::ios::trunc);
  file << text;
  file.close();
  if (!file) return fail(EIO, "cannot write {}", fresh);
  std::filesystem::rename(fresh, path_, error);
  if (error) return fail(error.value(), "cannot write {}: {}", path_, error.message());
  return {};
}

Result<> PolicyCache::remove(std::string_view head, uint64_t index) const {
  TRY_ASSIGN(std::vector<CachedEntry> all, read());
  const size_t gone =
      std::erase_if(all, [&](const CachedEntry& entry) { return entry.head == head && entry.index == index; });
  return gone == 0 ? Result<>{} : replace(all);
}

Result<> PolicyCache::remove_head(std::string_view head) const {
  TRY_ASSIGN(std::vector<CachedEntry> all, read());
  const size_t gone = std::erase_if(all, [&](const CachedEntry& entry) { return entry.head == head; });
  return gone == 0 ? Result<>{} : replace(all);
}

Result<> PolicyCache::hold(uint64_t generation, const std::vector<CachedEntry>& added, bool append) const {
  std::vector<CachedEntry> all;
  if (append) {
    TRY_ASSIGN(all, read());
  }
  all.insert(all.end(), added.begin(), added.end());
  const PolicyCache held(path_ + std::string(kHeld));
  return held.write(fmt::format("{}{}\n{}", kGeneration, generation, written(all)));
}

Result<> PolicyCache::finish(std::optional<uint64_t> generation) const {
  const std::string path = path_ + std::string(kHeld);
  std::ifstream file(path);
  std::string first;
  std::error_code error;
  if (file && std::getline(file, first) && generation && first == fmt::format("{}{}", kGeneration, *generation))
    std::filesystem::rename(path, path_, error);
  else
    std::filesystem::remove(path, error);
  if (error) return fail(error.value(), "cannot settle {}: {}", path, error.message());
  return {};
}

Result<PolicyLock> PolicyLock::take(const std::string& path) {
  const int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) {
    if (errno == EACCES || errno == EPERM) return fail(EPERM, "Insufficient privilege to run ipsecconf.");
    if (errno == ENOENT) return fail(ENOENT, "aditd is not running ({} has no directory); start it with 'aditd'", path);
    if (errno == ELOOP) return fail(EINVAL, "Bad lock file {}: it is a symbolic link; remove it", path);
    return fail(errno, "Cannot open lock file {}: {}", path, std::strerror(errno));
  }
  PolicyLock lock(fd);
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1 || info.st_size != 0 ||
      (info.st_uid != 0 && info.st_uid != ::geteuid()))
    return fail(EINVAL, "Bad lock file {}: it should be root's, empty and without other names; remove it", path);
  while (::lockf(fd, F_LOCK, 0) != 0)
    if (errno != EINTR) return fail(errno, "Cannot lockf {}: {}", path, std::strerror(errno));
  return lock;
}

PolicyLock::~PolicyLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace adit::cli
