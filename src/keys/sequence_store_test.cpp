#include "keys/sequence_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "host/testing/fake_host.h"

namespace adit::engine {
namespace {

constexpr const char* kFile = "/var/lib/adit/sequences";

// One life of the daemon: a store that remembers, and a database. Its end is a kill, unless stop() was called.
struct Life {
  explicit Life(FakeHost& host, SequenceStore::Bounds bounds = {})
      : store(host.context, bounds), database(host.clock, algorithms, {.remembrance = &store}) {
    store.restore();
  }

  static sad::SaRequest request(uint8_t key_byte = 7, uint32_t spi = 0x2001) {
    sad::SaRequest request;
    request.spec.spi = sad::Spi{spi};
    request.spec.source = address("1.2.3.4");
    request.spec.destination = address("5.6.7.8");
    request.spec.encr = crypto::EncrAlg::aes_gcm16;
    request.spec.encr_key = Secret(std::vector<uint8_t>(16, key_byte));
    request.spec.salt = Secret(std::vector<uint8_t>(4, key_byte));
    return request;
  }
  // Both ways, unless it is said to be of one.
  sad::SaPtr add(uint8_t key_byte = 7, uint32_t spi = 0x2001, const std::string& name_space = {}) {
    auto added = database.add(request(key_byte, spi), {name_space});
    EXPECT_TRUE(added) << added.error().text;
    return added ? *added : nullptr;
  }
  sad::KeyError refused(uint8_t key_byte, uint32_t spi = 0x2001, const std::string& name_space = {}) {
    auto added = database.add(request(key_byte, spi), {name_space});
    EXPECT_FALSE(added);
    return added ? sad::KeyError{} : added.error();
  }
  // As Keys does it.
  void settle() {
    for (const auto& event : database.take_events()) {
      if (const auto* changed = std::get_if<sad::SaChanged>(&event)) store.changed(changed->sa);
      if (const auto* deleted = std::get_if<sad::SaDeleted>(&event)) store.end(*deleted->sa);
      if (const auto* expired = std::get_if<sad::SaExpired>(&event); expired != nullptr && expired->removed)
        store.end(*expired->sa);
    }
  }
  void remove(const sad::SaPtr& sa) {
    ASSERT_TRUE(database.remove(sad::name_of(*sa), {sa->spec.name_space}));
    settle();
  }

