#include "linux/process/file_rules.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstring>

#include "linux/process/descriptor.h"
#include "linux/process/sanitized.h"

namespace adit::platform {
namespace {

// Newer than Debian 12's headers.
constexpr uint64_t kTruncate = 1ull << 14;
constexpr uint64_t kScopeSignal = 1ull << 1;
struct Attributes {
  uint64_t files = 0, net = 0, scoped = 0;
};

constexpr uint64_t kReading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kSetting = LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
constexpr uint64_t kOwning = kSetting | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                             LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK;
constexpr uint64_t kOther = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                            LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
constexpr uint64_t kOfFiles = LANDLOCK_ACCESS_FS_READ_FILE | kSetting;

class Ruleset {
 public:
  Ruleset(int version, uint64_t handled)
      : handled_(version >= 3 ? handled : handled & ~kTruncate & (version >= 2 ? ~0ull : ~LANDLOCK_ACCESS_FS_REFER)) {
    const Attributes attributes{handled_, 0, version >= 6 ? kScopeSignal : 0};
    const size_t size = version >= 6 ? sizeof attributes : sizeof attributes.files;
    ruleset_ = Descriptor(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  }
  // What is not there is not allowed.
  void allow(const std::string& path, uint64_t rights) {
    const int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
    struct stat info{};
    if (fd < 0 || fstat(fd, &info) != 0) return;
    landlock_path_beneath_attr rule{};
    rule.allowed_access = rights & handled_ & (S_ISDIR(info.st_mode) ? ~0ull : kOfFiles);
    rule.parent_fd = fd;
    (void)syscall(SYS_landlock_add_rule, ruleset_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    // Stays open for good: a rule holds an inode, and procfs makes another one for a folder that nobody has open.
  }
  [[nodiscard]] bool enforce() const {
    return ruleset_.valid() && syscall(SYS_landlock_restrict_self, ruleset_.get(), 0) == 0;
  }

 private:
  uint64_t handled_;
  Descriptor ruleset_;
};

}  // namespace

Result<> restrict_files(const CageRules& rules) {
  const auto version =
      static_cast<int>(syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (version <= 0) return fail(ENOSYS, "this kernel has no Landlock (5.13 and later, `lsm=` of its command line)");
  const bool reading = !rules.read.empty() && !kSanitized;  // a sanitizer's report reads programs and libraries
  Ruleset ruleset(version, kOwning | kOther | (reading ? kReading : 0));
  for (const auto& path : rules.read) ruleset.allow(path, kReading);
  for (const auto& path : rules.set) ruleset.allow(path, kReading | kSetting);
  for (const auto& path : rules.own) ruleset.allow(path, kReading | kOwning);
  if (!ruleset.enforce()) return fail(errno, "Landlock fails: {}", std::strerror(errno));
  return {};
}

}  // namespace adit::platform
