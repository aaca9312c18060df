#include "sad/testing/database_fixture.h"

#include <set>

#include "protocol/pf_key/translate.h"

namespace adit::sad {
namespace {
using namespace testing;
using crypto::EncrAlg;
using D = Diagnostic;

TEST_F(DatabaseTest, WhatIsAddedIsThereAndTold) {
  const auto generation = db_.generation();
  const SaPtr sa = add(esp(0x2001));
  EXPECT_EQ(db_.table()->find(Spi{0x2001}, SaType::esp, address("5.6.7.8")), sa.get());
  EXPECT_NE(db_.generation(), generation);
  EXPECT_EQ(sa->added, clock_.seconds());
  EXPECT_EQ(events<SaAdded>().size(), 1u);
  EXPECT_EQ(*db_.get(kName, {}), sa);
}

TEST_F(DatabaseTest, ASecondSaOfThatNameIsRefused) {
  add(esp(0x2001));
  expect_refused(db_.add(request(esp(0x2001)), {}), EEXIST, D::none);
  EXPECT_EQ(db_.size(), 1u);
}

TEST_F(DatabaseTest, TheDatabaseHasALimit) {
  Database small(clock_, algorithms_, {.maximum_sas = 1});
  ASSERT_TRUE(small.add(request(esp(0x2001)), {}));
  expect_refused(small.add(request(esp(0x2002)), {}), ENOMEM, D::too_many);
  expect_refused(small.get_spi({SaType::esp, address("1.1.1.1"), address("2.2.2.2"), 256, 999, 0}, {}), ENOMEM,
                 D::too_many);
}

TEST_F(DatabaseTest, EspWithoutACipherIsTheNullCipher) {
  SaSpec spec = esp(0x2001);
  spec.encr = EncrAlg::none;
  spec.encr_key = Secret();
  EXPECT_EQ(add(std::move(spec))->spec.encr, EncrAlg::null);
}

TEST_F(DatabaseTest, AnSaWithoutFlagsServesBothWays) {
  const SaPtr open = add(esp(0x2001));
  EXPECT_TRUE(open->spec.inbound && open->spec.outbound);
  SaSpec said = esp(0x2003);
  said.inbound = true;
  const SaPtr in = add(std::move(said));
  EXPECT_TRUE(in->spec.inbound && !in->spec.outbound);
}

// The address may come after the key, leave, come back: the listing says what is so now.
TEST_F(DatabaseTest, AListingShowsTheDirectionThatTheAddressesOfNowGive) {
  std::set<net::Address> here;
  Database db(clock_, algorithms_, {.is_local = [&](const net::Address& a) { return here.contains(a); }});
  ASSERT_TRUE(db.add(request(esp(0x2002, "5.6.7.8", "1.2.3.4")), {}));
  const SaName name{SaType::esp, Spi{0x2002}, address("1.2.3.4")};
  const auto flags = [&] { return from_sa(**db.get(name, {}), KeyMessageType::get).sa->flags; };
  EXPECT_EQ(flags() & (kSaInbound | kSaOutbound), kSaOutbound);
  for (int round = 0; round < 2; ++round) {
    here.insert(address("1.2.3.4"));
    EXPECT_EQ(flags() & (kSaInbound | kSaOutbound), kSaInbound);
    EXPECT_TRUE(db.page({}, 0, 9).front()->shown_inbound);
    here.clear();
    EXPECT_EQ(flags() & (kSaInbound | kSaOutbound), kSaOutbound);
  }
}

// ---- removal

TEST_F(DatabaseTest, DeleteRemovesAndKills) {
  const SaPtr sa = add(esp(0x2001));
  ASSERT_TRUE(db_.remove(kName, {}));
  EXPECT_EQ(sa->state, SaState::dead);
  EXPECT_EQ(db_.table()->size(), 0u);
  EXPECT_EQ(events<SaDeleted>().size(), 1u);
  expect_refused(db_.remove(kName, {}), ESRCH, D::sa_not_found);
  expect_refused(db_.get(kName, {}), ESRCH, D::sa_not_found);
}

TEST_F(DatabaseTest, FlushTakesOneTypeOrAll) {
  add(esp(0x2001)), add(esp(0x2002)), add(ah(0x2003));
  EXPECT_EQ(db_.flush(SaType::ah, {}), 1u);
  EXPECT_EQ(db_.size(), 2u);
  EXPECT_EQ(db_.flush(SaType::unspec, {}), 2u);
  EXPECT_EQ(db_.size(), 0u);
  EXPECT_EQ(db_.table()->size(), 0u);
  EXPECT_EQ(db_.next_deadline(), std::nullopt);
  EXPECT_EQ(events<SaDeleted>().size(), 3u);
}

// ---- namespaces

TEST_F(DatabaseTest, FlushAndPagesStayInTheirNamespace) {
  add(esp(0x2001)), add(esp(0x2002), {"vpn"}), add(esp(0x2003), {"nfs"});
  EXPECT_EQ(db_.page({SaType::unspec, {"vpn"}, 0}, 0, 10).size(), 1u);
  EXPECT_EQ(db_.page({SaType::unspec, {"", true}, 0}, 0, 10).size(), 3u);
  EXPECT_EQ(db_.flush(SaType::unspec, {"vpn"}), 1u);
  EXPECT_EQ(db_.flush(SaType::unspec, {}), 1u);
  EXPECT_EQ(db_.size(), 1u);
  EXPECT_EQ(db_.flush(SaType::unspec, {"", true}), 1u);
}

TEST_F(DatabaseTest, AnothersRecordIsRefusedWithItsOwnersName) {
  add(esp(0x2001), {"svc:/vpn"});
  const auto refused = db_.remove(kName, {"nfs"});
  expect_refused(refused, EPERM, D::other_namespace);
  EXPECT_NE(refused.error().text.find("svc:/vpn"), std::string::npos);
  expect_refused(db_.get(kName, {}), EPERM, D::other_namespace);
  expect_refused(db_.update(change(0x2001), {}), EPERM, D::other_namespace);
  expect_refused(db_.remove_pair(kName, {}), EPERM, D::other_namespace);
  expect_refused(db_.update_pair(change(0x2001), {}), EPERM, D::other_namespace);
  expect_refused(db_.add(request(esp(0x2001)), {}), EEXIST, D::none);
  EXPECT_EQ(db_.size(), 1u);
  EXPECT_TRUE(db_.remove(kName, {"", true}));
}

// ---- GETSPI and larval

TEST_F(DatabaseTest, GetSpiGivesAFreeSpiOfTheRange) {
  const SpiRequest range{SaType::esp, address("5.6.7.8"), address("1.2.3.4"), 0x100, 0x103, 77};
  std::set<uint32_t> given;
  for (int i = 0; i < 4; ++i) {
    const auto sa = db_.get_spi(range, {});
    ASSERT_TRUE(sa) << sa.error().text;
    EXPECT_EQ((*sa)->state, SaState::larval);
    given.insert(static_cast<uint32_t>((*sa)->spec.spi));
  }
  EXPECT_EQ(given, (std::set<uint32_t>{0x100, 0x101, 0x102, 0x103}));
  expect_refused(db_.get_spi(range, {}), EEXIST, D::none);
}

TEST_F(DatabaseTest, ANamespaceHasAQuotaOfItsOwn) {
  db_.set_quota("vpn", 2);
  add(esp(0x2001), {"vpn"});
  const SpiRequest range{SaType::esp, address("5.6.7.8"), address("1.2.3.4"), 0x100, 0x103, 77};
  ASSERT_TRUE(db_.get_spi(range, {"vpn"}));
  expect_refused(db_.add(request(esp(0x2003)), {"vpn"}), EDQUOT, D::quota);
  expect_refused(db_.get_spi(range, {"vpn"}), EDQUOT, D::quota);
  add(esp(0x2004));
  EXPECT_EQ(db_.size_of("vpn"), 2u);
  EXPECT_EQ(db_.namespaces(), (std::vector<std::string>{"", "vpn"}));
  ASSERT_TRUE(db_.remove(kName, {"vpn"}));
  EXPECT_TRUE(db_.add(request(esp(0x2003)), {"vpn"}));
  EXPECT_EQ(db_.flush(SaType::unspec, {"vpn"}), 2u);
  EXPECT_EQ(db_.size_of("vpn"), 0u);
  EXPECT_EQ(db_.flush(SaType::unspec, {"", true}), 1u);
  EXPECT_TRUE(db_.namespaces().empty());
}

TEST_F(DatabaseTest, GetSpiRefusesBadRanges) {
  const auto ask = [&](uint32_t low, uint32_t high) {
    return db_.get_spi({SaType::esp, address("5.6.7.8"), address("1.2.3.4"), low, high, 0}, {});
  };
  expect_refused(ask(0, 1000), EINVAL, D::reserved_spi);
  expect_refused(ask(255, 1000), EINVAL, D::reserved_spi);
  expect_refused(ask(1000, 999), EINVAL, D::malformed_range);
  EXPECT_TRUE(ask(256, 0xffffffff));
  EXPECT_TRUE(ask(0xffffffff, 0xffffffff));
}

TEST_F(DatabaseTest, ALarvalSaIsCompletedByUpdate) {
  const SaPtr larval = *db_.get_spi({SaType::esp, address("1.2.3.4"), address("5.6.7.8"), 0x2001, 0x2001, 9}, {"vpn"});
  (void)db_.take_events();
  SaSpec spec = esp(0x2001);
  spec.source = net::Address::any(net::Family::v4);
  const auto sa = db_.update(request(std::move(spec)), {"vpn"});
  ASSERT_TRUE(sa) << sa.error().text;
  EXPECT_EQ((*sa)->state, SaState::mature);
  EXPECT_EQ((*sa)->spec.acquire_seq, 9u);
  EXPECT_EQ((*sa)->spec.name_space, "vpn");
  EXPECT_EQ((*sa)->spec.source, address("1.2.3.4"));
  EXPECT_EQ(larval->state, SaState::dead);
  EXPECT_EQ(db_.table()->find(Spi{0x2001}, SaType::esp, address("5.6.7.8")), sa->get());
  EXPECT_EQ(db_.size(), 1u);
  EXPECT_EQ(events<SaAdded>().size(), 1u);
  pass(1000);  // the larval timeout does not strike it
  EXPECT_EQ(db_.size(), 1u);
}

TEST_F(DatabaseTest, AFailedCompletionLeavesTheLarvalOne) {
  ASSERT_TRUE(db_.get_spi({SaType::esp, address("1.2.3.4"), address("5.6.7.8"), 0x2001, 0x2001, 9}, {}));
  SaSpec spec = esp(0x2001);
  spec.encr_key = key_of(15, 1);
  expect_refused(db_.update(request(std::move(spec)), {}), EINVAL, D::bad_encr_bits);
  EXPECT_EQ((*db_.get(kName, {}))->state, SaState::larval);
}

TEST_F(DatabaseTest, ALarvalSaThatNobodyCompletesGoes) {
  ASSERT_TRUE(db_.get_spi({SaType::esp, address("1.2.3.4"), address("5.6.7.8"), 0x2001, 0x2001, 9}, {}));
  ASSERT_TRUE(db_.next_deadline());
  EXPECT_EQ(*db_.next_deadline(), clock_.now() + Seconds(60));
  pass(59);
  EXPECT_EQ(db_.size(), 1u);
  pass(1);
  EXPECT_EQ(db_.size(), 0u);
  EXPECT_EQ(db_.table()->size(), 0u);
}

// ---- lifetimes

TEST_F(DatabaseTest, SoftMakesDyingAndHardRemoves) {
  SaRequest r = request(esp(0x2001));
  r.hard = Lifetime{.add_seconds = 100};
  r.soft = Lifetime{.add_seconds = 80};
  const SaPtr sa = *db_.add(std::move(r), {});
  (void)db_.take_events();
  EXPECT_EQ(*db_.next_deadline(), clock_.now() + Seconds(50));  // idle: half of hard
  pass(50);
  auto expired = events<SaExpired>();
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].expiry, Expiry::idle);
  EXPECT_EQ(sa->state, SaState::mature);
  pass(30);
  expired = events<SaExpired>();
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].expiry, Expiry::soft);
  EXPECT_FALSE(expired[0].removed);
  EXPECT_EQ(sa->state, SaState::dying);
  EXPECT_EQ(db_.size(), 1u);
  pass(20);
  expired = events<SaExpired>();
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].expiry, Expiry::hard);
  EXPECT_TRUE(expired[0].removed);
  EXPECT_EQ(sa->state, SaState::dead);
  EXPECT_EQ(db_.size(), 0u);
  EXPECT_EQ(db_.next_deadline(), std::nullopt);
}

