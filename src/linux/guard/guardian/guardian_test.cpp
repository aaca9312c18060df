// The guardian as a process of its own, and aditd's side of it.
#include "linux/guard/guardian/guardian.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/un.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "linux/guard/guardian/guardian_client.h"
#include "linux/guard/layers/testing/guarded_host.h"

namespace adit::platform {
namespace {

TEST(GuardWire, PlansAndChangesComeOutAsTheyWentIn) {
  const auto prefix = [](const char* text) { return *net::Prefix::parse(text); };
  const auto address = [](const char* text) { return *net::Address::parse(text); };
  GuardPlan plan;
  plan.book = "/somewhere";
  plan.generation = 5'000'000'000;
  plan.mark = 7;
  plan.uid = 8;
  plan.closed = {{prefix("10.0.0.0/8"), {}}, {prefix("::/0"), {3, 70000}}};
  plan.inside = {prefix("192.0.2.0/24")};
  plan.flows = {{address("1.2.3.4"), address("5.6.7.8")}, {address("::1"), address("::2")}};
  plan.peers = {address("5.6.7.8")};
  const auto bytes = encode_plan(plan);
  const auto again = decode_plan(bytes);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, plan);
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(decode_plan(ByteSpan(bytes).first(size))) << size;

  GuardChange change;
  change.generation = 9;
  change.close = plan.closed;
  change.open = {prefix("10.1.0.0/16")};
  change.not_inside = plan.inside;
  change.not_flows = plan.flows;
  change.peers = plan.peers;
  const auto short_bytes = encode_change(change);
  const auto changed = decode_change(short_bytes);
  ASSERT_TRUE(changed);
  EXPECT_EQ(encode_change(*changed), short_bytes);
  EXPECT_EQ(changed->close, change.close);
  EXPECT_EQ(changed->not_flows, change.not_flows);
  for (size_t size = 0; size < short_bytes.size(); ++size)
    EXPECT_FALSE(decode_change(ByteSpan(short_bytes).first(size))) << size;
  change.open = {prefix("10.0.0.0/8")};
  EXPECT_FALSE(decode_change(encode_change(change))) << "closed and opened by one change";
}

TEST(GuardWire, BytesThatWereAlteredAreReadOrRefusedAndNothingElse) {
  GuardPlan plan;
  plan.closed = {{*net::Prefix::parse("10.0.0.0/8"), {1, 2}}, {*net::Prefix::parse("2001:db8::/32"), {3}}};
  plan.inside = {*net::Prefix::parse("192.0.2.0/24")};
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    auto bytes = encode_plan(plan);
    for (unsigned j = 0; j <= random() % 4; ++j) bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    const auto read = decode_plan(bytes);
    if (!read) continue;
    for (const auto& [network, devices] : read->closed) ASSERT_EQ(network, network.masked());
  }
}

