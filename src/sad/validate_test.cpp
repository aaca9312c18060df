#include "sad/validate.h"

#include <gtest/gtest.h>

#include <functional>

#include "sad/testing/sad_fixture.h"
#include "sad/weak_key.h"

namespace adit::sad {
namespace {
using namespace testing;
using crypto::AuthAlg;
using crypto::EncrAlg;
using D = Diagnostic;

Diagnostic judge(const std::function<void(SaRequest&)>& spoil, SaSpec spec = esp(0x2001)) {
  static const auto table = crypto::AlgorithmTable::builtin();
  SaRequest request{std::move(spec), SaState::mature, {}, {}, {}, {}};
  spoil(request);
  const auto result = validate(request, table);
  if (result) return D::none;
  EXPECT_FALSE(result.error().text.empty());
  return result.error().diagnostic;
}

TEST(Validate, AcceptsWhatIsRight) {
  EXPECT_EQ(judge([](SaRequest&) {}), D::none);
  EXPECT_EQ(judge([](SaRequest&) {}, gcm(0x100)), D::none);
  EXPECT_EQ(judge([](SaRequest&) {}, ah(0x100)), D::none);
}

TEST(Validate, EachFaultHasItsDiagnostic) {
  struct Case {
    D expected;
    std::function<void(SaRequest&)> spoil;
  };
  const Case cases[] = {
      {D::unknown_satype, [](auto& r) { r.spec.type = SaType::unspec; }},
      {D::reserved_spi, [](auto& r) { r.spec.spi = Spi{0}; }},
      {D::reserved_spi, [](auto& r) { r.spec.spi = Spi{255}; }},
      {D::bad_state, [](auto& r) { r.state = SaState::larval; }},
      {D::bad_state, [](auto& r) { r.state = SaState::dead; }},
      {D::malformed_namespace, [](auto& r) { r.spec.name_space = std::string(256, 'x'); }},
      {D::bad_source, [](auto& r) { r.spec.source = address("224.0.0.1"); }},
      {D::bad_destination, [](auto& r) { r.spec.destination = address("0.0.0.0"); }},
      {D::bad_destination, [](auto& r) { r.spec.destination = address("255.255.255.255"); }},
      {D::af_mismatch, [](auto& r) { r.spec.source = address("2001:db8::1"); }},
      {D::bad_natt_local_af, [](auto& r) { r.spec.nat = NatT{address("::1"), address("5.6.7.8")}; }},
      {D::bad_natt_remote_af, [](auto& r) { r.spec.nat = NatT{address("1.2.3.4"), address("::1")}; }},
      {D::inner_af_mismatch,
       [](auto& r) { r.spec.inner = InnerSelector{prefix("10.0.0.0/8"), prefix("2001:db8::/32"), 0, 0, 0}; }},
      {D::protocol_mismatch,
       [](auto& r) {
         r.spec.inner = InnerSelector{prefix("10.0.0.0/8"), prefix("10.0.0.0/8"), 0, 0, 0}, r.spec.outer_protocol = 6;
       }},
      {D::bad_encr_alg, [](auto& r) { r.spec.encr = static_cast<EncrAlg>(99); }},
      {D::bad_auth_alg, [](auto& r) { r.spec.auth = static_cast<AuthAlg>(99); }},
      {D::missing_encr_key, [](auto& r) { r.spec.encr_key = Secret(); }},
      {D::missing_auth_key, [](auto& r) { r.spec.auth_key = Secret(); }},
      {D::malformed_encr_key, [](auto& r) { r.spec.encr_key = Secret(16); }},
      {D::malformed_auth_key, [](auto& r) { r.spec.auth_key = Secret(32); }},
      {D::bad_encr_bits, [](auto& r) { r.spec.encr_key = key_of(20, 1); }},
      {D::bad_auth_bits, [](auto& r) { r.spec.auth_key = key_of(31, 1); }},
      {D::auth_key_not_needed, [](auto& r) { r.spec.auth = AuthAlg::none; }},
      {D::encr_key_not_needed, [](auto& r) { r.spec.encr = EncrAlg::null; }},
      {D::bad_auth_alg,
       [](auto& r) {
         r.spec.encr = EncrAlg::null, r.spec.encr_key = Secret(), r.spec.auth = AuthAlg::none,
         r.spec.auth_key = Secret();
       }},
      {D::weak_encr_key,
       [](auto& r) { r.spec.encr = EncrAlg::des_cbc, r.spec.encr_key = *Secret::from_hex("0101010101010101"); }},
      {D::bad_replay_window, [](auto& r) { r.spec.replay_window = 4097; }},
      {D::bad_replay_counter, [](auto& r) { r.replay_value = uint64_t{1} << 32; }},
      {D::allocations_soft_above_hard,
       [](auto& r) { r.hard = Lifetime{.allocations = 1}, r.soft = Lifetime{.allocations = 2}; }},
      {D::bytes_soft_above_hard, [](auto& r) { r.hard = Lifetime{.bytes = 1}, r.soft = Lifetime{.bytes = 2}; }},
      {D::addtime_soft_above_hard,
       [](auto& r) { r.hard = Lifetime{.add_seconds = 1}, r.soft = Lifetime{.add_seconds = 2}; }},
      {D::usetime_soft_above_hard,
       [](auto& r) { r.hard = Lifetime{.use_seconds = 1}, r.soft = Lifetime{.use_seconds = 2}; }},
      {D::inappropriate_lifetimes,
       [](auto& r) { r.hard = Lifetime{.use_seconds = 1}, r.idle = Lifetime{.use_seconds = 2}; }}};
  for (const Case& c : cases) EXPECT_EQ(judge(c.spoil), c.expected) << &c - cases << ' ' << text_of(c.expected);
  EXPECT_EQ(judge([](auto& r) { r.spec.salt = Secret(); }, gcm(0x100)), D::bad_encr_bits);
  EXPECT_EQ(judge([](auto& r) { r.spec.auth = AuthAlg::hmac_sha256, r.spec.auth_key = key_of(32, 1); }, gcm(0x100)),
            D::auth_key_not_needed);
  EXPECT_EQ(judge([](auto& r) { r.spec.encr = EncrAlg::aes_cbc, r.spec.encr_key = key_of(16, 1); }, ah(0x100)),
            D::encr_not_for_satype);
  EXPECT_EQ(judge([](auto& r) { r.spec.auth = AuthAlg::none, r.spec.auth_key = Secret(); }, ah(0x100)),
            D::bad_auth_alg);
  EXPECT_EQ(judge([](auto& r) { r.spec.nat = NatT{address("1.2.3.4"), address("5.6.7.8")}; }, ah(0x100)), D::bad_flags);
}

TEST(Validate, AnAlgorithmThatWasRemovedIsRefused) {
  auto table = crypto::AlgorithmTable::builtin();
  ASSERT_TRUE(table.remove(crypto::AlgProto::esp, 12));
  const auto result = validate({esp(0x2001), SaState::mature, {}, {}, {}, {}}, table);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().diagnostic, D::bad_encr_alg);
}

TEST(Validate, ExpectedBitsReadWell) {
  const auto table = crypto::AlgorithmTable::builtin();
  const auto bits = [&](crypto::AlgProto proto, std::string_view name) {
    return expected_bits(*table.find(proto, name));
  };
  EXPECT_EQ(bits(crypto::AlgProto::esp, "aes"), "128, 192 or 256 bits");
  EXPECT_EQ(bits(crypto::AlgProto::esp, "aes-gcm"), "160, 224 or 288 bits (the last 32 are the salt)");
  EXPECT_EQ(bits(crypto::AlgProto::ah, "sha512"), "512 bits");
  EXPECT_EQ(bits(crypto::AlgProto::esp, "blowfish"), "32 to 448 bits in steps of 8");
}

TEST(Validate, WeakKeysOfDesAndTripleDes) {
  const auto weak = [](EncrAlg alg, std::string_view hex) {
    const Secret key = *Secret::from_hex(hex);
    return is_weak_key(alg, key.bytes());
  };
  EXPECT_TRUE(weak(EncrAlg::des_cbc, "fefefefefefefefe"));
  EXPECT_TRUE(weak(EncrAlg::des_cbc, "0000000000000000"));  // parity does not count
  EXPECT_TRUE(weak(EncrAlg::des_cbc, "01fe01fe01fe01fe"));
  EXPECT_FALSE(weak(EncrAlg::des_cbc, "0123456789abcdef"));
  EXPECT_TRUE(weak(EncrAlg::tdes_cbc, "0123456789abcdef0123456789abcdef1122334455667788"));
  EXPECT_TRUE(weak(EncrAlg::tdes_cbc, "11223344556677880123456789abcdef0123456789abcdef"));
  EXPECT_FALSE(weak(EncrAlg::tdes_cbc, "0123456789abcdef11223344556677880123456789abcdef"));
  EXPECT_FALSE(weak(EncrAlg::aes_cbc, "01010101010101010101010101010101"));
}

}  // namespace
}  // namespace adit::sad
