// Both engines against the published answers, one crypto job each.
#include "crypto/testing/vector_file.h"
#include "source_dir.h"

namespace adit::crypto {
namespace {

// The bytes of a job as a packet has them: aad (as on the wire), IV, data, ICV.
struct Bytes {
  Bytes(const VectorCase& c, const Transform& transform, const std::vector<uint8_t>& data) : aad(c.bytes("aad")) {
    const bool separate = transform.is_combined();
    const std::vector<uint8_t> iv = c.bytes("iv"), icv = c.bytes("icv");
    if (!separate) bytes = aad;
    bytes.insert(bytes.end(), iv.begin(), iv.end());
    bytes.insert(bytes.end(), data.begin(), data.end());
    bytes.insert(bytes.end(), icv.begin(), icv.end());
    bytes.resize(bytes.size() + 4);
    job.aad = separate ? aad.data() : bytes.data();
    job.aad_length = static_cast<uint32_t>(aad.size());
    job.iv = bytes.data() + (separate ? 0 : aad.size());
    job.data = job.iv + iv.size();
    job.length = static_cast<uint32_t>(data.size());
    job.icv = job.data + job.length;
    job.sequence = c.number("sequence");
  }
  std::vector<uint8_t> aad, bytes;
  Job job;
};

class KnownAnswer : public testing::TestWithParam<EngineKind> {
 protected:
  std::unique_ptr<Engine> engine = *make_engine(GetParam());
};

std::vector<uint8_t> taken(const uint8_t* from, size_t count) {
  return {from, from + count};
}

TEST_P(KnownAnswer, Job) {
  const auto cases = all_vectors(ADIT_SOURCE_DIR, "plain");
  EXPECT_GE(cases.size(), 60u);
  for (const VectorCase& c : cases) {
    SCOPED_TRACE(c.text("name"));
    const auto key = c.bytes("key"), salt = c.bytes("salt"), auth_key = c.bytes("auth_key"), iv = c.bytes("iv");
    const auto plain = c.bytes("plain"), cipher = c.has("cipher") ? c.bytes("cipher") : plain, icv = c.bytes("icv");
    IvSeed seed;  // such that a counter mode's IV is the one of the case
    if (iv.size() == 8) seed.counter = load_be64(iv.data()) - c.number("sequence");
    const auto made = make_transform({c.encr(), c.auth(), key, salt, auth_key, c.number("esn") == 1, &seed});
    ASSERT_TRUE(made) << made.error().text;

    Bytes opened(c, **made, cipher);
    engine->open(**made, {&opened.job, 1});
    EXPECT_TRUE(opened.job.ok);
    EXPECT_EQ(taken(opened.job.data, plain.size()), plain);

    // A CBC packet's IV cannot be asked for: that sealing undoes opening, engine_test proves.
    if ((*made)->block_bytes() > 4) continue;
    Bytes sealed(c, **made, plain);
    std::fill_n(sealed.job.icv, icv.size(), uint8_t{0});
    engine->seal(**made, {&sealed.job, 1});
    EXPECT_TRUE(sealed.job.ok);
    EXPECT_EQ(taken(sealed.job.iv, iv.size()), iv);
    EXPECT_EQ(taken(sealed.job.data, cipher.size()), cipher);
    EXPECT_EQ(taken(sealed.job.icv, icv.size()), icv);
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, KnownAnswer, testing::Values(EngineKind::best, EngineKind::openssl),
                         [](const auto& kind) { return kind.param == EngineKind::best ? "best" : "openssl"; });

}  // namespace
}  // namespace adit::crypto
