// A resolver that never answers, answers late, or answers otherwise than before: nobody waits for it, and what it does
// not say closes its own rule only.
#include "control/names.h"

#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>

#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

using ::testing::HasSubstr;

// Answers for a name when the test lets it; until then the thread that asks stays in it.
class SlowResolver final : public config::Resolver {
 public:
  ~SlowResolver() override = default;
  config::NameAnswer look_up(std::string_view name) const override {
    std::unique_lock lock(mutex_);
    most_ = std::max(most_, ++inside_);
    changed_.wait(lock, [&] { return over_ || answers_.contains(name); });
    --inside_;
    return over_ ? config::NameAnswer{} : answers_.find(name)->second;
  }
  std::vector<net::Address> host(std::string_view) const override { return {}; }
  std::optional<net::Prefix> network(std::string_view) const override { return std::nullopt; }
  std::optional<uint16_t> service(std::string_view) const override { return std::nullopt; }
  std::optional<uint8_t> protocol(std::string_view name) const override {
    return name == "tcp" ? std::optional<uint8_t>(6) : std::nullopt;
  }
  std::optional<std::string> host_name(const net::Address&) const override { return std::nullopt; }
  std::optional<std::string> service_name(uint16_t) const override { return std::nullopt; }
  std::optional<std::string> protocol_name(uint8_t) const override { return std::nullopt; }

