#include "linux/ike_door/port_500.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "linux/process/testing/own_namespace.h"

namespace adit::platform {
namespace {

using net::Family;
constexpr uint32_t kMark = 0x41646974;

class Port500Test : public OwnNamespace {
 protected:
  static int option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    getsockopt(fd, level, name, &value, &size);
    return value;
  }
  static sockaddr_in loopback() {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(500);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return name;
  }
  static void say(const char* text) {
    const Descriptor sender(socket(AF_INET, SOCK_DGRAM, 0));
    const sockaddr_in name = loopback();
    EXPECT_GT(sendto(sender.get(), text, 1, 0, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  }
  // 0: nothing.
  char heard() const {
    pollfd ready{port_.fd(Family::v4), POLLIN, 0};
    char octet = 0;
    if (::poll(&ready, 1, 50) != 1) return 0;
    EXPECT_EQ(recv(port_.fd(Family::v4), &octet, 1, MSG_DONTWAIT), 1);
    return octet;
  }
  Port500 port_;
};

TEST_F(Port500Test, IsBoundMarkedTellsPacketInfoAndSetsNoDf) {
  EXPECT_TRUE(port_.open(kMark).empty());
  for (const Family family : {Family::v4, Family::v6}) {
    const int fd = port_.fd(family);
    ASSERT_GE(fd, 0);
    sockaddr_in6 name{};
    socklen_t size = sizeof name;
    ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size), 0);
    EXPECT_EQ(ntohs(name.sin6_port), 500);  // where IPv4 has its own
    EXPECT_EQ(static_cast<uint32_t>(option(fd, SOL_SOCKET, SO_MARK)), kMark);
  }
  EXPECT_EQ(option(port_.fd(Family::v4), IPPROTO_IP, IP_PKTINFO), 1);
  EXPECT_EQ(option(port_.fd(Family::v4), IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_DONT);
  EXPECT_EQ(option(port_.fd(Family::v4), IPPROTO_IP, IP_RECVERR), 0);
  EXPECT_EQ(option(port_.fd(Family::v6), IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
  EXPECT_EQ(option(port_.fd(Family::v6), IPPROTO_IPV6, IPV6_V6ONLY), 1);
  EXPECT_EQ(option(port_.fd(Family::v6), IPPROTO_IPV6, IPV6_MTU_DISCOVER), IPV6_PMTUDISC_WANT);
}

TEST_F(Port500Test, HearsOnlyWhileSomebodyListens) {
  EXPECT_TRUE(port_.open(kMark).empty());
  say("a");
  EXPECT_EQ(heard(), 0);
  port_.listen();
  EXPECT_EQ(heard(), 0) << "what came before is gone";
  say("b");
  EXPECT_EQ(heard(), 'b');
  say("c");
  port_.stop_listening();
  say("d");
  EXPECT_EQ(heard(), 0) << "not even what waited";
  port_.listen();
  say("e");
  EXPECT_EQ(heard(), 'e');
}

TEST_F(Port500Test, ComesLateWhenAnotherProgramLetsItGo) {
  Descriptor taken(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in name = loopback();
  ASSERT_EQ(bind(taken.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  port_.listen();
  for (int i = 0; i < 2; ++i) {
    const auto missing = port_.open(kMark);
    ASSERT_EQ(missing.size(), 1u);
    EXPECT_NE(missing[0].find("another program has UDP port 500 over IPv4"), std::string::npos) << missing[0];
  }
  EXPECT_LT(port_.fd(Family::v4), 0);
  EXPECT_GE(port_.fd(Family::v6), 0) << "nothing else waits";
  taken = Descriptor();
  EXPECT_TRUE(port_.open(kMark).empty());
  say("f");
  EXPECT_EQ(heard(), 'f') << "who listens already hears it at once";
}

}  // namespace
}  // namespace adit::platform
