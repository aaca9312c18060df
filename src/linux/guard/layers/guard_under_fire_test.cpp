// What a packet meets while the guard's tables are replaced, under senders of several processes that never pause.
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "linux/guard/layers/testing/guarded_layers.h"

namespace adit::platform {
namespace {

class GuardLayersUnderFire : public GuardedLayers {
 protected:
  void SetUp() override {
    GuardedLayers::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    run("ip route add 10.0.1.0/24 via 192.0.2.2; ip -6 route add 2001:db8:1::/48 via 2001:db8::2");
    meet();
    count_far("udp dport 9999");
  }
  void TearDown() override {
    for (const pid_t sender : senders_) {
      kill(sender, SIGKILL);
      waitpid(sender, nullptr, 0);
    }
    GuardedLayers::TearDown();
  }
  GuardPlan full() const { return closing({"10.0.1.0/24", "2001:db8:1::/48", "239.0.0.0/8", "ff05::/16"}); }
  GuardPlan of_the_book() const {  // what a guardian starts with: no device may carry anything yet
    GuardPlan plan = full();
    for (auto& [network, devices] : plan.closed) devices.clear();
    return plan;
  }
  void fire() {
    for (int i = 0; i < 4; ++i) {
      std::array<int, 2> ready{};
      ASSERT_EQ(pipe2(ready.data(), O_CLOEXEC), 0);
      const pid_t sender = fork();
      if (sender == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close_range(3, ~0U, 0);  // or it would hold the owned table, too; the pipe's end says that it does not
        const sched_param none{};
        if (i % 2 == 1) sched_setscheduler(0, SCHED_IDLE, &none);  // a packet of theirs may rest for long on its way
        send_for_ever();
      }
      senders_.push_back(sender);
      close(ready[1]);
      char end = 0;
      EXPECT_EQ(read(ready[0], &end, 1), 0);
      close(ready[0]);
    }
  }
  // How often; by hand ADIT_STRESS says it.
  static int often(int usual) {
    const char* wanted = std::getenv("ADIT_STRESS");
    return wanted ? std::atoi(wanted) : usual;
  }

 private:
  [[noreturn]] static void send_for_ever() {
    struct Target {
      Descriptor socket;
      std::string to;
    };
    std::vector<Target> targets;
    const auto index = static_cast<unsigned>(index_of("near0"));
    const ip_mreqn group{.imr_multiaddr = {}, .imr_address = {}, .imr_ifindex = static_cast<int>(index)};
    for (const char* to : {"10.0.1.5", "2001:db8:1::5", "239.1.2.3", "ff05::77"}) {
      const std::string text(to);
      const bool v4 = text.find(':') == std::string::npos,
                 multicast = text.starts_with("239") || text.starts_with("ff");
      Descriptor one(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
      int done = 0;
      if (!multicast) done = setsockopt(one.get(), SOL_SOCKET, SO_BINDTODEVICE, "near0", 5);
      if (multicast && v4) done = setsockopt(one.get(), SOL_IP, IP_MULTICAST_IF, &group, sizeof group);
      if (multicast && !v4) done = setsockopt(one.get(), SOL_IPV6, IPV6_MULTICAST_IF, &index, sizeof index);
      if (done != 0) _exit(1);
      targets.push_back({std::move(one), text});
    }
    for (;;)
      for (const auto& [socket, to] : targets)
        with_name(to, 9999, "", [&](const sockaddr* name, socklen_t size) {
          return sendto(socket.get(), "x", 1, MSG_DONTWAIT, name, size);
        });
  }
  std::vector<pid_t> senders_;
};

TEST_F(GuardLayersUnderFire, WithoutAGuardAllOfThemLeave) {
  fire();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_GT(seen(), 1000);
}

TEST_F(GuardLayersUnderFire, AGuardianThatDiesAndStartsAgainLetsNothingThrough) {
  replace(full());
  fire();
  for (int i = often(8); i > 0; --i) {
    layers.reset();
    auto standby = std::move(*GuardLayers::open(false));  // aditd's, meanwhile
    ASSERT_TRUE(standby->replace(full()));
    layers = std::move(*GuardLayers::open(true));
    ASSERT_TRUE(layers->replace(of_the_book()));
    ASSERT_TRUE(layers->replace(full()));
  }
  expect_standing();
  EXPECT_EQ(seen(), 0);
}

TEST_F(GuardLayersUnderFire, TheLastingTableAloneIsMendedWithNothingLetThrough) {
  replace(full());
  layers = std::move(*GuardLayers::open(false));  // the guardian is away
  ASSERT_TRUE(layers->replace(full()));
  fire();
  const std::vector<std::string> touches{
      "nft add rule inet adit-guard input accept",
      "nft add rule inet adit-guard postrouting counter",
      "nft insert rule inet adit-guard out4 counter",
      "nft add chain inet adit-guard other '{ type filter hook forward priority -400; }'",
      "nft add set inet adit-guard other '{ type ipv4_addr; }'",
      "nft 'add chain inet adit-guard forward { policy drop; }'",
      "nft 'delete chain inet adit-guard input; add chain inet adit-guard input "
      "{ type filter hook input priority 10; }'",
      "nft add element inet adit-guard pass4_24 '{ 1.2.3.0 . 1 }'",
      "nft add element inet adit-guard ports '{ 53 }'",
  };
  for (int i = often(9); i > 0; --i) {
    run(touches[static_cast<size_t>(i) % touches.size()]);
    watch->drain(*layers);
    EXPECT_FALSE(layers->put_back().empty()) << touches[static_cast<size_t>(i) % touches.size()];
    EXPECT_TRUE(layers->state().lasting);
    ASSERT_TRUE(layers->replace(i % 2 == 0 ? of_the_book() : full()));
  }
  EXPECT_EQ(layers->state().lasting, true);
  EXPECT_EQ(seen(), 0);
}

}  // namespace
}  // namespace adit::platform
