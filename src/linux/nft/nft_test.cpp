// The host's own table in a kernel, with traffic: two namespaces over a veth.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>

#include "linux/host/linux_platform.h"
#include "linux/nft/nft_render.h"
#include "linux/process/testing/own_namespace.h"

namespace adit::platform {
namespace {

using net::Address;
using net::Family;
using net::Prefix;

Prefix prefix(const std::string& text) {
  return *Prefix::parse(text);
}

class HostTable : public OwnNamespace {
 protected:
  void SetUp() override {
    OwnNamespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    make_far();
    auto made = make_linux_platform("", "/nonexistent");
    ASSERT_TRUE(made) << made.error().text;
    platform = std::move(*made);
    ASSERT_TRUE(platform->change_fd());
  }
  void apply(const Firewall& firewall) {
    const auto done = platform->apply_firewall(firewall);
    ASSERT_TRUE(done) << done.error().text;
  }
  // A UDP datagram from here to there; false: the kernel refused to send it.
  static bool datagram(const std::string& from, const std::string& to, uint16_t port = 9999, uint32_t mark = 0) {
    const bool v4 = to.find(':') == std::string::npos;
    const Descriptor sender(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0));
    if (mark != 0) setsockopt(sender.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark);
    const int on = 1;
    setsockopt(sender.get(), SOL_IP, IP_FREEBIND, &on, sizeof on);
    if (!from.empty()) name_it(from, 0, v4, [&](auto* name, socklen_t size) { return bind(sender.get(), name, size); });
    return name_it(to, port, v4,
                   [&](auto* name, socklen_t size) { return sendto(sender.get(), "x", 1, 0, name, size); }) == 1;
  }
  template <typename F>
  static ssize_t name_it(const std::string& address, uint16_t port, bool v4, F use) {
    sockaddr_in in{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
    sockaddr_in6 in6{
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_flowinfo = 0, .sin6_addr = {}, .sin6_scope_id = 0};
    if (v4)
      inet_pton(AF_INET, address.c_str(), &in.sin_addr);
    else
      inet_pton(AF_INET6, address.c_str(), &in6.sin6_addr);
    return v4 ? use(reinterpret_cast<sockaddr*>(&in), sizeof in) : use(reinterpret_cast<sockaddr*>(&in6), sizeof in6);
  }
  // How many packets the far side sees with that destination: its own counter, of all protocols.
  void count_far(const std::string& match) {
    go_far();
    run("nft 'table inet seen { chain c { type filter hook prerouting priority -500; " + match + " counter; }; }'");
    go_near();
  }
  int far_count() {
    go_far();
    const std::string text = output("nft list table inet seen | grep -o 'packets [0-9]*'");
    go_near();
    return text.empty() ? -1 : std::stoi(text.substr(8));
  }
  std::unique_ptr<Platform> platform;
};

TEST_F(HostTable, HostRulesDecideInOrderAndNeverStopIpsec) {
  Firewall firewall;
  const auto rule = [&](HostRule one) { firewall.host_rules.push_back(std::move(one)); };
  rule({.outbound = true, .inbound = true, .remote = prefix("192.0.2.2/32"), .protocol = 17, .remote_port = 53});
  rule({.drop = true, .outbound = true, .inbound = true, .remote = prefix("192.0.2.0/24"), .comment = "rule 7"});
  rule({.drop = true, .outbound = true, .family = Family::v6, .protocol = 58, .icmp_type = 128, .icmp_type_end = 129});
  count_far("ip daddr 192.0.2.2");
  apply(firewall);
  (void)datagram("", "192.0.2.2", 53);
  (void)datagram("", "192.0.2.2", 54);
  EXPECT_EQ(far_count(), 1);
  EXPECT_TRUE(datagram("", "192.0.2.2", 500) || true);
  const Descriptor esp(socket(AF_INET, SOCK_RAW, 50));
  name_it("192.0.2.2", 0, true,
          [&](auto* name, socklen_t size) { return sendto(esp.get(), "12345678", 8, 0, name, size); });
  EXPECT_EQ(far_count(), 2);
  EXPECT_FALSE(holds("ping -c1 -W1 2001:db8::2"));
  EXPECT_TRUE(holds("nft list chain inet adit host_out | grep -q 'counter packets [1-9].* drop comment \"rule 7\"'"));
  firewall.host_rules.pop_back();
  apply(firewall);
  EXPECT_TRUE(holds("ping -c1 -W1 2001:db8::2")) << "neighbour discovery passes";
}

TEST_F(HostTable, StrongHostModelKeepsAddressesToTheirInterfaces) {
  run("ip link add lan0 type veth peer name lan1 && ip addr add 10.0.0.1/24 dev lan0 && ip -6 addr add "
      "2001:db8:7::1/64 dev lan0 nodad && ip link set lan0 up && ip link set lan1 up");
  go_far();
  run("ip route add 10.0.0.0/24 via 192.0.2.1 && ip -6 route add 2001:db8:7::/64 via 2001:db8::1");
  EXPECT_TRUE(holds("ping -c1 -W1 10.0.0.1"));
  go_near();
  Firewall firewall;
  firewall.model_v4 = HostModel::strong;
  apply(firewall);
  go_far();
  EXPECT_FALSE(holds("ping -c1 -W1 10.0.0.1")) << "the LAN's address, by the underlay";
  EXPECT_TRUE(holds("ping -c1 -W1 192.0.2.1"));
  EXPECT_TRUE(holds("ping -c1 -W1 2001:db8:7::1")) << "IPv6 is still weak";
  go_near();
  EXPECT_FALSE(holds("ping -c1 -W1 -I 10.0.0.1 192.0.2.2")) << "its source, out of the underlay";
  EXPECT_TRUE(holds("ping -c1 -W1 10.0.0.1")) << "to itself";
  firewall.model_v6 = HostModel::strong;
  firewall.own_addresses = {{*Address::parse("10.0.0.1"), "near0"}};  // as when a tunnel shares the LAN's address
  apply(firewall);
  go_far();
  EXPECT_TRUE(holds("ping -c1 -W1 10.0.0.1"));
  EXPECT_FALSE(holds("ping -c1 -W1 2001:db8:7::1"));
  EXPECT_TRUE(holds("ping -c1 -W1 2001:db8::1"));
}

// Of processor time, this process's and nft's: how busy the machine is otherwise does not count.
double seconds_used() {
  double seconds = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    getrusage(who, &used);
    seconds += static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  }
  return seconds;
}

TEST_F(HostTable, AChangedRuleOfEqualNumberIsSeenAndPutBack) {
  Firewall firewall;
  firewall.host_rules = {{.drop = true, .outbound = true, .remote = prefix("198.51.100.0/24"), .comment = "1"}};
  apply(firewall);
  EXPECT_EQ(platform->firewall_stands(), true);
  const std::string handle = output("nft -a list chain inet adit host_out | grep 198.51.100 | grep -o 'handle [0-9]*'");
  run("nft replace rule inet adit host_out " + handle.substr(0, handle.find('\n')) +
      " ip daddr 198.51.100.0/24 accept");
  EXPECT_EQ(platform->firewall_stands(), false);
  (void)platform->poll_changes();
  apply(firewall);
  EXPECT_EQ(platform->firewall_stands(), true);
}

}  // namespace
}  // namespace adit::platform
