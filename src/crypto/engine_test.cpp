// Both engines give identical bytes for every algorithm, and open only what was sealed.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "crypto/transform.h"

namespace adit::crypto {
namespace {

struct Suite {
  EncrAlg encr;
  AuthAlg auth;
  uint32_t key_bytes;
  bool esn;
};

std::string name_of_suite(const testing::TestParamInfo<Suite>& info) {
  const Suite& s = info.param;
  std::string name = fmt::format("{}_{}_{}{}", name_of(s.encr), s.key_bytes * 8, name_of(s.auth), s.esn ? "_esn" : "");
  std::ranges::replace(name, '-', '_');
  if (s.encr == EncrAlg::none) name = "ah_" + name;
  return name;
}

std::vector<Suite> all_suites() {
  const AlgorithmTable table = AlgorithmTable::builtin();
  std::vector<Suite> suites;
  for (const Algorithm& encr : table.rows()) {
    if (encr.proto != AlgProto::esp) continue;
    const auto alg = static_cast<EncrAlg>(encr.number);
    for (const Algorithm& auth : table.rows()) {
      if (auth.proto != AlgProto::ah) continue;
      if (is_combined(alg) != (auth.number == 0)) continue;
      const uint32_t step = encr.number == 7 ? 104 : std::max<uint32_t>(encr.increment_bits, 64);
      for (uint32_t bits = encr.min_bits; bits <= encr.max_bits; bits += step) {
        for (const bool esn : {false, true}) suites.push_back({alg, static_cast<AuthAlg>(auth.number), bits / 8, esn});
      }
    }
  }
  suites.push_back({EncrAlg::aes_cbc, AuthAlg::none, 32, false});
  suites.push_back({EncrAlg::tdes_cbc, AuthAlg::none, 24, true});
  return suites;
}

std::vector<uint8_t> random_bytes(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
  return bytes;
}

std::shared_ptr<const Transform> transform_of(const Suite& suite, uint32_t seed = 1) {
  const AlgorithmTable table = AlgorithmTable::builtin();
  const auto encr_key = random_bytes(suite.key_bytes, seed);
  const auto salt = random_bytes(table.find(AlgProto::esp, static_cast<uint8_t>(suite.encr))->salt_bytes, seed + 1);
  const auto auth_key =
      random_bytes(table.find(AlgProto::ah, static_cast<uint8_t>(suite.auth))->min_bits / 8, seed + 2);
  auto made = make_transform({suite.encr, suite.auth, encr_key, salt, auth_key, suite.esn});
  EXPECT_TRUE(made) << made.error().text;
  return made ? *made : nullptr;
}

// A packet as ESP lays it out, with room for the high sequence bits behind.
struct Packet {
  Packet(const Transform& transform, uint32_t length, uint64_t sequence, bool esn)
      : bytes(random_bytes(8 + transform.iv_bytes() + length + 64, length)), aad(8) {
    aad = {1, 2, 3, 4, 0, 0, 0, 0};
    store_be32(aad.data() + 4, static_cast<uint32_t>(sequence));
    std::ranges::copy(aad, bytes.begin());
    if (esn && transform.is_combined()) {
      aad.resize(12);
      store_be64(aad.data() + 4, sequence);
    }
    const bool separate = transform.is_combined();
    job.aad = separate ? aad.data() : bytes.data();
    job.aad_length = static_cast<uint32_t>(aad.size());
    job.iv = bytes.data() + 8;
    job.data = job.iv + transform.iv_bytes();
    job.length = length;
    job.icv = job.data + length;
    job.sequence = sequence;
  }
  [[nodiscard]] std::vector<uint8_t> wire(const Transform& t) const {
    return {bytes.begin(), bytes.begin() + (job.icv - bytes.data()) + t.icv_bytes()};
  }

