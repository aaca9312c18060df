#include "server/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

namespace adit::protocol {
namespace {

class ListenerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/adit-listener-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    auto made = Listener::open(io_, path(), SOCK_SEQPACKET, 0640, [this](const Listener::Client&, const ucred& peer) {
      peer_ = peer;
      ++adopted_;
    });
    ASSERT_TRUE(made) << made.error().text;
    listener_ = std::move(*made);
  }
  void TearDown() override {
    if (listener_) listener_->close();
    std::filesystem::remove_all(folder_);
  }
  [[nodiscard]] std::string path() const { return folder_ + "/socket"; }
  [[nodiscard]] int connect() const {
    const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  size_t run(int milliseconds) {
    io_.restart();
    return io_.run_for(std::chrono::milliseconds(milliseconds));
  }

  asio::io_context io_;
  std::shared_ptr<Listener> listener_;
  std::string folder_;
  ucred peer_{};
  int adopted_ = 0;
};

TEST_F(ListenerTest, TellsWhoCame) {
  const int client = connect();
  run(20);
  EXPECT_EQ(adopted_, 1);
  EXPECT_EQ(peer_.pid, ::getpid());
  EXPECT_EQ(peer_.uid, ::getuid());
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
  ::close(client);
}

TEST_F(ListenerTest, OutOfDescriptorsItRestsAndThenGoesOn) {
  const int client = connect();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{std::min<rlim_t>(256, before.rlim_cur), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<int> taken;
  for (int fd; (fd = ::fcntl(client, F_DUPFD_CLOEXEC, 0)) >= 0;) taken.push_back(fd);
  ASSERT_EQ(errno, EMFILE);
  const size_t rounds = run(350);
  EXPECT_EQ(adopted_, 0);
  EXPECT_LT(rounds, 40u) << "it spins";
  for (const int fd : taken) ::close(fd);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (int tries = 0; adopted_ == 0 && tries < 50; ++tries) run(50);
  EXPECT_EQ(adopted_, 1);
  ::close(client);
}

TEST_F(ListenerTest, ClosedItLeavesNothing) {
  listener_->close();
  EXPECT_FALSE(std::filesystem::exists(path()));
  EXPECT_EQ(run(20), 1u) << "the wait that was cancelled, and no more";
  EXPECT_FALSE(Listener::open(io_, std::string(200, 'x'), SOCK_STREAM, 0600, {}));
}

}  // namespace
}  // namespace adit::protocol
