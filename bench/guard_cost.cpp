// What the guard costs in the kernel: a host between two others, packets of 64 bytes, with and without the guard's
// layers in turn; and what one network more costs beside many. Root; namespaces of its own.
//
//   guard_cost packets [NETWORKS] [ROUNDS] [OTHER]  OTHER: a program for another guard, in turn with ours
//   guard_cost one-more [NETWORKS]
//   guard_cost hold NETWORKS DEVICE LOCAL REMOTE NETWORK
//                                                   the layers in this namespace, until standard input ends
//   guard_cost send ADDRESS MILLISECONDS [RATE]     64-byte packets from this namespace, as many as it can
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "linux/guard/guardian/guardian_client.h"
#include "linux/guard/layers/guard_layers.h"
#include "linux/platform/mark.h"

namespace {

using namespace adit;
using namespace adit::platform;
using Clock = std::chrono::steady_clock;

// Thrown, so that what was started ends.
struct GaveUp {
  std::string why;
};
[[noreturn]] void give_up(const std::string& why) {
  throw GaveUp{why};
}
template <typename T>
T must(Result<T> result) {
  if (!result) give_up(result.error().text);
  return std::move(*result);
}
void must(const Result<>& result) {
  if (!result) give_up(result.error().text);
}
void run(const std::string& command) {
  if (std::system(command.c_str()) != 0) give_up(command);
}

// --- plans

net::Address numbered(uint32_t base, uint32_t number) {
  return net::Address::v4(base + number);
}

// 11.x.y.0/24 and 2001:db8:x:y::/64; every seventh is wider or smaller, as networks of real sites are.
GuardPlan plan_of(uint32_t networks, int device, const OuterFlow& flow) {
  GuardPlan plan;
  plan.book = "/bench";
  plan.generation = 1;
  plan.mark = kOuterMark;
  plan.uid = geteuid();
  for (uint32_t i = 0; i < networks; ++i) {
    const auto length = static_cast<uint8_t>(i % 7 == 6 ? 26 : 24);
    plan.closed[net::Prefix(numbered(0x0b000000, i << 8), length)] = {device};
  }
  plan.closed[*net::Prefix::parse("2001:db8:1::/48")] = {device};
  plan.flows = {flow};
  plan.peers = {flow.remote};
  return plan;
}

// --- a host between two

class World {
 public:
  World() {
    for (int* space : {&source_, &host_, &sink_}) {
      if (unshare(CLONE_NEWNET) != 0) give_up("cannot make a network namespace (root?)");
      *space = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
      run("ip link set lo up");
    }
    enter(host_);
    run("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0");
    veth(source_, "in0", "10.0.0.1/24", "10.0.0.2/24");
    veth(sink_, "out0", "192.0.2.1/24", "192.0.2.2/24");
    veth(sink_, "tun0", "10.9.0.1/24", "10.9.0.2/24");
    run("ip route add 198.18.0.0/15 via 192.0.2.2; ip route add 11.0.0.0/8 via 10.9.0.2");
    enter(sink_);
    run("nft 'table netdev sink { chain a { type filter hook ingress device out0 priority 0; udp dport 4500-9999 drop; "
        "}; "
        "chain b { type filter hook ingress device tun0 priority 0; udp dport 4500-9999 drop; }; }'");
    enter(source_);
    run("ip route add default via 10.0.0.1");
    enter(host_);
    run("ping -qc1 192.0.2.2 >/dev/null; ping -qc1 10.9.0.2 >/dev/null; ping -qc1 10.0.0.2 >/dev/null");
    device_ = static_cast<int>(if_nametoindex("tun0"));
  }
  void enter(int space) const {
    if (setns(space, CLONE_NEWNET) != 0) give_up("cannot enter a namespace");
  }
  [[nodiscard]] int source() const { return source_; }
  [[nodiscard]] int host() const { return host_; }
  [[nodiscard]] int device() const { return device_; }