TEST_F(DatabaseTest, ByteAndUseLimitsAreSeenWhenAWorkerReportsThem) {
  SaRequest r = request(esp(0x2001));
  r.hard = Lifetime{.allocations = 10, .bytes = 1000};
  r.soft = Lifetime{.bytes = 800};
  const SaPtr sa = *db_.add(std::move(r), {});
  sa->used(800, 3, clock_.seconds());
  db_.reached(kName);
  EXPECT_EQ(sa->state, SaState::dying);
  sa->used(1, 7, clock_.seconds());
  db_.reached(kName);
  EXPECT_EQ(db_.size(), 0u);
  db_.reached(kName);  // again, late: nothing to do
}

// Workers move the state before they report, so that only one of them does: the key manager must hear of it all the
// same.
TEST_F(DatabaseTest, LimitsOfAnSaThatTheWorkerHasMovedAlreadyAreTold) {
  const SaPtr sa = add(esp(0x2001));
  sa->state = SaState::dying;
  db_.reached(kName, Expiry::soft);
  const auto soft = events<SaExpired>();
  ASSERT_EQ(soft.size(), 1u);
  EXPECT_EQ(soft[0].expiry, Expiry::soft);
  sa->state = SaState::dead;
  db_.reached(kName, Expiry::sequence);
  const auto over = events<SaExpired>();
  ASSERT_EQ(over.size(), 1u);
  EXPECT_EQ(over[0].expiry, Expiry::sequence);
  EXPECT_EQ(db_.size(), 0u);
}

