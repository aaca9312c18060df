#include "namespaces/namespaces.h"

#include "engine/testing/engine_world.h"
#include "spd/testing/samples.h"

namespace adit::engine {
namespace {

constexpr const char* kVpn = "svc:/site/vpn:default";
constexpr const char* kNfs = "svc:/site/nfs:default";
constexpr uid_t kUser = 54321, kStranger = 54322;

PolicyCaller caller(uid_t uid, const char* name, uint64_t connection = 1) {
  return {.uid = uid, .owner = {name, false}, .connection = connection};
}
PeerCredentials peer(uid_t uid, uint64_t connection = 2) {
  return {0, uid, 0, connection};
}

std::vector<spd::Rule> entries(spd::Action action, spd::Mode mode = spd::Mode::tunnel, spd::Selector selector = {}) {
  return spd::expand(spd::samples::both_ways(std::move(action), mode, std::move(selector)));
}

sad::SaRequest association(uint32_t spi) {
  sad::SaRequest request;
  request.spec.spi = sad::Spi{spi};
  request.spec.source = address_of("1.2.3.4");
  request.spec.destination = address_of("5.6.7.8");
  request.spec.encr = crypto::EncrAlg::aes_gcm16;
  request.spec.encr_key = Secret(16);
  request.spec.encr_key.bytes()[0] = 1;
  request.spec.salt = Secret(4);
  return request;
}

class NamespacesTest : public ::testing::Test {
 protected:
  void SetUp() override { begin(); }
  void begin() {
    ASSERT_TRUE(world.start());
    if (world.engine->namespaces().list().empty())
      ASSERT_TRUE(namespaces().create(kVpn, {.users = {kUser}, .tunnels = {"vpn*"}, .rules = 8, .sas = 2}));
  }
  Namespaces& namespaces() { return world.engine->namespaces(); }
  Policy& policy() { return world.engine->policy(); }
  Keys& keys() { return world.engine->keys(); }
  NamespaceInfo info(const char* name = kVpn) {
    for (const auto& one : namespaces().list()) {
      if (one.record.name == name) return one;
    }
    return {};
  }
  // What PF_POLICY does with one ADDRULE.
  Result<> add(const PolicyCaller& who, const char* head, spd::Action action = spd::samples::gcm()) {
    TRY(policy().permit(who, head, true));
    const auto mode = *head == '\0' ? spd::Mode::none : spd::Mode::tunnel;
    TRY(policy().add_rules(who, head, entries(std::move(action), mode)));
    return {};
  }
  void expect_refused(const Result<>& result, int code, const char* word) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().text;
    EXPECT_NE(result.error().text.find(word), std::string::npos) << result.error().text;
  }
  void pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      world.clock.advance(Seconds(1));
      world.engine->tick();
    }
  }
  [[nodiscard]] bool told(const char* kind) {
    return std::ranges::any_of(world.engine->events().since(0),
                               [&](const auto& event) { return name_of(event.kind) == kind; });
  }
  EngineWorld world;
};

TEST_F(NamespacesTest, ItsUserActsOnItsTunnelsAndNowhereElse) {
  EXPECT_TRUE(add(caller(kUser, kVpn), "vpn0"));
  expect_refused(add(caller(kUser, kVpn), "other0"), EPERM, "other0");
  expect_refused(add(caller(kUser, kVpn), ""), EPERM, "host");
  expect_refused(add(caller(kUser, ""), "vpn0"), EPERM, "global namespace");
  expect_refused(add(caller(kUser, kNfs), "vpn0"), EPERM, "root");
  expect_refused(add(caller(kStranger, kVpn), "vpn0"), EPERM, "54321");
  auto nosy = caller(kUser, kVpn);
  nosy.all_namespaces = true;
  expect_refused(policy().permit(nosy, {}, false), EPERM, "other namespaces");
  auto bold = caller(kUser, kVpn);
  bold.owner.override_others = true;
  expect_refused(policy().permit(bold, "vpn0", true), EPERM, "override");
  EXPECT_TRUE(policy().permit(caller(kUser, kVpn), {}, true));
  EXPECT_EQ(policy().set_algorithms(caller(kUser, kVpn), policy().algorithms()).error().code, EPERM);
  EXPECT_TRUE(policy().may_see(caller(kUser, kVpn), kVpn));
  EXPECT_FALSE(policy().may_see(caller(kUser, kVpn), ""));
  EXPECT_EQ(policy().database().size(), 4u);
}

