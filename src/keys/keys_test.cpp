#include "keys/keys.h"

#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

constexpr const char* kKey = "0123456789abcdef0123456789abcdef01234567";  // AES-128 and the salt of GCM
constexpr const char* kOtherKey = "fedcba9876543210fedcba9876543210fedcba98";

std::string add_line(int spi, const char* source, const char* destination, const char* key) {
  return fmt::format("add esp spi {:#x} src {} dst {} isrc 0.0.0.0/0 idst 0.0.0.0/0 encr_alg aes-gcm encrkey {}\n", spi,
                     source, destination, key);
}
std::string both(const char* key) {
  return add_line(0x1001, "1.2.3.4", "5.6.7.8", key) + add_line(0x1002, "5.6.7.8", "1.2.3.4", key);
}

class KeysTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(world.start()); }
  Result<Outcome> load(const std::string& text) {
    world.write("/etc/inet/secret/ipseckeys", text);
    return world.engine->keys().load_file();
  }
  sad::SaPtr find(uint32_t spi, const char* destination) {
    const auto found = world.engine->keys().keys().get({sad::SaType::esp, sad::Spi{spi}, address_of(destination)}, {});
    return found ? *found : nullptr;
  }
  EngineWorld world;
};

TEST_F(KeysTest, TheFileIsPublishedToPackets) {
  const auto loaded = load(both(kKey));
  ASSERT_TRUE(loaded) << loaded.error().text;
  const auto snapshot = world.engine->dataplane().shared().publisher.get();
  EXPECT_EQ(snapshot->sas->size(), 2u);
  EXPECT_NE(snapshot->sas->find(sad::Spi{0x1002}, sad::SaType::esp, address_of("1.2.3.4")), nullptr);
}

TEST_F(KeysTest, LoadingTheSameAgainTouchesNoAssociation) {
  ASSERT_TRUE(load(both(kKey)));
  const auto before = find(0x1001, "5.6.7.8");
  ASSERT_NE(before, nullptr);
  before->reserve_sequence(100);
  ASSERT_TRUE(load(both(kKey)));
  EXPECT_EQ(find(0x1001, "5.6.7.8"), before) << "a new one would repeat its IVs";
  ASSERT_TRUE(load(both(kOtherKey)));
  EXPECT_NE(find(0x1001, "5.6.7.8"), before);
}

TEST_F(KeysTest, WhatTheFileNoLongerNamesGoes) {
  ASSERT_TRUE(load(both(kKey)));
  ASSERT_TRUE(load(add_line(0x1001, "1.2.3.4", "5.6.7.8", kKey)));
  EXPECT_NE(find(0x1001, "5.6.7.8"), nullptr);
  EXPECT_EQ(find(0x1002, "1.2.3.4"), nullptr);
  ASSERT_TRUE(world.engine->keys().flush_global());
  EXPECT_EQ(world.engine->dataplane().shared().publisher.get()->sas->size(), 0u);
}

TEST_F(KeysTest, AnErrorAnywhereChangesNothing) {
  ASSERT_TRUE(load(both(kKey)));
  for (const std::string& wrong :
       {both(kKey) + "add esp spi 0x99 src 1.2.3.4 dst 5.6.7.8 encr_alg aes-gcm encrkey 12\n",
        both(kKey) + add_line(0x1001, "1.2.3.4", "5.6.7.8", kOtherKey), add_line(200, "1.2.3.4", "5.6.7.8", kKey)}) {
    const auto loaded = load(wrong);
    ASSERT_FALSE(loaded) << wrong;
    EXPECT_EQ(loaded.error().text.find(kKey), std::string::npos) << "no error shows a key";
    EXPECT_NE(find(0x1001, "5.6.7.8"), nullptr);
    EXPECT_NE(find(0x1002, "1.2.3.4"), nullptr);
  }
}

TEST_F(KeysTest, AFileThatOthersMayReadIsRefused) {
  world.write("/etc/inet/secret/ipseckeys", both(kKey));
  std::filesystem::permissions(world.root + "/etc/inet/secret/ipseckeys", std::filesystem::perms(0644));
  const auto loaded = world.engine->keys().load_file();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, EPERM);
  EXPECT_EQ(find(0x1001, "5.6.7.8"), nullptr);
}

