#include "engine/sequence_store.h"

#include <gtest/gtest.h>

#include "engine/fake_host.h"

namespace adit::engine {
namespace {

// One life of the daemon: a store that remembers and a database with one outbound SA.
struct Life {
  explicit Life(FakeHost& host) : store(host.context), database(host.clock, algorithms) { store.restore(); }

  sad::SaPtr add(uint8_t key_byte = 7) {
    sad::SaRequest request;
    request.spec.spi = sad::Spi{0x2001};
    request.spec.source = address("1.2.3.4");
    request.spec.destination = address("5.6.7.8");
    request.spec.outbound = true;
    request.spec.encr = crypto::EncrAlg::aes_gcm16;
    request.spec.encr_key = Secret(std::vector<uint8_t>(16, key_byte));
    request.spec.salt = Secret(std::vector<uint8_t>(4, key_byte));
    auto added = database.add(std::move(request), {});
    EXPECT_TRUE(added);
    store.begin(**added);
    store.save(database, false);
    return *added;
  }

  crypto::AlgorithmTable algorithms = crypto::AlgorithmTable::builtin();
  SequenceStore store;
  sad::Database database;
};

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

TEST(SequenceStore, AnSaMadeAgainGoesOnAndNewKeysBeginAnew) {
  FakeHost host;
  Life life(host);
  const auto sa = life.add();
  const auto last = *sa->reserve_sequence(5) + 4;
  ASSERT_TRUE(life.database.remove(sad::name_of(*sa), {}));
  const auto again = life.add();
  EXPECT_GT(*again->reserve_sequence(1), last);
  ASSERT_TRUE(life.database.remove(sad::name_of(*again), {}));
  EXPECT_EQ(*life.add(9)->reserve_sequence(1), 1u);
}

TEST(SequenceStore, ACleanStopLosesNoNumbers) {
  FakeHost host;
  {
    Life life(host);
    (void)life.add()->reserve_sequence(42);
    life.store.save(life.database, true);
  }
  Life next(host);
  EXPECT_EQ(*next.add()->reserve_sequence(1), 43u);
}

// Nobody said which way it serves, as in a key file of the guide: both are remembered.
TEST(SequenceStore, AnSaOfBothWaysForgetsNeither) {
  FakeHost host;
  const auto add = [](Life& life) {
    sad::SaRequest request;
    request.spec.spi = sad::Spi{0x2002};
    request.spec.source = address("5.6.7.8");
    request.spec.destination = address("1.2.3.4");
    request.spec.encr = crypto::EncrAlg::aes_gcm16;
    request.spec.encr_key = Secret(std::vector<uint8_t>(16, 9));
    request.spec.salt = Secret(std::vector<uint8_t>(4, 9));
    auto added = life.database.add(std::move(request), {});
    EXPECT_TRUE(added);
    life.store.begin(**added);
    life.store.save(life.database, false);
    return *added;
  };
  uint64_t sent = 0;
  {
    Life life(host);
    const auto sa = add(life);
    sa->replay.set_highest(777);
    sent = *sa->reserve_sequence(10) + 9;
    life.store.save(life.database, false);
  }
  Life next(host);
  const auto sa = add(next);
  EXPECT_GE(sa->replay.highest(), 777u);
  EXPECT_GT(*sa->reserve_sequence(1), sent);
}

}  // namespace
}  // namespace adit::engine