 private:
  void veth(int other, const std::string& name, const std::string& here, const std::string& there) const {
    const std::string space = std::to_string(getpid()) + "/fd/" + std::to_string(other);
    run("ip link add " + name + " type veth peer name " + name + " netns /proc/" + space + " && ip addr add " + here +
        " dev " + name + " && ip link set " + name + " up");
    enter(other);
    run("ip addr add " + there + " dev " + name + " && ip link set " + name + " up");
    enter(host_);
  }
  int source_ = -1, host_ = -1, sink_ = -1, device_ = 0;
};

struct Kind {
  const char* name;
  bool forwarded;
  const char* to;
  uint16_t port;
  bool outer;
};
constexpr std::array<Kind, 4> kKinds{{{"forwarded elsewhere", true, "198.18.0.9", 9999, false},
                                      {"forwarded into the tunnel", true, "11.0.0.9", 9999, false},
                                      {"outer packets", false, "192.0.2.2", 4500, true},
                                      {"local elsewhere", false, "198.18.0.9", 9999, false}}};

// 64-byte packets to somewhere, in bursts.
class Sender {
 public:
  Sender(const char* to, uint16_t port, const char* from = nullptr)
      : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), to_(name(to, port)) {
    if (from) {
      const uint32_t mark = kOuterMark;
      setsockopt(socket_.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark);
      const sockaddr_in own = name(from, port);
      if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) give_up("bind");
    }
    for (auto& one : burst_) {
      one.msg_hdr.msg_name = &to_;
      one.msg_hdr.msg_namelen = sizeof to_;
      one.msg_hdr.msg_iov = &part_;
      one.msg_hdr.msg_iovlen = 1;
    }
  }
  Sender(const Sender&) = delete;
  int burst() { return std::max(sendmmsg(socket_.get(), burst_.data(), burst_.size(), 0), 0); }

 private:
  static sockaddr_in name(const char* address, uint16_t port) {
    sockaddr_in made{};
    made.sin_family = AF_INET;
    made.sin_port = htons(port);
    inet_pton(AF_INET, address, &made.sin_addr);
    return made;
  }
  Descriptor socket_;
  sockaddr_in to_;
  std::array<uint8_t, 22> payload_{};
  iovec part_{payload_.data(), payload_.size()};
  std::array<mmsghdr, 64> burst_{};
};

// Microseconds a packet: of the best of slices that are short enough to run without a pause on a busy machine.
double cost(const World& world, const Kind& kind, std::chrono::milliseconds time) {
  world.enter(kind.forwarded ? world.source() : world.host());
  Sender sender(kind.to, kind.port, kind.outer ? "192.0.2.1" : nullptr);
  double least = 1e9;
  for (const auto start = Clock::now(); Clock::now() - start < time;) {
    const auto from = Clock::now();
    int sent = 0;
    for (int i = 0; i < 8; ++i) sent += sender.burst();
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - from).count();
    if (sent > 0) least = std::min(least, us / sent);
  }
  world.enter(world.host());
  return least;
}

