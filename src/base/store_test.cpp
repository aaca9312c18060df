#include "base/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace adit {
namespace {

struct Died {};
std::vector<std::string> points;

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string name = (std::filesystem::temp_directory_path() / "adit-store-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    points.clear();
  }
  ~StoreTest() override {
    set_crash_hook(nullptr);
    std::filesystem::remove_all(directory_);
  }
  std::string directory_;
};

// A named pipe without a writer would keep its reader for ever.
TEST_F(StoreTest, WhatIsNoFileIsRefusedAtOnce) {
  const std::string path = directory_ + "/it";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto waits = ::open(path.c_str(), O_RDWR | O_CLOEXEC);  // else this test would hang instead of failing
  ASSERT_EQ(::write(waits, "x", 1), 1);
  std::thread ends([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    ::close(waits);
  });
  const auto pipe = read_file(path);
  ends.join();
  ASSERT_FALSE(pipe);
  EXPECT_NE(pipe.error().text.find("not a regular file"), std::string::npos) << pipe.error().text;
  ASSERT_EQ(::unlink(path.c_str()), 0);
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  EXPECT_FALSE(read_file(path));
  ASSERT_EQ(::rmdir(path.c_str()), 0);
  ASSERT_EQ(::symlink("/dev/null", path.c_str()), 0);
  EXPECT_EQ(**read_file(path), "") << "what is masked is empty";
}

TEST_F(StoreTest, WritesWhatReadsBackWithItsMode) {
  const std::string path = directory_ + "/a/b/file";
  ASSERT_TRUE(replace_file(path, "one", 0600, Lasting::disk, "test"));
  ASSERT_TRUE(replace_file(path, "two", 0600, Lasting::boot, "test"));
  EXPECT_EQ(**read_file(path), "two");
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_F(StoreTest, AMissingFileIsNoError) {
  const auto text = read_file(directory_ + "/none");
  ASSERT_TRUE(text);
  EXPECT_FALSE(text->has_value());
  EXPECT_TRUE(remove_file(directory_ + "/none"));
}

TEST_F(StoreTest, AnErrorLeavesTheOldTextAndSaysSo) {
  const std::string path = directory_ + "/file";
  ASSERT_TRUE(replace_file(path, "old", 0644, Lasting::disk, "test"));
  std::filesystem::create_directory(path + ".new");
  const auto replaced = replace_file(path, "new", 0644, Lasting::disk, "test");
  ASSERT_FALSE(replaced);
  EXPECT_EQ(replaced.error().code, EISDIR);
  EXPECT_NE(replaced.error().text.find("nothing was changed"), std::string::npos);
  EXPECT_EQ(**read_file(path), "old");
}

TEST_F(StoreTest, AtEveryCrashPointTheFileIsOldOrNewAsAWhole) {
  const std::string path = directory_ + "/file";
  set_crash_hook([](std::string_view name) { points.emplace_back(name); });
  ASSERT_TRUE(replace_file(path, "old", 0644, Lasting::disk, "test"));
  EXPECT_EQ(points, (std::vector<std::string>{"test:opened", "test:written", "test:synced", "test:renamed"}));
  for (size_t at = 0; at < 4; ++at) {
    set_crash_hook(nullptr);
    ASSERT_TRUE(replace_file(path, "old", 0644, Lasting::disk, "test"));
    static size_t left;
    left = at;
    set_crash_hook([](std::string_view) {
      if (left-- == 0) throw Died{};
    });
    EXPECT_THROW((void)replace_file(path, "new", 0644, Lasting::disk, "test"), Died);
    EXPECT_EQ(**read_file(path), at < 3 ? "old" : "new");
  }
}

TEST_F(StoreTest, WhatRootReplacesStaysItsOwners) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string path = directory_ + "/file";
  ASSERT_TRUE(replace_file(path, "one", 0600, Lasting::boot, "t"));
  ASSERT_EQ(::chown(path.c_str(), 4711, 4712), 0);
  ASSERT_TRUE(replace_file(path, "two", 0600, Lasting::boot, "t"));
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 4711u);
  EXPECT_EQ(info.st_gid, 4712u);
}

}  // namespace
}  // namespace adit