TEST_F(NamespacesTest, ClearTextIsARightOfItsOwn) {
  expect_refused(add(caller(kUser, kVpn), "vpn0", spd::samples::bypass()), EPERM, "clear text");
  spd::Draft draft = policy().database().empty_draft(kVpn);
  ASSERT_TRUE(policy().database().add(draft, "vpn0", entries(spd::samples::bypass())));
  EXPECT_EQ(policy().flip(caller(kUser, kVpn), draft, {}, {}).error().code, EPERM);
  ASSERT_TRUE(namespaces().delegate(kVpn, {.bypass = true}));
  EXPECT_TRUE(policy().flip(caller(kUser, kVpn), draft, {}, {}));
}

TEST_F(NamespacesTest, ADraftOfAWiderDelegationDoesNotComeIntoForce) {
  spd::Draft draft = policy().database().empty_draft(kVpn);
  ASSERT_TRUE(policy().database().add(draft, "vpn0", entries(spd::samples::gcm())));
  ASSERT_TRUE(namespaces().revoke(kVpn, {.tunnels = {"vpn*"}}));
  const auto flipped = policy().flip(caller(kUser, kVpn), draft, {}, {});
  ASSERT_FALSE(flipped);
  EXPECT_EQ(flipped.error().code, EPERM);
  EXPECT_EQ(policy().database().size(), 0u);
}

TEST_F(NamespacesTest, QuotasBoundRulesAndSas) {
  ASSERT_TRUE(add(caller(kUser, kVpn), "vpn0"));
  ASSERT_TRUE(add(caller(kUser, kVpn), "vpn1"));
  expect_refused(add(caller(kUser, kVpn), "vpn2"), EDQUOT, kVpn);
  for (uint32_t spi : {0x2001, 0x2002}) ASSERT_TRUE(keys().keys().add(association(spi), {kVpn}));
  EXPECT_EQ(keys().keys().add(association(0x2003), {kVpn}).error().code, EDQUOT);
  EXPECT_EQ(info().rules, 8u);
  EXPECT_EQ(info().sas, 2u);
}

TEST_F(NamespacesTest, KeysAreMadeBetweenTheAddressesOfItsTunnels) {
  ASSERT_TRUE(world.create("vpn0", true, "5.6.7.8"));
  ASSERT_TRUE(world.create("other0", true, "5.6.7.9"));
  const auto outer = [&](const char* source, const char* destination, uid_t uid = kUser) {
    return keys().permit_outer(peer(uid), {kVpn}, address_of(source), address_of(destination));
  };
  EXPECT_TRUE(outer("1.2.3.4", "5.6.7.8"));
  EXPECT_TRUE(outer("5.6.7.8", "1.2.3.4"));
  expect_refused(outer("1.2.3.4", "5.6.7.9"), EPERM, "other0");
  expect_refused(outer("1.2.3.4", "9.9.9.9"), EPERM, "9.9.9.9");
  expect_refused(outer("5.6.7.8", "5.6.7.8"), EPERM, "no tunnel");
  expect_refused(outer("0.0.0.0", "5.6.7.8"), EPERM, "no tunnel");
  EXPECT_TRUE(outer("1.2.3.4", "9.9.9.9", 0));
  expect_refused(keys().permit(peer(kUser), {""}), EPERM, "global namespace");
  expect_refused(keys().permit(peer(kUser), {kVpn, true}), EPERM, "override");
  EXPECT_TRUE(keys().may_see(peer(kUser), kVpn));
  EXPECT_FALSE(keys().may_see(peer(kUser), ""));
  EXPECT_FALSE(keys().may_see(peer(kUser), kNfs));
}

