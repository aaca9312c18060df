#include "linux/process/reach.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "linux/process/descriptor.h"

namespace adit::platform {
namespace {

namespace fs = std::filesystem;

bool may_enter(const struct stat& folder, const User& user) {
  if (folder.st_uid == user.uid) return (folder.st_mode & S_IXUSR) != 0;
  return (folder.st_mode & (folder.st_gid == user.gid ? S_IXGRP : S_IXOTH)) != 0;
}

// The first folder above it that the user may not enter; empty: none.
fs::path closed_above(const fs::path& folder, const User& user) {
  fs::path above;
  for (const auto& part : folder.parent_path()) {
    above /= part;
    struct stat info{};
    if (stat(above.c_str(), &info) == 0 && !may_enter(info, user)) return above;
  }
  return {};
}

bool leads_to(const fs::path& path, const Descriptor& folder) {
  struct stat named{}, open{};
  return stat(path.c_str(), &named) == 0 && fstat(folder.get(), &open) == 0 && named.st_ino == open.st_ino &&
         named.st_dev == open.st_dev;
}

// False: errno says why.
bool stand_in(const fs::path& folder, const Descriptor& real, const User& user) {
  const auto closed = closed_above(folder, user);
  if (!closed.empty() &&
      mount("adit", closed.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711,size=64k") != 0)
    return false;
  if (leads_to(folder, real)) return true;
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  const std::string source = "/proc/self/fd/" + std::to_string(real.get());
  return mount(source.c_str(), folder.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0;
}

}  // namespace

void make_reachable(const Role& role, OwnUser& own, const std::vector<std::string>& folders) {
  if (!own.user) return;
  const User user = *own.user;
  std::vector<fs::path> blocked;
  for (const auto& folder : folders) {
    std::error_code ignored;
    fs::create_directories(folder, ignored);
    const fs::path real = fs::absolute(folder).lexically_normal();
    if (!closed_above(real, user).empty()) blocked.push_back(real);
  }
  if (blocked.empty()) return;
  const auto failed = [&] {
    own = {
        std::nullopt,
        fmt::format("{} stays user root, without root's powers: only root reaches {} ({}); chmod a+x {}", role.program,
                    blocked.front().string(), std::strerror(errno), closed_above(blocked.front(), user).string())};
  };
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return failed();
  std::vector<Descriptor> real;
  real.reserve(blocked.size());
  for (const auto& folder : blocked) real.emplace_back(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (size_t i = 0; i < blocked.size(); ++i)
    if (!stand_in(blocked[i], real[i], user)) return failed();
}

}  // namespace adit::platform
