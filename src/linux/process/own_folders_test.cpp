#include "linux/process/own_folders.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

namespace adit::platform {
namespace {

namespace fs = std::filesystem;
constexpr User kUser{4711, 4712};

class OwnFoldersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "giving files away needs root";
    std::array<char, 32> pattern{"/tmp/adit-own-XXXXXX"};
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    top = pattern.data();
  }
  void TearDown() override { fs::remove_all(top); }
  [[nodiscard]] struct stat at(const std::string& path) const {
    struct stat info{};
    EXPECT_EQ(lstat((top + path).c_str(), &info), 0) << path;
    return info;
  }
  void make(const std::string& path) const { std::ofstream(top + path) << "text"; }
  [[nodiscard]] OwnFolders own() const {
    return {
        .folders = {top + "/a/b"}, .shared = {top + "/shared"}, .files = {top + "/shared/ours"}, .foreign = {"pid"}};
  }
  std::string top;
};

TEST_F(OwnFoldersTest, AreMadeRootsOfTheUsersGroupWhichMayWrite) {
  EXPECT_TRUE(take_over(own(), kUser).empty());
  for (const char* path : {"/a/b", "/shared"}) {
    EXPECT_EQ(at(path).st_uid, 0u);
    EXPECT_EQ(at(path).st_gid, kUser.gid);
    EXPECT_EQ(at(path).st_mode & 0775, 0775u);
  }
  EXPECT_EQ(at("/a/b").st_mode & S_ISVTX, 0u);
  EXPECT_NE(at("/shared").st_mode & S_ISVTX, 0u) << "in a shared one nobody replaces the operator's files";
  EXPECT_EQ(at("/a").st_gid, 0u);
}

TEST_F(OwnFoldersTest, OfAnInstallationOfRootsTheirFilesBecomeTheUsers) {
  fs::create_directories(top + "/a/b");
  fs::create_directories(top + "/shared");
  for (const char* path : {"/a/b/book", "/a/b/pid", "/shared/ours", "/shared/policy"}) make(path);
  EXPECT_TRUE(take_over(own(), kUser).empty());
  EXPECT_EQ(at("/a/b/book").st_uid, kUser.uid);
  EXPECT_EQ(at("/shared/ours").st_uid, kUser.uid);
  EXPECT_EQ(at("/a/b/pid").st_uid, 0u);
  EXPECT_EQ(at("/shared/policy").st_uid, 0u);
  EXPECT_TRUE(take_over(own(), std::nullopt).empty()) << "and root takes them back";
  EXPECT_EQ(at("/a/b/book").st_uid, 0u);
}

TEST_F(OwnFoldersTest, NothingIsTakenThatTheUserCouldHavePutThere) {
  fs::create_directories(top + "/a/b");
  make("/secret");
  fs::create_hard_link(top + "/secret", top + "/a/b/link");
  fs::create_symlink(top + "/secret", top + "/a/b/symlink");
  make("/a/b/others");
  ASSERT_EQ(chown((top + "/a/b/others").c_str(), 33, 33), 0);
  ASSERT_EQ(chmod((top + "/secret").c_str(), 0600), 0);
  EXPECT_TRUE(take_over(own(), kUser).empty());
  EXPECT_EQ(at("/secret").st_uid, 0u);
  EXPECT_EQ(at("/a/b/others").st_uid, 33u);
  let_all_read(top + "/a/b/link");
  let_all_read(top + "/a/b/symlink");
  EXPECT_EQ(at("/secret").st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace adit::platform
