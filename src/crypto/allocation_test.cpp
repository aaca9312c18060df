// The packet path allocates nothing: neither through operator new nor inside libcrypto, whichever engine and algorithm.
#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <cstdlib>

#include "crypto/transform.h"

namespace {
uint64_t allocations = 0;

void* counted_malloc(size_t size, const char*, int) {
  return ++allocations, std::malloc(size);
}
void* counted_realloc(void* at, size_t size, const char*, int) {
  return ++allocations, std::realloc(at, size);
}
void plain_free(void* at, const char*, int) {
  std::free(at);
}

// Before libcrypto's first allocation, or it refuses.
const bool counting = CRYPTO_set_mem_functions(counted_malloc, counted_realloc, plain_free) == 1;
}  // namespace

namespace adit::crypto {
namespace {

TEST(Allocation, NoneOfAnyPacketWithAnyAlgorithm) {
  ASSERT_TRUE(counting);
  const AlgorithmTable table = AlgorithmTable::builtin();
  const std::vector<uint8_t> key(64, 7);
  for (const EngineKind kind : {EngineKind::best, EngineKind::openssl}) {
    const uint64_t before_engine = allocations;
    const auto engine = *make_engine(kind);
    ASSERT_GT(allocations, before_engine) << "the counter counts";
    for (const Algorithm& encr : table.rows()) {
      if (encr.proto != AlgProto::esp) continue;
      const auto alg = static_cast<EncrAlg>(encr.number);
      const auto auth = is_combined(alg) ? AuthAlg::none : AuthAlg::hmac_sha512;
      const auto made =
          make_transform({alg, auth, std::span(key).first(encr.max_bits / 8), std::span(key).first(encr.salt_bytes),
                          std::span(key).first(auth == AuthAlg::none ? 0 : 64)});
      ASSERT_TRUE(made) << made.error().text;
      std::vector<uint8_t> bytes(8 + 16 + 1408 + 64);
      Job job;
      job.aad = bytes.data();
      job.aad_length = 8;
      job.iv = bytes.data() + 8;
      job.data = job.iv + (*made)->iv_bytes();
      job.length = 1408;
      job.icv = job.data + job.length;
      job.sequence = 1;
      const uint64_t before = allocations;
      for (int i = 0; i < 3; ++i) {
        engine->seal(**made, {&job, 1});
        engine->open(**made, {&job, 1});
        EXPECT_TRUE(job.ok);
      }
      EXPECT_EQ(allocations, before) << engine->name() << " " << name_of(alg);
    }
  }
}

}  // namespace
}  // namespace adit::crypto