// The packet path changes the state itself, at once, and reports afterwards.
TEST_F(DatabaseTest, WhatAWorkerDidAlreadyIsStillTold) {
  SaRequest r = request(esp(0x2001));
  r.soft = Lifetime{.bytes = 800};
  const SaPtr sa = *db_.add(std::move(r), {});
  (void)db_.take_events();
  sa->used(800, 3, clock_.seconds());
  sa->state = SaState::dying;
  db_.reached(kName);
  db_.reached(kName);
  const auto soft = events<SaExpired>();
  ASSERT_EQ(soft.size(), 1u);
  EXPECT_EQ(soft[0].expiry, Expiry::soft);
  sa->set_last_sequence(UINT32_MAX - 1);  // a burst of three no longer fits
  ASSERT_EQ(sa->reserve_sequence(3), std::nullopt);
  sa->state = SaState::dead;
  expect_refused(db_.update(change(0x2001), {}), ESRCH, D::sa_not_valid);
  db_.reached(kName);
  const auto end = events<SaExpired>();
  ASSERT_EQ(end.size(), 1u);
  EXPECT_EQ(end[0].expiry, Expiry::sequence);
  EXPECT_TRUE(end[0].removed);
  EXPECT_EQ(db_.size(), 0u);
}

TEST_F(DatabaseTest, UseTimeBeginsWithTheFirstUse) {
  SaRequest r = request(esp(0x2001));
  r.hard = Lifetime{.use_seconds = 100};
  const SaPtr sa = *db_.add(std::move(r), {});
  pass(1000);
  EXPECT_EQ(db_.size(), 1u);
  sa->used(1, 1, clock_.seconds());
  pass(99);
  EXPECT_EQ(db_.size(), 1u);
  pass(1);
  EXPECT_EQ(db_.size(), 0u);
}

