#include "server/key_manager_door.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/unix_socket.h"

namespace adit::protocol {
namespace {

// Hands over a pipe's ends.
struct FakeSockets : engine::KeyManagerAccess {
  FakeSockets() { EXPECT_EQ(pipe(pipe_.data()), 0); }
  ~FakeSockets() override {
    for (const int fd : pipe_) close(fd);
  }
  FakeSockets(const FakeSockets&) = delete;
  FakeSockets& operator=(const FakeSockets&) = delete;
  Result<> admit(engine::KeyManager one) override {
    if (manager) return fail(EBUSY, "there is one");
    manager = std::move(one);
    return manager->hand(ike::Handed::pair, pipe_[1]);
  }
  void take_back() override {
    manager.reset();
    ++taken_back;
  }
  std::array<int, 2> pipe_{};
  std::optional<engine::KeyManager> manager;
  int taken_back = 0;
};

struct Handed {
  std::array<uint8_t, 4> octets{};
  int fd = -1;
  ssize_t length = -1;
};

class Client {
 public:
  explicit Client(const std::string& path) : fd_(*connect_to_aditd(path, SOCK_SEQPACKET)) {}
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Handed receive() const {
    Handed handed;
    iovec part{handed.octets.data(), handed.octets.size()};
    alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(int))> room{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    handed.length = recvmsg(fd_, &message, MSG_DONTWAIT);
    if (handed.length > 0)
      if (const cmsghdr* control = CMSG_FIRSTHDR(&message)) std::memcpy(&handed.fd, CMSG_DATA(control), sizeof(int));
    return handed;
  }
  void say(const char* text) const { EXPECT_GT(send(fd_, text, std::strlen(text), MSG_NOSIGNAL), 0); }

 private:
  int fd_;
};

class KeyManagerDoorTest : public ::testing::Test {
 protected:
  void open(uid_t who = getuid()) {
    auto door = KeyManagerDoor::open(io_, path_, sockets_, who);
    ASSERT_TRUE(door) << door.error().text;
    door_ = std::move(*door);
  }
  void turn() {
    io_.restart();
    io_.run_for(std::chrono::milliseconds(20));
  }
  void TearDown() override {
    door_.reset();
    rmdir(folder_.c_str());
  }
  static std::string made_folder() {
    std::string name = "/tmp/adit-door-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    return name;
  }
  const std::string folder_ = made_folder(), path_ = folder_ + "/ike.sock";
  asio::io_context io_;
  FakeSockets sockets_;
  std::unique_ptr<KeyManagerDoor> door_;
};

TEST_F(KeyManagerDoorTest, HandsADescriptorOverAndTakesBackWhenTheClientGoes) {
  open();
  {
    const Client client(path_);
    turn();
    const Handed handed = client.receive();
    EXPECT_EQ(handed.octets, ike::handover(ike::Handed::pair));
    ASSERT_GE(handed.fd, 0);
    EXPECT_EQ(write(handed.fd, "x", 1), 1);
    char octet = 0;
    EXPECT_EQ(read(sockets_.pipe_[0], &octet, 1), 1) << "it is that one";
    close(handed.fd);
    ASSERT_TRUE(sockets_.manager);
    EXPECT_EQ(sockets_.manager->pid, getpid());
    ASSERT_TRUE(sockets_.manager->hand(ike::Handed::udp500_v4, sockets_.pipe_[0])) << "and later ones";
    const Handed late = client.receive();
    EXPECT_EQ(late.octets, ike::handover(ike::Handed::udp500_v4));
    close(late.fd);
  }
  turn();
  EXPECT_EQ(sockets_.taken_back, 1);
  const Client next(path_);
  turn();
  const Handed handed = next.receive();
  EXPECT_EQ(handed.octets[1], static_cast<uint8_t>(ike::Handed::pair));
  close(handed.fd);
}

TEST_F(KeyManagerDoorTest, ASecondOneIsRefusedAndTheFirstGoesOn) {
  open();
  const Client first(path_), second(path_);
  turn();
  close(first.receive().fd);
  const Handed refused = second.receive();
  EXPECT_EQ(refused.octets, ike::handover(ike::Handed::refused, EBUSY));
  EXPECT_EQ(refused.fd, -1);
  EXPECT_EQ(second.receive().length, 0) << "and the connection ends";
  EXPECT_TRUE(sockets_.manager);
  EXPECT_EQ(sockets_.taken_back, 0);
}

TEST_F(KeyManagerDoorTest, OnlyTheOneUserIsLetIn) {
  open(getuid() + 1);
  struct stat made{};
  ASSERT_EQ(stat(path_.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0600u);
  const Client client(path_);
  turn();
  EXPECT_EQ(client.receive().octets, ike::handover(ike::Handed::refused, EPERM));
  EXPECT_FALSE(sockets_.manager);
  EXPECT_EQ(sockets_.taken_back, 0);
}

TEST_F(KeyManagerDoorTest, WhoTalksIsPutOut) {
  open();
  const Client client(path_);
  turn();
  close(client.receive().fd);
  client.say("give me more");
  turn();
  EXPECT_LE(client.receive().length, 0);
  EXPECT_EQ(errno, ECONNRESET) << "what it said was not read";
  EXPECT_EQ(sockets_.taken_back, 1);
}

TEST_F(KeyManagerDoorTest, WhoIsDismissedIsPutOutOnce) {
  open();
  const Client client(path_);
  turn();
  close(client.receive().fd);
  const auto dismiss = sockets_.manager->dismiss;
  sockets_.take_back();
  dismiss();
  turn();
  EXPECT_EQ(client.receive().length, 0);
  EXPECT_EQ(sockets_.taken_back, 1);
  EXPECT_EQ(Client(path_).receive().length, -1);
  turn();
}

TEST_F(KeyManagerDoorTest, TheDoorsEndTakesBack) {
  open();
  const Client client(path_);
  turn();
  close(client.receive().fd);
  door_.reset();
  EXPECT_EQ(sockets_.taken_back, 1);
  EXPECT_EQ(client.receive().length, 0);
}

}  // namespace
}  // namespace adit::protocol
