#include "control/run_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace adit::engine {
namespace {

class RunLockTest : public ::testing::Test {
 protected:
  RunLockTest() {
    char pattern[] = "/tmp/adit-lock-XXXXXX";
    directory_ = ::mkdtemp(pattern);
  }
  ~RunLockTest() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::string path() const { return directory_ + "/aditd.lock"; }
  [[nodiscard]] mode_t mode() const {
    struct stat info{};
    EXPECT_EQ(::stat(path().c_str(), &info), 0);
    return info.st_mode & 07777;
  }
  // As versions before this one made it: whoever may read it may hold it.
  int leave_a_loose_one_held() const {
    std::ofstream(path()) << "1\n";
    std::filesystem::permissions(path(), std::filesystem::perms(0644));
    const int fd = ::open(path().c_str(), O_RDONLY);
    EXPECT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
    return fd;
  }

  std::string directory_;
};

TEST_F(RunLockTest, HasOneHolderAtATimeAndNoOtherReader) {
  auto first = RunLock::take(directory_);
  ASSERT_TRUE(first) << first.error().text;
  EXPECT_EQ(mode(), 0600u);
  const auto second = RunLock::take(directory_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EBUSY);
  EXPECT_NE(second.error().text.find("process " + std::to_string(::getpid())), std::string::npos)
      << second.error().text;
  *first = RunLock();
  EXPECT_TRUE(RunLock::take(directory_));
}

TEST_F(RunLockTest, WhoHoldsALooseFileKeepsNobodyAway) {
  const int squatter = leave_a_loose_one_held();
  const auto lock = RunLock::take(directory_);
  ASSERT_TRUE(lock) << lock.error().text;
  EXPECT_EQ(mode(), 0600u);
  EXPECT_FALSE(RunLock::take(directory_)) << "the new one holds";
  ::close(squatter);
}

TEST_F(RunLockTest, ALooseFileOfADaemonThatAnswersIsItsOwn) {
  const int holder = leave_a_loose_one_held();
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (directory_ + "/adit.sock").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  const auto lock = RunLock::take(directory_);
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().code, EBUSY);
  EXPECT_EQ(mode(), 0644u) << "untouched";
  ::close(fd);
  ::close(holder);
}

}  // namespace
}  // namespace adit::engine