TEST_F(NamespacesTest, RecordsOutliveTheirOwner) {
  ASSERT_TRUE(world.create("vpn0", true));
  EXPECT_EQ(info().state, NamespaceState::empty);
  ASSERT_TRUE(add(caller(kUser, kVpn, 7), "vpn0"));
  ASSERT_TRUE(policy().permit(caller(kUser, kVpn, 8), {}, false));
  EXPECT_EQ(info().state, NamespaceState::owned);
  policy().connection_closed(caller(kUser, "", 7));
  EXPECT_EQ(info().state, NamespaceState::owned);
  policy().connection_closed(caller(kUser, "", 8));
  EXPECT_EQ(info().state, NamespaceState::ownerless);
  EXPECT_FALSE(told("namespace.ownerless")) << "who comes and goes is no news";
  pass(3600);
  EXPECT_TRUE(told("namespace.ownerless"));
  EXPECT_EQ(info().rules, 4u);
  EXPECT_TRUE(world.carrier("vpn0"));
  ASSERT_TRUE(policy().permit(caller(0, kVpn, 9), {}, false)) << "root reads";
  EXPECT_EQ(info().state, NamespaceState::ownerless);
  ASSERT_TRUE(keys().permit(peer(kUser, 10), {kVpn}));
  EXPECT_EQ(info().state, NamespaceState::owned);
  EXPECT_TRUE(told("namespace.owned"));
}

TEST_F(NamespacesTest, ALeaseClosesWhatItsOwnerLeft) {
  ASSERT_TRUE(namespaces().delegate(kVpn, {.lease_seconds = 30}));
  ASSERT_TRUE(world.create("vpn0", true, "5.6.7.8"));
  ASSERT_TRUE(world.create("vpn1", false, "5.6.7.9"));
  ASSERT_TRUE(add(caller(kUser, kVpn), "vpn0"));
  ASSERT_TRUE(add(caller(kUser, kVpn), "vpn1"));
  ASSERT_TRUE(keys().keys().add(association(0x2001), {kVpn}));
  keys().keys_changed();
  ASSERT_TRUE(world.load_policy("{ tunnel other0 negotiate tunnel } ipsec { encr_algs aes-gcm sa shared }\n"));
  pass(100);
  EXPECT_EQ(info().rules, 8u) << "its owner is there";
  policy().connection_closed(caller(kUser, ""));
  pass(29);
  EXPECT_EQ(info().state, NamespaceState::leased);
  EXPECT_EQ(info().lease_left, 1u);
  EXPECT_TRUE(world.carrier("vpn0"));
  ASSERT_TRUE(policy().permit(caller(kUser, kVpn, 5), {}, false));  // it returns in time
  policy().connection_closed(caller(kUser, "", 5));
  pass(29);
  EXPECT_TRUE(world.carrier("vpn1"));
  pass(1);
  EXPECT_EQ(info().rules + info().sas, 0u);
  EXPECT_EQ(info().state, NamespaceState::empty);
  EXPECT_TRUE(told("namespace.expired"));
  for (const char* tunnel : {"vpn0", "vpn1"}) EXPECT_FALSE(world.carrier(tunnel)) << tunnel;
  EXPECT_EQ(world.published("vpn1"), "down");
  EXPECT_EQ(policy().database().size_of(""), 4u);

  world.kill();  // nor does the next daemon open it
  ASSERT_TRUE(world.start());
  EXPECT_FALSE(world.carrier("vpn1"));
  ASSERT_TRUE(add(caller(kUser, kVpn), "vpn1"));
  EXPECT_TRUE(world.carrier("vpn1"));
}