  void say(const std::string& name, std::vector<net::Address> addresses, bool refused = false) {
    const std::lock_guard lock(mutex_);
    answers_[name] = {.addresses = std::move(addresses), .network = {}, .refused = refused};
    changed_.notify_all();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] int most_at_once() const {
    const std::lock_guard lock(mutex_);
    return most_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::map<std::string, config::NameAnswer, std::less<>> answers_;
  mutable int inside_ = 0, most_ = 0;
  bool over_ = false;
};

double seconds_of(const std::function<void()>& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

class NamesTest : public ::testing::Test {
 protected:
  void TearDown() override { resolver->end(); }
  void start() {
    Settings settings{.root = world.root, .run_dir = world.root + "/run", .workers = 1, .threads = false};
    settings.crypto = crypto::EngineKind::openssl;
    world.engine = std::make_unique<Engine>(settings, world.platform, world.clock, resolver);
    ASSERT_TRUE(world.engine->start());
  }
  // The answer has come, and the loop has heard the bell.
  void heard() {
    for (int tries = 0; tries < 40; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      world.engine->handle_names();
    }
  }
  void write_policy(const std::string& text) { world.write("/etc/inet/ipsecinit.conf", text); }
  [[nodiscard]] bool told(const std::string& kind, const std::string& subject) const {
    return std::ranges::any_of(world.engine->events().since(0), [&](const LogEvent& event) {
      return name_of(event.kind) == kind && event.subject == subject;
    });
  }
  DropReason decided(const std::string& tunnel, const char* destination) {
    const auto head = world.engine->policy().head_of(tunnel);
    net::Flow flow;
    flow.source = address_of("10.0.0.1");
    flow.destination = address_of(destination);
    flow.protocol = 6;
    const spd::Rule* rule = head ? head->lookup(flow, spd::Direction::out) : nullptr;
    if (rule == nullptr) return DropReason::no_rule;
    return rule->actions.front().verb == spd::Verb::drop ? DropReason::rule_drop : DropReason::none;
  }

  EngineWorld world;
  std::shared_ptr<SlowResolver> resolver = std::make_shared<SlowResolver>();
};

constexpr const char* kIpsec = " ipsec { encr_algs aes-gcm sa shared }\n";

TEST_F(NamesTest, AStartWithADeadResolverTakesLessThanTwoSeconds) {
  std::string policy = "{ tunnel t0 negotiate tunnel raddr 10.0.1.0/24 }" + std::string(kIpsec);
  for (int i = 0; i < 19; ++i) policy += fmt::format("{{ tunnel t1 negotiate tunnel raddr name{} }}{}", i, kIpsec);
  write_policy(policy);
  EXPECT_LT(seconds_of([&] { start(); }), 2.0);
  EXPECT_EQ(resolver->most_at_once(), 19) << "all of them at once";
  EXPECT_EQ(world.engine->services().state(kPolicyService), ServiceState::online);
  EXPECT_EQ(decided("t0", "10.0.1.9"), DropReason::none);
  EXPECT_EQ(decided("t1", "10.0.2.9"), DropReason::no_rule);
}

TEST_F(NamesTest, ItsOwnRuleIsClosedAndOpensByOneSwap) {
  write_policy("{ tunnel t0 negotiate tunnel raddr nas }" + std::string(kIpsec) +
               "{ tunnel t0 negotiate tunnel raddr 10.0.1.0/24 }" + kIpsec);
  start();
  EXPECT_EQ(decided("t0", "10.0.1.9"), DropReason::none);
  EXPECT_EQ(decided("t0", "10.0.5.5"), DropReason::no_rule);
  const auto generation = world.engine->policy().heads()->generation;
  resolver->say("nas", {address_of("10.0.5.5")});
  heard();
  EXPECT_EQ(decided("t0", "10.0.5.5"), DropReason::none);
  EXPECT_EQ(world.engine->policy().heads()->generation, generation + 1);
}

TEST_F(NamesTest, ARefreshDoesNotWaitAndTellsAndTriesAgain) {
  start();
  write_policy("{ tunnel t0 negotiate tunnel raddr nas }" + std::string(kIpsec));
  Result<Outcome> loaded;
  EXPECT_LT(seconds_of([&] { loaded = world.engine->policy().load_files(); }), 0.5);
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->notes.size(), 1u);
  EXPECT_THAT(loaded->notes[0], HasSubstr("'nas' does not resolve"));
  world.clock.advance(Seconds(11));
  world.engine->tick();
  EXPECT_TRUE(told("name.unresolved", "nas"));
  const auto waiting = world.engine->policy().head_of("t0")->rules();
  EXPECT_TRUE(std::ranges::all_of(waiting, &spd::Rule::waits));

  resolver->say("nas", {});  // "try again"
  heard();
  resolver->say("nas", {address_of("10.0.5.5")});
  for (int second = 0; second < 10 && decided("t0", "10.0.5.5") != DropReason::none; ++second) {
    world.clock.advance(Seconds(1));
    world.engine->tick();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    world.engine->handle_names();
  }
  EXPECT_EQ(decided("t0", "10.0.5.5"), DropReason::none);
  EXPECT_TRUE(told("name.resolved", "nas"));
}

// Neither the traffic of a rule that would protect, nor that of a tunnel that has no other rule, passes in the clear.
TEST_F(NamesTest, NothingPassesInTheClearMeanwhile) {
  write_policy("{ tunnel t0 negotiate tunnel raddr nas } bypass { }\n{ tunnel t1 negotiate tunnel raddr nas }" +
               std::string(kIpsec));
  start();
  ASSERT_TRUE(world.create("t0", false));
  ASSERT_TRUE(world.create("t1", false, "5.6.7.9"));
  for (const char* tunnel : {"t0", "t1"}) {
    EXPECT_TRUE(world.engine->policy().head_of(tunnel)->active()) << "without a rule it would pass clear text";
    EXPECT_EQ(decided(tunnel, "10.0.5.5"), DropReason::no_rule);
  }
}

TEST_F(NamesTest, WhatANameProtectedStaysGuardedWhileItDoesNotResolve) {
  write_policy("{ tunnel t0 negotiate tunnel raddr nas }" + std::string(kIpsec));
  resolver->say("nas", {address_of("10.0.5.5")});
  start();
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.closed("10.0.5.5/32"));
  world.kill();
  resolver->end();
  resolver = std::make_shared<SlowResolver>();
  start();
  EXPECT_TRUE(world.closed("10.0.5.5/32"));
  EXPECT_FALSE(world.leak("10.0.5.5"));
}