  crypto::AlgorithmTable algorithms = crypto::AlgorithmTable::builtin();
  SequenceStore store;
  sad::Database database;
};

// What a worker does with an authentic packet of that number.
bool comes(const sad::SaPtr& sa, uint64_t number) {
  return sa->replay.check(number) && sa->may_see(number) && sa->see(number);
}

// Receives as a worker and an engine do together; what must wait is tried once more.
void receive(Life& life, const sad::SaPtr& sa, uint64_t from, uint64_t to) {
  for (uint64_t number = from; number <= to; ++number) {
    const bool at_once = comes(sa, number);
    if (sa->numbers_due.exchange(false)) life.store.raise({&sa, 1});
    ASSERT_TRUE(at_once || comes(sa, number)) << number;
  }
}

TEST(SequenceStore, ALifeBeginsAboveEveryNumberOfTheLastOne) {
  FakeHost host;
  uint64_t used = 0;
  for (int life = 0; life < 20; ++life) {
    Life now(host);
    const auto first = now.add()->reserve_sequence(1000);
    ASSERT_TRUE(first);
    EXPECT_GT(*first, used) << "life " << life;
    used = *first + 999;
  }
  // Twenty crashes cost twenty leaps, not leaps that grow: 32 bits last for thousands.
  EXPECT_LT(used, uint64_t{20} << 21);
}

// The engine may be held up for as long as it likes: what is not on disk is not used.
TEST(SequenceStore, NothingIsSentAboveWhatIsOnDisk) {
  FakeHost host;
  uint64_t sent = 0;
  {
    Life life(host);
    const auto sa = life.add();
    while (const auto first = sa->reserve_sequence(100'000)) sent = *first + 99'999;
    EXPECT_FALSE(sa->is_exhausted());
    EXPECT_TRUE(sa->numbers_due);
    life.store.raise({&sa, 1});
    EXPECT_TRUE(sa->reserve_sequence(100'000)) << "and goes on when it is";
    sent += 100'000;
  }
  Life next(host);
  EXPECT_GT(*next.add()->reserve_sequence(1), sent);
}

// The run directory is gone with the power; what was accepted up to the last moment is not accepted again, and the peer
// goes on after few packets.
TEST(SequenceStore, AfterAPowerCutNothingThatWasSeenIsTakenAgainAndFreshPacketsAre) {
  FakeHost host;
  for (uint64_t seen : {1u, 5u, 31u, 442u, 100'000u}) {
    std::filesystem::remove_all(host.directory + "/var");
    std::filesystem::remove_all(host.directory + "/run");
    {
      Life life(host);
      const auto sa = life.add();
      receive(life, sa, 1, seen);
      host.clock.advance(Millis(10));
    }
    std::filesystem::remove_all(host.directory + "/run");
    Life next(host);
    const auto sa = next.add();
    for (uint64_t number = 1; number <= seen; ++number) ASSERT_FALSE(comes(sa, number)) << number << " of " << seen;
    const uint64_t lost = sa->replay.highest() - seen;
    EXPECT_LE(lost, std::max<uint64_t>(64, seen * 85)) << "of " << seen;
    receive(next, sa, sa->replay.highest() + 1, sa->replay.highest() + 100);
  }
}

// The run directory is still there: what was accepted is known to the packet, and the peer is not waited for.
TEST(SequenceStore, AfterAKillWhatWasSeenIsKnownExactly) {
  FakeHost host;
  uint64_t seen = 0;
  for (int life = 0; life < 5; ++life) {
    Life now(host);
    const auto sa = now.add();
    EXPECT_EQ(sa->replay.highest(), seen);
    EXPECT_TRUE(seen == 0 || !comes(sa, seen));
    receive(now, sa, seen + 1, seen + 100 + static_cast<uint64_t>(life));
    seen += 100 + static_cast<uint64_t>(life);
  }
}

// A key manager's UPDATE says how far the window is.
TEST(SequenceStore, AWindowThatAKeyManagerMovedIsKnownAfterAKillAndAPowerCut) {
  FakeHost host;
  {
    Life life(host);
    const auto sa = life.add();
    sad::SaRequest change;
    change.spec.spi = sa->spec.spi;
    change.spec.source = sa->spec.source;
    change.spec.destination = sa->spec.destination;
    change.replay_value = 5'000;
    ASSERT_TRUE(life.database.update(std::move(change), {}));
    life.settle();
  }
  {
    Life next(host);
    EXPECT_EQ(next.add()->replay.highest(), 5'000u);
  }
  std::filesystem::remove_all(host.directory + "/run");
  Life next(host);
  EXPECT_GE(next.add()->replay.highest(), 5'000u);
}

// Marks of another boot, or beside another file, say nothing.
TEST(SequenceStore, MarksThatDoNotBelongToTheFileAreNotBelieved) {
  FakeHost host;
  const auto live = [&](uint64_t from, uint64_t to) {
    Life now(host);
    const auto sa = now.add();
    receive(now, sa, std::max(from, sa->replay.highest() + 1), to);
    return sa->replay.highest();
  };
  live(1, 10);
  const std::string marks = host.file("/run/sequences.seen");
  const uint64_t seen = live(11, 500);
  host.write("/run/sequences.seen", marks);
  {
    Life now(host);
    EXPECT_GE(now.add()->replay.highest(), seen) << "of an earlier life";
  }
  const uint64_t more = live(2'000, 2'100);
  std::string other = host.file("/run/sequences.seen");
  other[20] ^= 1;
  host.write("/run/sequences.seen", other);
  Life now(host);
  EXPECT_GT(now.add()->replay.highest(), more) << "of another boot: the limit counts";
}

// A flow that was fast and is slow now leaves no limit far ahead of it.
TEST(SequenceStore, ALimitComesDownWithTheFlow) {
  FakeHost host;
  uint64_t seen = 0;
  {
    Life life(host);
    const auto sa = life.add();
    for (int second = 0; second < 5; ++second, host.clock.advance(Seconds(1)), life.store.tick())
      receive(life, sa, seen + 1, seen + 10'000), seen += 10'000;
    EXPECT_GT(sa->seen.limit, seen + 10'000);
    for (int second = 0; second < 300; ++second, host.clock.advance(Seconds(1)), life.store.tick())
      receive(life, sa, seen + 1, seen + 1), ++seen;
    EXPECT_LE(sa->seen.limit, seen + 128);
  }
  std::filesystem::remove_all(host.directory + "/run");
  Life next(host);
  const auto sa = next.add();
  EXPECT_GE(sa->replay.highest(), seen);
  EXPECT_LE(sa->replay.highest(), seen + 128);
}

TEST(SequenceStore, AnSaMadeAgainGoesOnAndNewKeysBeginAnew) {
  FakeHost host;
  Life life(host);
  const auto sa = life.add();
  const auto last = *sa->reserve_sequence(5) + 4;
  receive(life, sa, 1, 50);
  life.remove(sa);
  const auto again = life.add();
  EXPECT_EQ(*again->reserve_sequence(1), last + 1);
  EXPECT_FALSE(comes(again, 50));
  EXPECT_TRUE(comes(again, 51)) << "nothing is lost when it was known";
  life.remove(again);
  EXPECT_EQ(*life.add(9)->reserve_sequence(1), 1u);
}

// IVs are made of key and number, whatever the SPI.
TEST(SequenceStore, KeysThatComeBackUnderAnotherSpiGoOnToo) {
  FakeHost host;
  uint64_t sent = 0;
  {
    Life life(host);
    const auto sa = life.add(7, 0x2001);
    sent = *sa->reserve_sequence(500) + 499;
    life.remove(sa);
    const auto other = life.add(7, 0x3001, "ipd");
    EXPECT_GT(*other->reserve_sequence(1), sent);
    sent = other->last_sequence();
  }
  Life next(host);
  EXPECT_GT(*next.add(7, 0x4001)->reserve_sequence(1), sent);
}

// A worker may still hold the SA that was deleted.
TEST(SequenceStore, AnSaThatIsGoneCountsNoFurther) {
  FakeHost host;
  Life life(host);
  const auto sa = life.add();
  (void)sa->reserve_sequence(5);
  life.remove(sa);
  EXPECT_FALSE(sa->reserve_sequence(1));
  EXPECT_FALSE(comes(sa, 1));
}

TEST(SequenceStore, ACleanStopLosesNoNumbers) {
  FakeHost host;
  {
    Life life(host);
    const auto sa = life.add();
    (void)sa->reserve_sequence(42);
    receive(life, sa, 1, 77);
    life.store.stop();
  }
  Life next(host);
  const auto sa = next.add();
  EXPECT_EQ(*sa->reserve_sequence(1), 43u);
  EXPECT_FALSE(comes(sa, 77));
  EXPECT_TRUE(comes(sa, 78));
}

TEST(SequenceStore, ManualKeysOfANamespaceAreRememberedToo) {
  FakeHost host;
  uint64_t sent = 0;
  {
    Life life(host);
    sent = *life.add(7, 0x2001, "ipd")->reserve_sequence(100) + 99;
  }
  Life next(host);
  EXPECT_GT(*next.add(7, 0x2001, "ipd")->reserve_sequence(1), sent);
}

// A key manager's keys are fresh: they cost no write and no room.
TEST(SequenceStore, WhatAKeyExchangeMadeIsLeftOut) {
  FakeHost host;
  Life life(host);
  auto request = Life::request();
  request.spec.cookie = sad::KmCookie{sad::KmProtocol::ikev2, 1};
  const auto sa = life.database.add(std::move(request), {});
  ASSERT_TRUE(sa);
  EXPECT_EQ((*sa)->sent.limit, sad::Ceiling::kNone);
  EXPECT_EQ(host.file(kFile).find("esp"), std::string::npos);
}

// ---- bounds

TEST(SequenceStore, AKeyThatNeverCountedLeavesNothingBehind) {
  FakeHost host;
  Life life(host, {.of_operator = 3, .of_namespace = 3});
  for (uint8_t key = 1; key < 100; ++key) life.remove(life.add(key));
}

TEST(SequenceStore, AFullStoreRefusesAndSaysSoAndAKeyThatIsKnownStillComes) {
  FakeHost host;
  Life life(host, {.of_operator = 3, .of_namespace = 2});
  const auto use = [&](uint8_t key, const std::string& name_space) {
    const auto sa = life.add(key, name_space.empty() ? 0x2001 : 0x3001, name_space);
    (void)sa->reserve_sequence(1);
    life.remove(sa);
  };
  for (uint8_t key = 1; key <= 3; ++key) use(key, "");
  const auto full = life.refused(4);
  EXPECT_EQ(full.code, ENOSPC);
  EXPECT_EQ(full.diagnostic, sad::Diagnostic::not_remembered);
  EXPECT_NE(full.text.find("90 days"), std::string::npos) << full.text;
  EXPECT_EQ(life.database.size(), 0u);
  EXPECT_EQ(*life.add(2)->reserve_sequence(1), 2u);
  use(5, "ipd");  // one's fill is not the other's
  use(6, "ipd");
  EXPECT_EQ(life.refused(7, 0x3001, "ipd").code, ENOSPC);
  host.clock.advance(Seconds(SequenceStore::kKeptSeconds + 5));
  use(8, "ipd");
}

// A change is a line, not a file; and the file is written anew before it grows for ever.
TEST(SequenceStore, AChangeIsAppendedAndTheFileShrinksAgain) {
  FakeHost host;
  NumberJournal journal(host.directory + kFile);
  NumberRecord record;
  record.name.destination = address("5.6.7.8");
  record.seen = 7;
  ASSERT_TRUE(journal.wants_rewrite()) << "there is none yet";
  ASSERT_TRUE(journal.rewrite({&record, 1}, 42));
  const auto size = [&] { return std::filesystem::file_size(host.directory + kFile); };
  const auto one = size();
  int changes = 0;
  for (; !journal.wants_rewrite() && changes < 100'000; ++changes) ASSERT_TRUE(journal.append({&record, 1}, false));
  EXPECT_GT(changes, 1'000);
  EXPECT_LT(size(), 2u << 20);
  EXPECT_EQ(journal.read().records.size(), static_cast<size_t>(changes) + 1);
  ASSERT_TRUE(journal.rewrite({&record, 1}, 42));
  EXPECT_EQ(size(), one);
  EXPECT_FALSE(journal.wants_rewrite());
}

// ---- a file that is not what it was

TEST(SequenceStore, ALineThatWasCutIsForgottenWithWhatItWasFor) {
  FakeHost host;
  uint64_t sent = 0;
  {
    Life life(host);
    sent = *life.add()->reserve_sequence(10) + 9;
  }
  const std::string text = host.file(kFile);
  for (size_t cut = 1; cut < 20; ++cut) {
    host.write(kFile, text + text.substr(text.find('\n') + 1, cut));
    std::filesystem::remove_all(host.directory + "/run");
    Life next(host);
    EXPECT_GT(*next.add()->reserve_sequence(1), sent) << cut;
  }
}

TEST(SequenceStore, ADamagedEmptiedOrLostFileCloses) {
  FakeHost host;
  {
    Life life(host);
    (void)life.add(7, 0x2001)->reserve_sequence(10);
    (void)life.add(8, 0x2002)->reserve_sequence(10);
    (void)life.add(9, 0x2003)->reserve_sequence(10);
  }
  const std::string text = host.file(kFile);
  const size_t middle = text.find("8194");
  ASSERT_NE(middle, std::string::npos);
  std::string damaged = text;
  damaged[middle] = '9';
  std::vector<std::string> bad{damaged, "", "adit\n"};
  for (size_t cut = 1; cut <= text.find('\n'); ++cut) bad.push_back(text.substr(0, cut));
  for (const std::string& content : bad) {
    host.write(kFile, content);
    Life next(host);
    const auto closed = next.refused(7);
    EXPECT_EQ(closed.code, EIO) << content;
    EXPECT_EQ(closed.diagnostic, sad::Diagnostic::not_remembered);
    EXPECT_NE(closed.text.find("give all of them new keys"), std::string::npos) << closed.text;
    EXPECT_EQ(name_of(host.events.notable().back().kind), "key.not-saved");
    EXPECT_EQ(host.file(kFile), content) << "and is left for people to look at";
  }
  std::filesystem::remove(host.directory + kFile);
  Life next(host);
  EXPECT_EQ(next.refused(7).code, EIO) << "it was there in this boot";
}

TEST(SequenceStore, WhatCannotBeSavedIsNotMadeAndWhatIsThereStopsAtItsLimit) {
  FakeHost host;
  Life life(host);
  const auto sa = life.add();
  std::filesystem::remove_all(host.directory + "/var");
  host.write("/var", "in the way");
  // The file is open still, and would take what nobody can read any more.
  EXPECT_EQ(life.refused(8, 0x2002).diagnostic, sad::Diagnostic::not_remembered);
  (void)sa->reserve_sequence(600'000);
  life.store.raise({&sa, 1});
  EXPECT_EQ(name_of(host.events.notable().back().kind), "key.not-saved");
  while (sa->reserve_sequence(100'000)) continue;
  EXPECT_FALSE(sa->is_exhausted());
  std::filesystem::remove(host.directory + "/var");
  EXPECT_TRUE(life.store.tick()) << "and goes on when the disk does";
  EXPECT_TRUE(sa->reserve_sequence(1));
}

// What was written whole cannot be cut by a power cut; what is shorter was cut by something else.
TEST(SequenceStore, AWholeFileThatWasCutAtALineCloses) {
  FakeHost host;
  {
    Life life(host);
    for (uint8_t key = 1; key < 200; ++key) (void)life.add(key, 0x2000u + key)->reserve_sequence(1);
    life.store.stop();
  }
  const std::string text = host.file(kFile);
  host.write(kFile, text.substr(0, text.find('\n') + 1));
  Life next(host);
  EXPECT_EQ(next.refused(7).code, EIO);
}

// As the version before this one wrote it.
TEST(SequenceStore, AFileOfTheFirstKindIsRead) {
  FakeHost host;
  std::string keys;
  {
    Life life(host);
    (void)life.add();
    const std::string text = host.file(kFile);
    const size_t at = text.find("5.6.7.8 ");
    keys = text.substr(at + 8, 16);
  }
  host.write(kFile, "esp 8193 5.6.7.8 out " + keys + " 5000\nesp 8193 5.6.7.8 in " + keys + " 400\n");
  Life next(host);
  const auto sa = next.add();
  EXPECT_EQ(*sa->reserve_sequence(1), 5001u);
  EXPECT_FALSE(comes(sa, 400));
  EXPECT_TRUE(comes(sa, 401));
}

}  // namespace
}  // namespace adit::engine