TEST_F(KeysTest, ARestartedDaemonNeverRepeatsASequenceNumberOfAKey) {
  ASSERT_TRUE(load(both(kKey)));
  const auto out = find(0x1001, "5.6.7.8");
  ASSERT_TRUE(out->spec.outbound);
  uint64_t highest = 0;
  for (int second = 0; second < 3; ++second) {
    highest = *out->reserve_sequence(50'000) + 49'999;
    world.clock.advance(Seconds(1));
    world.engine->tick();
  }
  world.kill();
  for (const bool boot : {false, true}) {
    if (boot) world.reboot();
    ASSERT_TRUE(world.start());
    ASSERT_TRUE(world.engine->keys().load_file());
    const auto again = find(0x1001, "5.6.7.8");
    ASSERT_NE(again, nullptr);
    const auto next = again->reserve_sequence(1);
    ASSERT_TRUE(next);
    EXPECT_GT(*next, highest) << (boot ? "after a boot" : "after a kill");
    highest = *next;
    world.kill();
  }
}

TEST_F(KeysTest, APacketWithoutAnSaRaisesOneAcquire) {
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  const auto head = world.engine->policy().head_of("t0");
  const auto rule = std::ranges::find(head->rules(), spd::Direction::out, &spd::Rule::direction);
  ASSERT_NE(rule, head->rules().end());
  std::vector<sad::Acquire> raised;
  world.engine->keys().listen_to_keys([&](const sad::Event& event) {
    if (const auto* acquire = std::get_if<sad::AcquireRaised>(&event)) raised.push_back(acquire->acquire);
  });
  const datapath::AcquireNeeded wanted{*world.engine->links().id_of("t0"), rule->index, {}};
  for (int i = 0; i < 3; ++i) {
    world.engine->dataplane().shared().events.put(wanted);
    world.engine->handle_worker_events();
  }
  ASSERT_EQ(raised.size(), 1u);
  EXPECT_EQ(raised[0].key.link, "t0");
  EXPECT_EQ(raised[0].outer.remote, address_of("5.6.7.8"));
}

// ---- PF_POLICY's side of the engine

PolicyCaller caller(const char* name_space) {
  return {.owner = {name_space, false}};
}

TEST(PolicyFlips, AnUnconfirmedFlipIsUndoneInTime) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  auto& policy = world.engine->policy();
  spd::Draft empty = policy.database().empty_draft("");
  ASSERT_TRUE(policy.flip(caller(""), empty, {}, {.confirm_seconds = 10}));
  EXPECT_FALSE(world.carrier("t0"));
  spd::Draft another = policy.database().empty_draft("");
  EXPECT_EQ(policy.flip(caller(""), another, {}, {}).error().code, EBUSY);
  world.clock.advance(Seconds(9));
  world.engine->tick();
  EXPECT_FALSE(world.carrier("t0"));
  world.clock.advance(Seconds(2));
  world.engine->tick();
  EXPECT_TRUE(world.carrier("t0"));
  EXPECT_EQ(policy.confirm_flip(caller("")).error().code, ESRCH);
}

TEST(PolicyFlips, AConfirmedFlipStands) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0")));
  auto& policy = world.engine->policy();
  spd::Draft empty = policy.database().empty_draft("");
  ASSERT_TRUE(policy.flip(caller(""), empty, {}, {.confirm_seconds = 10}));
  ASSERT_TRUE(policy.confirm_flip(caller("")));
  world.clock.advance(Seconds(20));
  world.engine->tick();
  EXPECT_FALSE(world.carrier("t0"));
}

TEST(PolicyFlips, OnlyRootAndTheDaemonsUserMayUseIt) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  auto stranger = caller("");
  stranger.uid = 54321;
  EXPECT_EQ(world.engine->policy().permit(stranger, {}, false).error().code, EPERM);
  EXPECT_TRUE(world.engine->policy().permit(caller(""), {}, true));
}

}  // namespace
}  // namespace adit::engine