  std::vector<uint8_t> bytes, aad;
  Job job;
};

class EngineEquality : public testing::TestWithParam<Suite> {
 protected:
  std::unique_ptr<Engine> best = *make_engine(EngineKind::best);
  std::unique_ptr<Engine> openssl = *make_engine(EngineKind::openssl);
};

std::vector<uint32_t> lengths_for(uint32_t multiple) {
  std::vector<uint32_t> lengths;
  for (uint32_t n = 0; n <= 200; ++n) lengths.push_back(n);
  for (const uint32_t n : {1400u, 1420u, 1424u, 4096u, 9000u, 65000u}) lengths.push_back(n);
  if (multiple > 4) {
    for (uint32_t& n : lengths) n = n / multiple * multiple;
    lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  }
  return lengths;
}

TEST_P(EngineEquality, SealedAlikeAndOpenedByEither) {
  const auto transform = transform_of(GetParam());
  ASSERT_NE(transform, nullptr);
  std::vector<Packet> a, b;
  std::vector<std::vector<uint8_t>> plain;
  uint64_t sequence = 0xfffffff0;  // crosses 2^32
  for (const uint32_t length : lengths_for(transform->block_bytes())) {
    a.emplace_back(*transform, length, ++sequence, GetParam().esn);
    b.emplace_back(*transform, length, sequence, GetParam().esn);
    plain.emplace_back(a.back().job.data, a.back().job.data + length);
  }
  const auto run = [&](Engine& engine, std::vector<Packet>& packets, bool sealing) {
    std::vector<Job> jobs;
    for (const Packet& p : packets) jobs.push_back(p.job);
    size_t at = 0;
    for (size_t burst = 1; at < jobs.size(); burst = burst % 70 + 3) {  // bursts of many sizes
      const auto some = std::span(jobs).subspan(at, std::min(burst, jobs.size() - at));
      sealing ? engine.seal(*transform, some) : engine.open(*transform, some);
      at += some.size();
    }
    for (size_t i = 0; i < jobs.size(); ++i) EXPECT_TRUE(jobs[i].ok) << "length " << jobs[i].length;
  };
  run(*best, a, true);
  run(*openssl, b, true);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(a[i].wire(*transform), b[i].wire(*transform)) << "length " << a[i].job.length;
  run(*openssl, a, false);
  run(*best, b, false);
  for (size_t i = 0; i < a.size(); ++i) {
    const std::vector<uint8_t> from_a(a[i].job.data, a[i].job.data + a[i].job.length);
    const std::vector<uint8_t> from_b(b[i].job.data, b[i].job.data + b[i].job.length);
    ASSERT_EQ(from_a, plain[i]) << "length " << a[i].job.length;
    ASSERT_EQ(from_b, plain[i]) << "length " << a[i].job.length;
  }
}

TEST_P(EngineEquality, OneWrongBitAnywhereIsRefusedAndSparesTheOthers) {
  const auto transform = transform_of(GetParam());
  ASSERT_NE(transform, nullptr);
  const bool unauthenticated = transform->icv_bytes() == 0;  // then nothing is noticed
  for (Engine* engine : {best.get(), openssl.get()}) {
    Packet sealed(*transform, 48, 77, GetParam().esn);
    engine->seal(*transform, {&sealed.job, 1});
    const size_t wire = sealed.wire(*transform).size();
    const size_t first = GetParam().encr == EncrAlg::none ? 8 : 0;  // AH covers data only
    for (size_t at = first; at < wire; ++at) {
      Packet bad(*transform, 48, 77, GetParam().esn), good(*transform, 48, 77, GetParam().esn);
      bad.bytes = good.bytes = sealed.bytes;
      bad.job.aad = transform->is_combined() ? bad.aad.data() : bad.bytes.data();
      const auto rebase = [](Packet& p, const Transform& t) {
        p.job.iv = p.bytes.data() + 8;
        p.job.data = p.job.iv + t.iv_bytes();
        p.job.icv = p.job.data + p.job.length;
        if (!t.is_combined()) p.job.aad = p.bytes.data();
      };
      rebase(bad, *transform);
      rebase(good, *transform);
      bad.bytes[at] ^= 0x10;
      if (at < 8 && transform->is_combined()) bad.aad[at] ^= 0x10;
      Job jobs[] = {good.job, bad.job};
      engine->open(*transform, jobs);
      EXPECT_TRUE(jobs[0].ok);
      EXPECT_EQ(jobs[1].ok, unauthenticated) << engine->name() << " byte " << at;
    }
  }
}

TEST_P(EngineEquality, TheHighSequenceBitsCountWithEsnAndOnlyThen) {
  const auto transform = transform_of(GetParam());
  const bool counts = GetParam().esn && transform->icv_bytes() != 0;
  for (Engine* engine : {best.get(), openssl.get()}) {
    Packet sealed(*transform, 32, 0x5'0000'0007, GetParam().esn);
    engine->seal(*transform, {&sealed.job, 1});
    sealed.job.sequence = 0x6'0000'0007;
    if (counts && transform->is_combined()) store_be64(sealed.aad.data() + 4, sealed.job.sequence);
    engine->open(*transform, {&sealed.job, 1});
    EXPECT_EQ(sealed.job.ok, !counts) << engine->name();
  }
}

INSTANTIATE_TEST_SUITE_P(Every, EngineEquality, testing::ValuesIn([] {
                           std::vector<Suite> some;
                           for (const Suite& s : all_suites()) {
                             const bool nothing =
                                 s.auth == AuthAlg::none && (s.encr == EncrAlg::none || s.encr == EncrAlg::null);
                             if (!nothing) some.push_back(s);
                           }
                           return some;
                         }()),
                         name_of_suite);

TEST(Transform, TwoOfOneKeyStartTheirCountersApart) {
  const Suite gcm{EncrAlg::aes_gcm16, AuthAlg::none, 16, false};
  const auto engine = *make_engine(EngineKind::best);
  const auto first = transform_of(gcm), again = transform_of(gcm);
  Packet a(*first, 16, 1, false), b(*again, 16, 1, false);
  engine->seal(*first, {&a.job, 1});
  engine->seal(*again, {&b.job, 1});
  EXPECT_NE(load_be64(a.job.iv), load_be64(b.job.iv));
  Packet next(*first, 16, 2, false);
  engine->seal(*first, {&next.job, 1});
  EXPECT_EQ(load_be64(next.job.iv), load_be64(a.job.iv) + 1);
}

TEST(Transform, CbcIvsAreNoCounter) {
  const auto engine = *make_engine(EngineKind::best);
  const auto transform = transform_of({EncrAlg::aes_cbc, AuthAlg::hmac_sha256, 16, false});
  Packet a(*transform, 16, 1, false), b(*transform, 16, 2, false);
  engine->seal(*transform, {&a.job, 1});
  engine->seal(*transform, {&b.job, 1});
  int same = 0;
  for (int i = 0; i < 16; ++i) same += a.job.iv[i] == b.job.iv[i];
  EXPECT_LT(same, 8);
}

struct Refusal {
  Keys keys;
  const char* text;
};

TEST(Transform, RefusesWithTheAlgorithmAndTheLengthInTheText) {
  const std::vector<uint8_t> k(80);
  const auto n = [&](size_t bytes) { return std::span(k).first(bytes); };
  const Refusal refusals[] = {
      {{EncrAlg::aes_cbc, AuthAlg::hmac_sha1, n(17), {}, n(20)},
       "aes-cbc takes a key of 128, 192 or 256 bits, and this one has 136"},
      {{EncrAlg::blowfish_cbc, AuthAlg::hmac_sha1, n(57), {}, n(20)},
       "blowfish-cbc takes a key of 32 to 448 in steps of 8 bits, and this one has 456"},
      {{EncrAlg::null, AuthAlg::hmac_sha512, {}, {}, n(32)},
       "hmac-sha512 takes a key of 512 bits, and this one has 256"},
      {{EncrAlg::aes_gcm16, AuthAlg::none, n(16), n(3), {}},
       "aes-gcm takes 4 bytes of salt at the end of its key, and there are 3"},
      {{EncrAlg::aes_gcm16, AuthAlg::hmac_sha256, n(16), n(4), n(32)},
       "aes-gcm authenticates by itself: leave out hmac-sha256"},
      {{EncrAlg::null, AuthAlg::none, {}, {}, {}}, "neither encryption nor authentication: give at least one of them"},
      {{static_cast<EncrAlg>(99), AuthAlg::none, {}, {}, {}}, "there is no encryption algorithm 99"},
      {{EncrAlg::none, static_cast<AuthAlg>(9), {}, {}, {}}, "there is no authentication algorithm 9"},
  };
  for (const Refusal& r : refusals) {
    const auto made = make_transform(r.keys);
    ASSERT_FALSE(made) << r.text;
    EXPECT_EQ(made.error().code, EINVAL);
    EXPECT_EQ(made.error().text, r.text);
  }
  EXPECT_FALSE(make_transform({EncrAlg::aes_ctr, AuthAlg::none, n(16), n(4), {}}));
}

}  // namespace
}  // namespace adit::crypto
