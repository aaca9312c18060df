#include "linux/process/own_folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>

#include "linux/process/descriptor.h"

namespace adit::platform {
namespace {

class TakeOver {
 public:
  explicit TakeOver(const std::optional<User>& user) : user_(user.value_or(User{})) {}

  void folder(const std::string& path, mode_t more) {
    std::error_code ignored;
    std::filesystem::create_directories(path, ignored);
    const Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat info{};
    if (!folder.valid() || fstat(folder.get(), &info) != 0) return failed(path);
    const mode_t mode = (info.st_mode & 07777) | (user_.gid != 0 ? S_IRWXG | more : 0);
    if ((info.st_uid != 0 || info.st_gid != user_.gid) && fchown(folder.get(), 0, user_.gid) != 0) failed(path);
    if (mode != (info.st_mode & 07777) && fchmod(folder.get(), mode) != 0) failed(path);
  }

  // Who owns the folder may put anything there: only a plain file of one name, that belonged to root or a user of ours,
  // is taken over.
  void file(int folder, const char* name, const std::string& path) {
    const Descriptor file(openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info{};
    if (!file.valid() || fstat(file.get(), &info) != 0) return;
    if (!S_ISREG(info.st_mode) || info.st_nlink != 1 || info.st_uid == user_.uid) return;
    if (info.st_uid != 0 && user_.uid != 0) return;
    if (fchownat(file.get(), "", user_.uid, user_.gid, AT_EMPTY_PATH) != 0) failed(path);
  }

  void files_in(const std::string& path, const std::vector<std::string>& foreign) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
    if (!folder) return;
    while (const dirent* entry = readdir(folder.get()))
      if (std::ranges::find(foreign, entry->d_name) == foreign.end())
        file(dirfd(folder.get()), entry->d_name, path + '/' + entry->d_name);
  }

  std::vector<std::string> told;

 private:
  void failed(const std::string& path) {
    told.push_back(fmt::format("{} cannot be made its user's: {}", path, std::strerror(errno)));
  }
  User user_;
};

}  // namespace

std::vector<std::string> share_folders(const std::vector<std::string>& folders, const std::optional<User>& user) {
  TakeOver work(user);
  for (const auto& path : folders) work.folder(path, 0);
  return std::move(work.told);
}

void let_all_read(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info{};
  if (!file.valid() || fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1) return;
  (void)fchmod(file.get(), (info.st_mode & 0777) | S_IRUSR | S_IRGRP | S_IROTH);
}

std::vector<std::string> OwnFolders::all() const {
  auto both = folders;
  both.insert(both.end(), shared.begin(), shared.end());
  return both;
}

std::vector<std::string> take_over(const OwnFolders& own, const std::optional<User>& user) {
  TakeOver work(user);
  for (const auto& path : own.folders) {
    work.folder(path, 0);
    work.files_in(path, own.foreign);
  }
  for (const auto& path : own.shared) work.folder(path, S_ISVTX);
  for (const auto& path : own.files) work.file(AT_FDCWD, path.c_str(), path);
  return std::move(work.told);
}

}  // namespace adit::platform