class GuardianTest : public GuardedHost {
 protected:
  void SetUp() override {
    GuardedHost::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::array<char, 32> pattern{"/tmp/adit-guardian-XXXXXX"};
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    run_dir = pattern.data();
    client = std::make_unique<GuardianClient>(GuardianClientSettings{"/test", run_dir, "/nonexistent"});
  }
  void TearDown() override {
    kill_guardian(SIGKILL);
    if (!run_dir.empty()) run("rm -rf " + run_dir);
    GuardedHost::TearDown();
  }
  // In a child, as the program does.
  void start_guardian(const std::optional<GuardPlan>& closes = std::nullopt, std::set<std::string> inside = {},
                      const std::optional<User>& as = std::nullopt) {
    std::optional<GuardianBook> book;
    if (closes) book = GuardianBook{*closes, std::move(inside)};
    guardian = fork();
    if (guardian == 0) {
      sigset_t stop;
      sigemptyset(&stop);
      sigaddset(&stop, SIGTERM);
      sigprocmask(SIG_BLOCK, &stop, nullptr);
      GuardianSettings settings{.root = "/test",
                                .run = run_dir,
                                .read_book = [book]() -> Result<std::optional<GuardianBook>> { return book; },
                                .say = {},
                                .opening =
                                    [this](const net::Prefix& network) {
                                      const bool stands = holds("nft list ruleset | grep -q " + network.str());
                                      std::ofstream(run_dir + "/opening", std::ios::app)
                                          << network.str() << (stands ? " stands\n" : " is open\n");
                                    },
                                .saved_rules = run_dir + "/nftables.conf"};
      if (as && !drop_privileges(kGuardianRole, as)) _exit(1);
      auto made = Guardian::start(std::move(settings));
      if (!made) {
        std::ofstream(run_dir + "/why") << made.error().code << " " << made.error().text;
        _exit(1);
      }
      (*made)->run(signalfd(-1, &stop, 0));
      made->reset();
      _exit(0);
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!listens() && access((run_dir + "/why").c_str(), F_OK) != 0 && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  [[nodiscard]] bool listens() const {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    (run_dir + "/guard.sock").copy(name.sun_path, sizeof name.sun_path - 1);
    const Descriptor one(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    return connect(one.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  }
  int kill_guardian(int signal) {
    if (guardian <= 0) return -1;
    kill(guardian, signal);
    int status = 0;
    waitpid(std::exchange(guardian, 0), &status, 0);
    if (signal == SIGKILL) unlink((run_dir + "/guard.sock").c_str());
    return status;
  }
  void expect_standing() {
    const auto state = client->state();
    EXPECT_TRUE(state.rule && state.lasting && state.owned) << state.trouble;
  }
  static bool eventually(const std::function<bool()>& holds_now, int seconds = 5) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (std::chrono::steady_clock::now() < until) {
      if (holds_now()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  std::string run_dir;
  pid_t guardian = 0;
  std::unique_ptr<GuardianClient> client;
};

TEST_F(GuardianTest, AnswersOnlyWhenAllLayersStandAndTellsWhatItPutsBack) {
  start_guardian();
  const auto done = client->replace(closing({"10.0.1.0/24"}));
  ASSERT_TRUE(done) << done.error().text;
  expect_standing();
  GuardChange change;
  change.generation = 2;
  change.close[prefix("10.0.2.0/24")] = {tunnel};
  ASSERT_TRUE(client->change(change));
  expect_standing();
  EXPECT_TRUE(holds("nft list table inet adit-own | grep -q 10.0.2.0/24"));
  std::string told;
  for (const char* act :
       {"nft flush ruleset", "ip rule del lookup 174", "ip route flush table 174", "ip -6 rule del lookup 174"}) {
    run(act);
    told.clear();
    EXPECT_TRUE(eventually([&] {
      for (const auto& sentence : client->tend()) told += sentence;
      return !told.empty();
    })) << act;
    expect_standing();
  }
}

TEST_F(GuardianTest, WithoutAPlanThatClosesTheBookIsClosedForEveryDevice) {
  GuardPlan book = closing({"10.0.1.0/24"});
  book.closed.begin()->second.clear();
  start_guardian(book);
  run("ip route add 10.0.1.0/24 dev t0 table 174 proto 173");
  const int before = through_tunnel();
  datagram("10.0.1.5");
  EXPECT_EQ(through_tunnel(), before);
  ASSERT_TRUE(client->replace(closing({"10.0.1.0/24"})));
  EXPECT_TRUE(datagram("10.0.1.5"));
  EXPECT_EQ(through_tunnel(), before + 1);
}

// At boot, before aditd and before the network: what comes on an interface that the operator called inside is
// reachable, and nothing else.
TEST_F(GuardianTest, WithoutAditdTheNetworksOfInsideInterfacesAreReachableWhenTheyCome) {
  GuardPlan book = closing({"172.16.0.0/12"});
  book.closed.begin()->second.clear();
  start_guardian(book, {"near1", "late0"});
  const auto thrown = [&](const char* network) {
    return holds(std::string("ip route show table 174 | grep -q 'throw ") + network + "'");
  };
  run("ip addr add 172.17.0.1/16 dev near1 && ip addr add 172.18.0.1/16 dev near0");
  EXPECT_TRUE(eventually([&] { return thrown("172.17.0.0/16"); }));
  EXPECT_FALSE(thrown("172.18.0.0/16")) << "near0 is not inside";
  go_far();
  run("ip addr add 172.17.0.2/16 dev lan1 && nft 'add table inet seen; table inet seen { chain c { type filter hook "
      "prerouting priority -500; ip daddr 172.17.0.2 counter; }; }'");
  go_near();
  EXPECT_TRUE(datagram("172.17.0.2"));
  EXPECT_TRUE(eventually([&] { return seen() == 1; }));
  run("ip link add late0 type veth peer name late1 && ip link set late0 up && ip addr add 172.19.0.1/16 dev late0");
  EXPECT_TRUE(eventually([&] { return thrown("172.19.0.0/16"); }));
  run("ip addr del 172.17.0.1/16 dev near1");
  EXPECT_TRUE(eventually([&] { return !thrown("172.17.0.0/16"); }));
  EXPECT_TRUE(thrown("172.19.0.0/16"));
}

TEST_F(GuardianTest, WhereAditdEndedAnInsideInterfacesNewNetworkIsReachable) {
  GuardPlan book = closing({"172.16.0.0/12"});
  start_guardian(book, {"near1"});
  ASSERT_TRUE(client->replace(closing({"172.16.0.0/12"})));
  client.reset();  // aditd ends
  run("ip addr add 172.17.0.1/16 dev near1");
  EXPECT_TRUE(eventually([&] { return holds("ip route show table 174 | grep -q 'throw 172.17.0.0/16'"); }));
  datagram("172.20.0.1");
  EXPECT_GE(through_tunnel(), 0) << "the rest of aditd's plan stands";
}

TEST_F(GuardianTest, KilledItLeavesTwoLayersAndTheNextTakesThemOver) {
  start_guardian();
  ASSERT_TRUE(client->replace(closing({"10.0.1.0/24"})));
  run("ip route add 10.0.1.0/24 via 192.0.2.2");
  count_far("ip daddr 10.0.1.5");
  kill_guardian(SIGKILL);
  EXPECT_FALSE(holds("nft list table inet adit-own"));
  datagram("10.0.1.5");
  forwarded("10.0.1.5");
  std::string told;
  for (const auto& sentence : client->tend()) told += sentence;
  EXPECT_NE(told.find("aditd keeps"), std::string::npos) << told;
  run("nft flush ruleset && ip rule del lookup 174");
  told.clear();
  for (const auto& sentence : client->tend()) told += sentence;
  EXPECT_NE(told.find("put back"), std::string::npos) << told;
  EXPECT_TRUE(holds("nft list table inet adit-guard >/dev/null && ip rule | grep -q 'lookup 174'"));
  const auto refused = client->replace(closing({"10.0.2.0/24"}));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("nothing new was opened"), std::string::npos);
  start_guardian();  // no book: what stands in the kernel
  EXPECT_TRUE(holds("nft list table inet adit-own | grep -q 10.0.1.0/24"));
  EXPECT_TRUE(eventually([&] {
    client->tend();
    const auto state = client->state();
    return state.rule && state.lasting && state.owned;
  }));
  EXPECT_TRUE(holds("nft list set inet adit-own pass4_24 | grep -q t0")) << "it has the whole plan again";
  datagram("10.0.1.5");
  forwarded("10.0.1.5");
  EXPECT_EQ(seen(), 0);
}

TEST_F(GuardianTest, WhatItOpensByAditdsWordIsToldRightBefore) {
  start_guardian();
  ASSERT_TRUE(client->replace(closing({"10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"})));
  GuardChange change;
  change.generation = 2;
  change.open = {prefix("10.0.1.0/24"), prefix("10.0.9.0/24")};
  change.close[prefix("10.0.4.0/24")] = {};
  ASSERT_TRUE(client->change(change));
  ASSERT_TRUE(client->replace(closing({"10.0.2.0/24", "10.0.5.0/24"})));
  EXPECT_EQ(output("cat " + run_dir + "/opening"), "10.0.1.0/24 stands\n10.0.3.0/24 stands\n10.0.4.0/24 stands\n");
}

// A guardian that hangs has requests waiting of which aditd has said by then that they failed.
TEST_F(GuardianTest, WhatAditdHasGivenUpIsNotCarriedOutLater) {
  start_guardian();
  ASSERT_TRUE(client->replace(closing({"10.0.1.0/24", "10.0.2.0/24"})));
  kill(guardian, SIGSTOP);
  GuardChange change;
  change.generation = 2;
  change.open = {prefix("10.0.1.0/24")};
  const auto given_up = client->change(change);
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().code, ETIMEDOUT) << given_up.error().text;
  kill(guardian, SIGCONT);
  run("sleep 1");
  const auto stand = [](const char* network) { return holds(std::string("nft list ruleset | grep -q ") + network); };
  EXPECT_TRUE(stand("10.0.1.0/24"));
  ASSERT_TRUE(client->change(change)) << "asked again it is done";
  EXPECT_FALSE(stand("10.0.1.0/24"));
  EXPECT_TRUE(stand("10.0.2.0/24"));
}

TEST_F(GuardianTest, StoppedItTakesItsOwnTableAndNothingElse) {
  start_guardian();
  ASSERT_TRUE(client->replace(closing({"10.0.1.0/24"})));
  EXPECT_EQ(kill_guardian(SIGTERM), 0);
  EXPECT_FALSE(holds("nft list table inet adit-own"));
  EXPECT_TRUE(holds("nft list table inet adit-guard >/dev/null && ip rule | grep -q 'lookup 174'"));
}

TEST_F(GuardianTest, ASecondOneOfTheSameDirectoryIsNotNeededAndOneOfAnotherRootIsRefused) {
  start_guardian();
  ASSERT_TRUE(client->replace(closing({"10.0.1.0/24"})));
  const auto second = Guardian::start({.root = "/test", .run = run_dir, .read_book = {}, .say = {}});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EBUSY);
  GuardianClient other(GuardianClientSettings{"/other", run_dir, "/nonexistent"});
  GuardPlan plan = closing({});
  plan.book = "/other";
  EXPECT_FALSE(other.replace(plan));
  run("mkdir " + run_dir + "/two");
  GuardPlan book = closing({"10.0.3.0/24"});
  const auto foreign =
      Guardian::start({.root = "/other",
                       .run = run_dir + "/two",
                       .read_book = [book]() -> Result<std::optional<GuardianBook>> { return GuardianBook{book, {}}; },
                       .say = {}});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, EBUSY);
  EXPECT_NE(foreign.error().text.find("/test"), std::string::npos);
  expect_standing();
}

TEST_F(GuardianTest, ARunDirectoryThatIsLostComesBackAndItIsReachedAgain) {
  start_guardian();
  ASSERT_TRUE(client->replace(closing({"10.0.1.0/24"})));
  run("rm -rf " + run_dir);
  GuardianClient next(GuardianClientSettings{"/test", run_dir, "/nonexistent"});
  EXPECT_TRUE(eventually([&] { return next.replace(closing({"10.0.1.0/24", "10.0.2.0/24"})).has_value(); }));
  EXPECT_FALSE(Guardian::start({.root = "/test", .run = run_dir, .read_book = {}, .say = {}}))
      << "its lock is back too";
  expect_standing();
}

TEST_F(GuardianTest, AsItsOwnUserItIsHeardByWhoeverAsksAndAnotherUserIsNot) {
  const auto own = find_user(kGuardianRole.user);
  if (own) {
    ASSERT_EQ(chown(run_dir.c_str(), own->uid, own->gid), 0);
  }
  start_guardian(std::nullopt, {}, own);
  const auto done = client->replace(closing({"10.0.1.0/24"}));
  EXPECT_TRUE(done) << done.error().text;
  expect_standing();
  kill_guardian(SIGTERM);
  const User stranger{61234, 61234};
  run("rm -rf " + run_dir + "/* && chown 61234:61234 " + run_dir);
  start_guardian(std::nullopt, {}, stranger);
  GuardianClient next(GuardianClientSettings{"/test", run_dir, "/nonexistent"});
  const auto refused = next.replace(closing({"10.0.1.0/24"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EPERM);
}

TEST_F(GuardianTest, ADeviceThatVanishedLosesItsPassAtOnce) {
  start_guardian();
  run("ip link add t1 type veth peer name t1x");
  GuardPlan plan = closing({"10.0.1.0/24"});
  plan.closed.begin()->second.push_back(index_of("t1"));
  ASSERT_TRUE(client->replace(plan));
  const std::string number = std::to_string(index_of("t1"));
  run("ip link del t1");
  EXPECT_TRUE(eventually([&] {
    return holds("! nft list table inet adit-own | grep -A3 'set pass4_24' | grep -q '\\b" + number + "\\b'") &&
           holds("! nft list table inet adit-guard | grep -A3 'set pass4_24' | grep -q '\\b" + number + "\\b'");
  }));
  expect_standing();
}

TEST_F(GuardianTest, OthersThanRootAreNotHeardAndRubbishEndsOnlyTheConversation) {
  start_guardian();
  run("chmod 755 " + run_dir);
  const std::string path = run_dir + "/guard.sock";
  const auto call = [&] {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, path.size());
    Descriptor one(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    return connect(one.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 ? std::move(one)
                                                                                          : Descriptor();
  };
  EXPECT_FALSE(as_user(65534, [&] { return call().valid(); }));
  std::mt19937 random(9);
  for (int i = 0; i < 200; ++i) {
    const Descriptor one = call();
    ASSERT_TRUE(one.valid());
    std::vector<uint8_t> bytes(random() % 64);
    for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
    if (bytes.size() >= 4 && i % 2 == 0) store_be32(bytes.data(), 0x41475501);
    send(one.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  ASSERT_TRUE(client->replace(closing({"10.0.1.0/24"})));
  expect_standing();
}

// The listener stays readable meanwhile.
TEST_F(GuardianTest, WithoutADescriptorForItsClientsItRests) {
  start_guardian();
  ASSERT_TRUE(client->replace(closing({"10.0.1.0/24"})));
  const auto entries = std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", guardian));
  const rlimit none{static_cast<rlim_t>(std::distance(begin(entries), end(entries))), 4096};
  ASSERT_EQ(prlimit(guardian, RLIMIT_NOFILE, &none, nullptr), 0);
  const auto used = [&] {
    std::ifstream file(fmt::format("/proc/{}/schedstat", guardian));
    uint64_t nanoseconds = 0;
    file >> nanoseconds;
    return std::chrono::nanoseconds(nanoseconds);
  };
  EXPECT_TRUE(listens());
  const auto before = used();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_LT(used() - before, std::chrono::milliseconds(200));
}

TEST(SavedRules, AFileThatHoldsTheGuardsTablesIsNamed) {
  std::array<char, 32> pattern{"/tmp/adit-saved-XXXXXX"};
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  const std::string dir = pattern.data(), main = dir + "/nftables.conf";
  EXPECT_TRUE(saved_rules_with_guard(main).empty()) << "no file";
  std::ofstream(main) << "flush ruleset\n# table inet adit-guard in words\ntable inet filter { }\ninclude \"" << dir
                      << "/*.nft\"\n";
  EXPECT_TRUE(saved_rules_with_guard(main).empty());
  std::ofstream(dir + "/a.nft") << "table inet adit-own { # progname\n flags owner\n}\n";
  const auto told = saved_rules_with_guard(main);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("a.nft"), std::string::npos);
  std::ofstream(main, std::ios::app) << "add table inet adit-guard\n";
  EXPECT_EQ(saved_rules_with_guard(main).size(), 2u);
  ASSERT_EQ(std::system(("rm -rf " + dir).c_str()), 0);
}

}  // namespace
}  // namespace adit::platform