TEST_F(DatabaseTest, SequenceNumbersUsedUpRemoveTheSa) {
  const SaPtr sa = add(esp(0x2001));
  sa->set_last_sequence(UINT32_MAX);
  db_.reached(kName);
  EXPECT_EQ(events<SaExpired>().at(0).expiry, Expiry::sequence);
  EXPECT_EQ(db_.size(), 0u);
}

TEST_F(DatabaseTest, IdleIsToldOnceForEachSilence) {
  SaRequest r = request(esp(0x2001));
  r.idle = Lifetime{.use_seconds = 10};
  const SaPtr sa = *db_.add(std::move(r), {});
  sa->used(1, 1, clock_.seconds());
  pass(10), pass(10), pass(10);
  EXPECT_EQ(events<SaExpired>().size(), 1u);
  sa->used(1, 1, clock_.seconds());
  pass(10);
  EXPECT_EQ(events<SaExpired>().size(), 1u);
  EXPECT_EQ(db_.size(), 1u);
}

// ---- the wall clock is for people

TEST_F(DatabaseTest, AStepOfTheWallClockExpiresNothingAndKeepsNothingAlive) {
  for (const int64_t step : {3600, -3600}) {
    SaRequest r = request(esp(0x2001));
    r.hard = Lifetime{.add_seconds = 100};
    r.soft = Lifetime{.add_seconds = 80};
    r.idle = Lifetime{.add_seconds = 90};
    const SaPtr sa = *db_.add(std::move(r), {});
    (void)db_.get_spi({SaType::esp, address("1.2.3.4"), address("5.6.7.8"), 0x5000, 0x5000}, {});
    clock_.step_wall(step);
    pass(59);
    EXPECT_TRUE(events<SaExpired>().empty()) << step;
    EXPECT_EQ(db_.next_deadline(), clock_.now() + Seconds(1)) << "the larval one, " << step;
    pass(1);
    EXPECT_EQ(db_.size(), 1u) << step;
    clock_.step_wall(-2 * step);
    pass(20);
    EXPECT_EQ(sa->state, SaState::dying) << step;
    pass(20);
    EXPECT_EQ(db_.size(), 0u) << step;
    clock_.step_wall(step);
    (void)db_.take_events();
  }
}