TEST_F(NamespacesTest, ALeaseKeepsWhatClosesTheHost) {
  ASSERT_TRUE(namespaces().create(kNfs, {.lease_seconds = 5}));
  ASSERT_TRUE(add(caller(0, kNfs), "", spd::samples::drop()));
  policy().connection_closed(caller(0, ""));
  pass(20);
  EXPECT_EQ(info(kNfs).rules, 4u);
  EXPECT_EQ(info(kNfs).state, NamespaceState::ownerless);
  const auto deleted = namespaces().remove(kNfs, true);
  ASSERT_FALSE(deleted);
  EXPECT_EQ(deleted.error().code, EBUSY);
  EXPECT_NE(deleted.error().text.find("ipsecconf -N"), std::string::npos);
  ASSERT_TRUE(policy().flush_rules(caller(0, kNfs), {}));
  EXPECT_TRUE(namespaces().remove(kNfs, true));
}

TEST_F(NamespacesTest, TakingItsRulesBackOpensNoUnsecuredTunnel) {
  ASSERT_TRUE(world.create("vpn0", false));
  ASSERT_TRUE(add(caller(kUser, kVpn), "vpn0"));
  EXPECT_TRUE(world.carrier("vpn0"));
  ASSERT_TRUE(policy().flush_rules(caller(kUser, kVpn), {}));
  EXPECT_FALSE(world.carrier("vpn0"));
  const auto links = world.engine->links().show_link("vpn0");
  ASSERT_TRUE(links);
  EXPECT_NE(links->front().why_down.find(kVpn), std::string::npos) << links->front().why_down;
  ASSERT_TRUE(world.engine->links().bring_up());  // svcadm restart network/iptun: the operator opens
  EXPECT_TRUE(world.carrier("vpn0"));
}

TEST_F(NamespacesTest, DeletingNeedsItsRecordsGoneOrClosesThem) {
  ASSERT_TRUE(world.create("vpn0", true));
  ASSERT_TRUE(add(caller(kUser, kVpn), "vpn0"));
  const auto refused = namespaces().remove(kVpn, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EBUSY);
  EXPECT_TRUE(world.carrier("vpn0"));
  const auto deleted = namespaces().remove(kVpn, true);
  ASSERT_TRUE(deleted) << deleted.error().text;
  ASSERT_FALSE(deleted->notes.empty());
  EXPECT_NE(deleted->notes.front().find("vpn0"), std::string::npos);
  EXPECT_FALSE(world.carrier("vpn0"));
  EXPECT_TRUE(namespaces().list().empty());
  expect_refused(add(caller(kUser, kVpn), "vpn0"), EPERM, "not delegated");
  EXPECT_EQ(namespaces().remove(kVpn, false).error().code, ENOENT);
}

TEST_F(NamespacesTest, RevokingStopsItsUserAtOnce) {
  ASSERT_TRUE(add(caller(kUser, kVpn), "vpn0"));
  EXPECT_EQ(namespaces().revoke(kVpn, {.users = {kStranger}}).error().code, ENOENT);
  EXPECT_EQ(namespaces().revoke(kVpn, {.tunnels = {"nfs*"}}).error().code, ENOENT);
  const auto revoked = namespaces().revoke(kVpn, {});
  ASSERT_TRUE(revoked);
  EXPECT_FALSE(revoked->notes.empty());
  EXPECT_EQ(info().state, NamespaceState::ownerless);
  expect_refused(add(caller(kUser, kVpn), "vpn1"), EPERM, "not delegated");
  EXPECT_FALSE(keys().may_see(peer(kUser), kVpn));
  EXPECT_EQ(info().rules, 4u);
}

TEST_F(NamespacesTest, WhatIsDecidedSurvivesTheDaemon) {
  const auto before = info().record;
  for (const bool boot : {false, true}) {
    if (boot)
      world.reboot();
    else
      world.kill();
    ASSERT_TRUE(world.start());
    EXPECT_EQ(info().record, before);
    EXPECT_TRUE(add(caller(kUser, kVpn), "vpn0"));
    EXPECT_EQ(add(caller(kUser, kVpn), "other0").error().code, EPERM);
  }
}

