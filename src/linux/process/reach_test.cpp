#include "linux/process/reach.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>

namespace adit::platform {
namespace {

namespace fs = std::filesystem;
constexpr User kUser{65534, 65534};

class Reach : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    std::array<char, 32> pattern{"/tmp/adit-reach-XXXXXX"};
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);  // 0700
    top = pattern.data();
    for (const char* folder : {"/a/root/etc", "/b/run", "/c"}) fs::create_directories(top + folder);
    for (const char* file : {"/a/root/etc/f", "/b/run/f", "/c/f"}) std::ofstream(top + file) << "text";
  }
  void TearDown() override { fs::remove_all(top); }
  static int in_child(const std::function<int()>& act) {
    const pid_t child = fork();
    if (child == 0) _exit(act());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
  }
  static bool reads(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY);
    if (fd >= 0) close(fd);
    return fd >= 0;
  }
  std::string top;
};

TEST_F(Reach, FoldersBelowOneOfRootsAreReachedByTheirPathsAndNothingElseThere) {
  EXPECT_EQ(in_child([&] {
              OwnUser own{kUser, {}};
              make_reachable(kGuardianRole, own, {top + "/a/root", top + "/a/root/run", top + "/b/run"});
              if (!own.user || !own.why_not.empty()) return 1;
              std::ofstream(top + "/a/root/made") << "text";
              if (!drop_privileges(kGuardianRole, kUser)) return 2;
              if (!reads(top + "/a/root/etc/f") || !reads(top + "/b/run/f")) return 3;
              return reads(top + "/c/f") ? 4 : 0;
            }),
            0);
  EXPECT_TRUE(fs::exists(top + "/a/root/made")) << "they are the same folders";
  EXPECT_TRUE(fs::exists(top + "/c/f"));
  struct stat info{};
  ASSERT_EQ(stat(top.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u) << "nobody else sees it";
}

TEST_F(Reach, ARootThatIsClosedItselfIsOneOfThem) {
  EXPECT_EQ(in_child([&] {
              OwnUser own{kUser, {}};
              make_reachable(kGuardianRole, own, {top + "/a/root/etc", top + "/c", top + "/new"});
              if (!own.user || !drop_privileges(kGuardianRole, kUser)) return 1;
              return reads(top + "/a/root/etc/f") && reads(top + "/c/f") && reads(top + "/new") ? 0 : 2;
            }),
            0);
  EXPECT_TRUE(fs::exists(top + "/new"));
}

TEST_F(Reach, WithoutTheRightToMountItStaysRootAndSaysWhatToDo) {
  EXPECT_EQ(in_child([&] {
              const std::array few{12, 7};  // net admin, setuid
              if (!keep_only(few)) return 1;
              OwnUser own{kUser, {}};
              make_reachable(kGuardianRole, own, {top + "/a/root"});
              return !own.user && own.why_not.ends_with("chmod a+x " + top) ? 0 : 2;
            }),
            0);
  OwnUser own{kUser, {}};
  make_reachable(kGuardianRole, own, {"/tmp"});
  EXPECT_TRUE(own.user && own.why_not.empty());
}

}  // namespace
}  // namespace adit::platform