// `rate`: packets a second; 0: as many as it can.
int send(const char* to, int milliseconds, int rate) {
  Sender sender(to, 9999);
  int64_t sent = 0;
  for (const auto start = Clock::now(); Clock::now() - start < std::chrono::milliseconds(milliseconds);) {
    sent += sender.burst();
    if (rate > 0) std::this_thread::sleep_until(start + std::chrono::microseconds(sent * 1'000'000 / rate));
  }
  fmt::print("{}\n", sent);
  return 0;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Our layers, as they stand in the machine's own network namespace, or in another, where packets are asked for before a
// route can encapsulate them, too (lwtunnel_hooks.h).
class Ours {
 public:
  Ours()
      : lasting_(must(GuardTable::open(GuardTable::Kind::lasting, generation_))),
        owned_(must(GuardTable::open(GuardTable::Kind::owned, generation_))),
        rule_(must(GuardRule::open())) {}
  void stand(const GuardPlan& plan, bool ask_before_routing) {
    const GuardContent content(plan);
    must(lasting_.replace(content, false));
    must(owned_.replace(content, ask_before_routing));
    must(rule_.replace(plan));
    run("ip route replace " + route_);
  }
  void go() {
    for (GuardTable* table : {&lasting_, &owned_}) {
      for (const auto& leak : must(table->leaks()))  // what is measured must go on to the far side
        if (leak.packets != 0) give_up(fmt::format("{} packets to {} were stopped", leak.packets, leak.network.str()));
      must(table->remove());
    }
    must(rule_.replace({}));
    run("ip route del " + route_);
  }

 private:
  const std::string route_ = "11.0.0.0/24 dev tun0 via 10.9.0.2 table 174 proto 173";  // as aditd has it
  NftGeneration generation_;
  GuardTable lasting_, owned_;
  GuardRule rule_;
};

// `other`: a program that puts another guard there and takes it away (OTHER up NETWORKS, OTHER down NETWORKS), in turn
// with ours.
int packets(uint32_t networks, int rounds, const std::string& other) {
  const World world;
  const OuterFlow flow{*net::Address::parse("192.0.2.1"), *net::Address::parse("192.0.2.2")};
  const GuardPlan closed = plan_of(networks, world.device(), flow);
  Ours ours;
  enum Guard : size_t { nobody, on_the_machine, in_a_namespace, others };
  const auto stand = [&](Guard guard, bool up) {
    if (guard == others) run(fmt::format("{} {} {}", other, up ? "up" : "down", networks));
    if (guard == nobody || guard == others) return;
    if (up)
      ours.stand(closed, guard == in_a_namespace);
    else
      ours.go();
  };
  std::map<std::string, std::array<std::vector<double>, 4>> all;
  for (int round = 0; round < rounds; ++round)
    for (const Guard guard : {nobody, on_the_machine, in_a_namespace, others}) {
      if (guard == others && other.empty()) continue;
      stand(guard, true);
      for (const auto& kind : kKinds) all[kind.name][guard].push_back(cost(world, kind, std::chrono::milliseconds(60)));
      stand(guard, false);
    }
  fmt::print("{} networks, 64-byte packets, microseconds each: least and median of {} turns\n", networks, rounds);
  for (const auto& kind : kKinds) {
    const auto& turns = all[kind.name];
    fmt::print("  {}\n", kind.name);
    const auto line = [&](const char* name, Guard guard) {
      const auto& its = turns[guard];
      const double least = std::ranges::min(its);
      fmt::print("    {:34} {:6.2f} {:6.2f}   {:+.2f}", name, least, median(its),
                 least - std::ranges::min(turns[nobody]));
      if (guard != others && guard != nobody && !other.empty())
        fmt::print("   times the other {:.3f} {:.3f}", least / std::ranges::min(turns[others]),
                   median(its) / median(turns[others]));
      fmt::print("\n");
    };
    line("without", nobody);
    line("in the machine's own namespace", on_the_machine);
    line("in another namespace", in_a_namespace);
    if (!other.empty()) line("the other guard", others);
  }
  return 0;
}

// --- one network more

constexpr uint32_t kTimes = 200;

template <typename Act>
double milliseconds(const Act& act) {
  const auto start = Clock::now();
  act();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

GuardChange one_more(uint32_t number, int device) {
  GuardChange change;
  change.generation = number + 2;
  change.close[net::Prefix(numbered(0x28000000, number << 8), 24)] = {device};
  return change;
}

// A guardian with a directory of its own, which a client starts; it ends with this object.
class OwnGuardian {
 public:
  OwnGuardian() {
    std::array<char, 24> name{"/tmp/adit-bench-XXXXXX"};
    if (!mkdtemp(name.data())) give_up("cannot make a directory below /tmp");
    folder_ = name.data();
  }
  OwnGuardian(const OwnGuardian&) = delete;
  ~OwnGuardian() {
    int pid = 0;
    std::ifstream(run() + "/adit-guard.pid") >> pid;
    for (int i = 0; pid > 1 && kill(pid, i == 0 ? SIGTERM : i == 100 ? SIGKILL : 0) == 0 && i < 200; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::error_code left;
    std::filesystem::remove_all(folder_, left);
  }
  [[nodiscard]] std::string root() const { return folder_ + "/root"; }
  [[nodiscard]] GuardianClientSettings settings() const {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    return {.root = root(), .run = run(), .program = self + "/../bin/adit-guard"};
  }

 private:
  [[nodiscard]] std::string run() const { return folder_ + "/run"; }
  std::string folder_;
};

// As aditd has it done: asked over the guardian's socket, and acknowledged.
void by_the_guardian(const GuardPlan& plan, int device, std::vector<double>& times) {
  const OwnGuardian guardian;
  GuardianClient client(guardian.settings());
  GuardPlan mine = plan;
  mine.book = guardian.root();
  must(client.replace(mine));
  for (uint32_t i = 0; i < kTimes; ++i)
    times.push_back(milliseconds([&] { must(client.change(one_more(i, device))); }));
  mine.closed.clear();
  must(client.replace(mine));
}

int one_more(uint32_t networks) {
  const World world;
  const OuterFlow flow{*net::Address::parse("192.0.2.1"), *net::Address::parse("192.0.2.2")};
  std::map<std::string, std::vector<double>> all;
  auto layers = must(GuardLayers::open(true));
  const GuardPlan plan = plan_of(networks, world.device(), flow);
  fmt::print("{} networks made: {:.0f} ms\n", networks, milliseconds([&] { must(layers->replace(plan)); }));
  for (uint32_t i = 0; i < kTimes; ++i)
    all["all layers"].push_back(milliseconds([&] { must(layers->change(one_more(i, world.device()))); }));
  fmt::print("the same plan again: {:.0f} ms\n", milliseconds([&] { must(layers->replace(layers->plan())); }));
  GuardPlan none = plan;
  none.closed.clear();
  must(layers->replace(none));
  layers.reset();

  NftGeneration generation;
  auto lasting = must(GuardTable::open(GuardTable::Kind::lasting, generation));
  auto owned = must(GuardTable::open(GuardTable::Kind::owned, generation));
  auto rule = must(GuardRule::open());
  GuardContent content(plan);
  must(lasting.replace(content, false));
  must(owned.replace(content, true));
  must(rule.replace(plan));
  for (uint32_t i = 0; i < kTimes; ++i) {
    const GuardChange change = one_more(i, world.device());
    ElementStep step;
    all["content"].push_back(milliseconds([&] { step = content.change(change); }));
    all["lasting table"].push_back(milliseconds([&] { must(lasting.change(step, content, false)); }));
    all["owned table"].push_back(milliseconds([&] { must(owned.change(step, content, true)); }));
    all["rule"].push_back(milliseconds([&] { must(rule.change(change)); }));
  }
  must(rule.replace({}));
  must(lasting.remove());
  must(owned.remove());
  by_the_guardian(plan, world.device(), all["by the guardian"]);
  fmt::print("one more beside {}: median and worst of {}, in ms\n", networks, kTimes);
  for (const auto& [name, values] : all)
    fmt::print("  {:14} {:6.3f} {:6.3f}\n", name, median(values), std::ranges::max(values));
  return 0;
}

int hold(uint32_t networks, const std::string& device, const std::string& local, const std::string& remote,
         const std::string& network) {
  const auto here = net::Address::parse(local), there = net::Address::parse(remote);
  const auto behind = net::Prefix::parse(network);
  if (!here || !there || !behind) give_up("not an address");
  auto layers = must(GuardLayers::open(true));
  const int index = static_cast<int>(if_nametoindex(device.c_str()));
  GuardPlan plan = plan_of(networks, index, {*here, *there});
  plan.closed[behind->masked()] = {index};
  must(layers->replace(plan));
  fmt::print("ready\n");
  std::fflush(stdout);
  char byte = 0;
  while (read(0, &byte, 1) > 0) {
  }
  plan.closed.clear();
  must(layers->replace(plan));
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string verb = argc > 1 ? argv[1] : "";
  const auto number = [&](int at, int usual) { return argc > at ? std::atoi(argv[at]) : usual; };
  if (verb == "packets") return packets(static_cast<uint32_t>(number(2, 1000)), number(3, 15), argc > 4 ? argv[4] : "");
  if (verb == "one-more") return one_more(static_cast<uint32_t>(number(2, 10000)));
  if (verb == "send" && argc >= 4) return send(argv[2], number(3, 1000), number(4, 0));
  if (verb == "hold" && argc == 7) return hold(static_cast<uint32_t>(number(2, 1)), argv[3], argv[4], argv[5], argv[6]);
  fmt::print(
      stderr,
      "usage: guard_cost packets [NETWORKS] [ROUNDS] [OTHER] | one-more [NETWORKS] | hold NETWORKS DEVICE LOCAL REMOTE "
      "NETWORK | "
      "send ADDRESS MILLISECONDS [RATE]\n");
  return 2;
} catch (const GaveUp& gave_up) {
  fmt::print(stderr, "guard_cost: {}\n", gave_up.why);
  return 1;
}