TEST_F(NamesTest, AResolverThatIsAwayTakesNothingBackButItsWordDoes) {
  write_policy("{ tunnel t0 negotiate tunnel raddr nas }" + std::string(kIpsec));
  resolver->say("nas", {address_of("10.0.5.5")});
  start();
  ASSERT_EQ(decided("t0", "10.0.5.5"), DropReason::none);
  resolver->say("nas", {});
  ASSERT_TRUE(world.engine->policy().load_files());
  heard();
  EXPECT_EQ(decided("t0", "10.0.5.5"), DropReason::none);
  resolver->say("nas", {}, true);
  ASSERT_TRUE(world.engine->policy().load_files());
  heard();
  EXPECT_EQ(decided("t0", "10.0.5.5"), DropReason::no_rule);
}

TEST_F(NamesTest, WhatOthersChangedMeanwhileStays) {
  write_policy("{ tunnel t0 negotiate tunnel raddr nas }" + std::string(kIpsec) +
               "{ tunnel t1 negotiate tunnel raddr 10.0.1.0/24 }" + kIpsec);
  start();
  ASSERT_TRUE(world.engine->policy().flush_rules({.uid = 0, .pid = 1, .owner = {}}, "t1"));
  write_policy("{ this is being edited");
  resolver->say("nas", {address_of("10.0.5.5")});
  heard();
  EXPECT_EQ(decided("t0", "10.0.5.5"), DropReason::none);
  EXPECT_EQ(decided("t1", "10.0.1.9"), DropReason::no_rule);
}

TEST_F(NamesTest, ATunnelAndItsPropertyAndAKeyWaitForTheirNames) {
  start();
  const auto made =
      world.engine->links().create({.name = "t0",
                                    .local = "1.2.3.4",
                                    .remote = "bob",
                                    .secured = true,
                                    .properties = {{"ipsec", std::string("{ negotiate tunnel raddr nas }") + kIpsec}}});
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_FALSE(world.carrier("t0"));
  EXPECT_THAT(world.engine->links().why_closed("t0"), HasSubstr("'bob' does not resolve"));
  world.write(
      "/etc/inet/secret/ipseckeys",
      "add esp spi 0x1001 src 1.2.3.4 dst bob encr_alg aes-gcm encrkey 0123456789abcdef0123456789abcdef01234567\n"
      "add esp spi 0x1002 src 5.6.7.8 dst 1.2.3.4 encr_alg aes-gcm encrkey 1123456789abcdef0123456789abcdef01234567\n");
  ASSERT_TRUE(world.engine->keys().load_file());
  EXPECT_EQ(world.engine->keys().keys().size(), 1u);
  resolver->say("bob", {address_of("5.6.7.8")});
  resolver->say("nas", {address_of("10.0.5.5")});
  heard();
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_EQ(decided("t0", "10.0.5.5"), DropReason::none);
  EXPECT_EQ(world.engine->keys().keys().size(), 2u);
  EXPECT_TRUE(world.closed("10.0.5.5/32"));
}

TEST_F(NamesTest, ThePutBackOfTheGuardDoesNotWait) {
  start();
  write_policy("{ tunnel t0 negotiate tunnel raddr 10.0.1.0/24 }" + std::string(kIpsec));
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.engine->policy().load_files());
  write_policy("{ tunnel t0 negotiate tunnel raddr 10.0.1.0/24 }" + std::string(kIpsec) +
               "{ tunnel t0 negotiate tunnel raddr nas }" + kIpsec);
  world.platform.others_flush_nftables();
  EXPECT_LT(seconds_of([&] {
              ASSERT_TRUE(world.engine->policy().load_files());
              world.engine->tick();
              world.engine->handle_platform_changes();
            }),
            0.5);
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
}

TEST(LookUps, AreBoundedInNumberAndAnswerAllTheSame) {
  const auto resolver = std::make_shared<SlowResolver>();
  LookUps look_ups(resolver);
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i) look_ups.ask(names.emplace_back(fmt::format("n{}", i)));
  look_ups.wait(names, std::chrono::milliseconds(50));
  EXPECT_LE(resolver->most_at_once(), static_cast<int>(kMostLookUps));
  for (const auto& name : names) resolver->say(name, {address_of("10.0.0.9")});
  look_ups.wait(names, std::chrono::seconds(20));
  EXPECT_EQ(look_ups.take().size(), 200u);
}

}  // namespace
}  // namespace adit::engine