TEST_F(DatabaseTest, UseTimeAndSilenceAreMeasuredOnTheClockThatNobodySets) {
  for (const int64_t step : {3600, -3600}) {
    SaRequest r = request(esp(0x2001));
    r.hard = Lifetime{.use_seconds = 100};
    r.idle = Lifetime{.use_seconds = 30};
    const SaPtr sa = *db_.add(std::move(r), {});
    sa->used(1, 1, clock_.seconds());
    clock_.step_wall(step);
    pass(29);
    EXPECT_TRUE(events<SaExpired>().empty()) << step;
    EXPECT_TRUE(db_.page({.unused_for = 30}, 0, 9).empty()) << step;
    pass(1);
    EXPECT_EQ(events<SaExpired>().size(), 1u) << "idle, " << step;
    EXPECT_EQ(db_.page({.unused_for = 30}, 0, 9).size(), 1u) << step;
    pass(69);
    EXPECT_EQ(db_.size(), 1u) << step;
    pass(1);
    EXPECT_EQ(db_.size(), 0u) << step;
    (void)db_.take_events();
  }
}

// Listings show when it was made as the clock was then, and its first use by as much later.
TEST_F(DatabaseTest, ListingsTellTheTimeOfPeople) {
  const SaPtr sa = add(esp(0x2001));
  const uint64_t made = clock_.wall_seconds();
  clock_.step_wall(3600);
  pass(7);
  sa->used(1, 1, clock_.seconds());
  const auto current = from_sa(*sa, KeyMessageType::get).current;
  EXPECT_EQ(current->add_seconds, made);
  EXPECT_EQ(current->use_seconds, made + 7);
}

// ---- UPDATE of what is in use

TEST_F(DatabaseTest, UpdateChangesLifetimesOfTheSameSa) {
  const SaPtr sa = add(esp(0x2001));
  SaRequest r = change(0x2001);
  r.hard = Lifetime{.add_seconds = 60};
  ASSERT_TRUE(db_.update(std::move(r), {}));
  EXPECT_EQ(*db_.get(kName, {}), sa);
  EXPECT_EQ(sa->hard().add_seconds, 60u);
  SaRequest soft = change(0x2001);
  soft.soft = Lifetime{.add_seconds = 61};
  expect_refused(db_.update(std::move(soft), {}), EINVAL, D::addtime_soft_above_hard);
  pass(60);
  EXPECT_EQ(db_.size(), 0u);
}