TEST_F(NamespacesTest, ARegistryThatCannotBeReadDelegatesNothingAndStays) {
  world.kill();
  world.write("/etc/adit/namespaces", "[{\"name\":");
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(told("namespace.failed"));
  expect_refused(add(caller(kUser, kVpn), "vpn0"), EPERM, "not delegated");
  EXPECT_FALSE(namespaces().create(kNfs, {}));
  EXPECT_EQ(world.file("/etc/adit/namespaces"), "[{\"name\":");
}

TEST_F(NamespacesTest, KilledAtAnyStepOfSavingTheOldOrTheNewStands) {
  for (const char* point : {"namespaces:opened", "namespaces:written", "namespaces:synced", "namespaces:renamed"}) {
    static std::string wanted;
    wanted = point;
    set_crash_hook([](std::string_view name) {
      if (name == wanted) throw Killed{};
    });
    EXPECT_THROW((void)namespaces().delegate(kVpn, {.rules = 400}), Killed) << point;
    set_crash_hook(nullptr);
    world.kill();
    ASSERT_TRUE(world.start());
    EXPECT_TRUE(info().record.rules == 8 || info().record.rules == 400) << point;
    EXPECT_EQ(info().record.users, std::set<uid_t>{kUser});
    ASSERT_TRUE(namespaces().delegate(kVpn, {.rules = 8}));
  }
}

TEST_F(NamespacesTest, CommandsSayWhatIsWrong) {
  EXPECT_EQ(namespaces().create(kVpn, {}).error().code, EEXIST);
  EXPECT_EQ(namespaces().create("a b", {}).error().code, EINVAL);
  EXPECT_EQ(namespaces().create("", {}).error().code, EINVAL);
  EXPECT_EQ(namespaces().create(kIptunService, {}).error().code, EPERM);
  EXPECT_EQ(namespaces().create("a", {.users = {0}}).error().code, EINVAL);
  EXPECT_EQ(namespaces().create("a", {.tunnels = {"a/b"}}).error().code, EINVAL);
  EXPECT_EQ(namespaces().create("a", {.rules = 0}).error().code, EINVAL);
  EXPECT_EQ(namespaces().delegate("a", {}).error().code, ENOENT);
  EXPECT_EQ(namespaces().revoke("a", {}).error().code, ENOENT);
  EXPECT_EQ(namespaces().list().size(), 1u);
}

TEST_F(NamespacesTest, OverrideIsAnEvent) {
  ASSERT_TRUE(add(caller(kUser, kVpn), "vpn0"));
  const auto refused = policy().remove_rule(caller(0, ""), "vpn0", 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EPERM);
  EXPECT_NE(refused.error().text.find(kVpn), std::string::npos);
  EXPECT_FALSE(told("policy.override"));
  auto root = caller(0, "");
  root.owner.override_others = true;
  ASSERT_TRUE(policy().remove_rule(root, "vpn0", 1));
  EXPECT_TRUE(told("policy.override"));
  keys().overrode(peer(0), {"", true}, "FLUSH");
  EXPECT_TRUE(told("key.override"));
}

TEST_F(NamespacesTest, RootMayUseNamesThatNobodyRegistered) {
  ASSERT_TRUE(add(caller(0, kNfs), "nfs0"));
  EXPECT_EQ(info(kNfs).state, NamespaceState::owned);
  EXPECT_FALSE(info(kNfs).registered);
  policy().connection_closed(caller(0, ""));
  EXPECT_EQ(info(kNfs).state, NamespaceState::ownerless);
  ASSERT_TRUE(namespaces().remove(kNfs, true));
  EXPECT_EQ(info(kNfs).record.name, "");
}

}  // namespace
}  // namespace adit::engine