TEST_F(DatabaseTest, UpdateWithALimitThatIsPassedAlreadyEndsTheSaAtOnce) {
  const SaPtr sa = add(esp(0x2001));
  pass(100);
  SaRequest r = change(0x2001);
  r.hard = Lifetime{.add_seconds = 60};
  ASSERT_TRUE(db_.update(std::move(r), {}));
  EXPECT_EQ(sa->state, SaState::dead);
  EXPECT_EQ(db_.size(), 0u);
}

TEST_F(DatabaseTest, UpdateMovesStateAndReplayValue) {
  SaSpec spec = esp(0x2001);
  spec.inbound = true;
  const SaPtr sa = add(std::move(spec));
  SaRequest r = change(0x2001);
  r.state = SaState::dying;
  r.replay_value = 500;
  ASSERT_TRUE(db_.update(std::move(r), {}));
  EXPECT_EQ(sa->state, SaState::dying);
  EXPECT_FALSE(sa->replay.check(500));
  EXPECT_TRUE(sa->replay.check(501));
  EXPECT_EQ(replay_value_of(*sa), 500u);
  SaRequest dead = change(0x2001);
  dead.state = SaState::dead;
  expect_refused(db_.update(std::move(dead), {}), EINVAL, D::bad_state);
  SaRequest large = change(0x2001);
  large.replay_value = uint64_t{1} << 32;
  expect_refused(db_.update(std::move(large), {}), EOPNOTSUPP, D::bad_replay_counter);
}

TEST_F(DatabaseTest, TheReplayValueOfAnOutboundSaIsItsLastNumber) {
  SaRequest r = request(esp(0x2001));
  r.spec.outbound = true;
  r.replay_value = 41;
  const SaPtr sa = *db_.add(std::move(r), {});
  EXPECT_EQ(sa->reserve_sequence(1), 42u);
  EXPECT_EQ(replay_value_of(*sa), 42u);
}

TEST_F(DatabaseTest, UpdateOfASaInUseTakesNoKeys) {
  add(esp(0x2001));
  SaRequest a = change(0x2001), e = change(0x2001);
  a.spec.auth_key = key_of(32, 9);
  expect_refused(db_.update(std::move(a), {}), EINVAL, D::auth_key_not_needed);
  e.spec.encr_key = key_of(16, 9);
  expect_refused(db_.update(std::move(e), {}), EINVAL, D::encr_key_not_needed);
  expect_refused(db_.update(change(0x9999), {}), ESRCH, D::sa_not_found);
}

// ---- listing

TEST_F(DatabaseTest, PagesGoThroughEverythingOnceWhileSasComeAndGo) {
  for (uint32_t i = 0; i < 100; ++i) add(esp(0x1000 + i));
  std::set<uint32_t> seen;
  uint64_t after = 0;
  while (true) {
    const auto page = db_.page({}, after, 7);
    if (page.empty()) break;
    for (const SaPtr& sa : page) EXPECT_TRUE(seen.insert(static_cast<uint32_t>(sa->spec.spi)).second);
    after = page.back()->age;
    if (seen.size() == 7) {
      ASSERT_TRUE(db_.remove(name_of(*page.back()), {}));
    }
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST_F(DatabaseTest, PagesCanLeaveOutWhatIsInUse) {
  const SaPtr idle = add(esp(0x2001)), busy = add(esp(0x2002));
  clock_.advance(Seconds(100));
  busy->used(1, 1, clock_.seconds());
  const auto page = db_.page({.unused_for = 50}, 0, 10);
  ASSERT_EQ(page.size(), 1u);
  EXPECT_EQ(page[0], idle);
}

TEST_F(DatabaseTest, ManySasExpireEachAtItsTime) {
  for (uint32_t i = 0; i < 500; ++i) {
    SaRequest r = request(esp(0x1000 + i));
    r.hard = Lifetime{.add_seconds = 1 + i % 50};
    ASSERT_TRUE(db_.add(std::move(r), {}));
  }
  for (uint64_t second = 1; second <= 50; ++second) {
    pass(1);
    ASSERT_EQ(db_.size(), 500 - second * 10);
    ASSERT_EQ(db_.table()->size(), db_.size());
  }
}

}  // namespace
}  // namespace adit::sad
