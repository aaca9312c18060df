#include "crypto/keyed.h"

#include <unistd.h>

#include <algorithm>
#include <new>

#include "base/check.h"
#ifdef ADIT_IPSEC_MB
#include "crypto/mb_keys.h"
#endif

namespace adit::crypto {
namespace {

const AlgorithmTable& table() {
  static const AlgorithmTable builtin = AlgorithmTable::builtin();
  return builtin;
}

std::string sizes_of(const Algorithm& row) {
  if (row.min_bits == row.max_bits) return fmt::format("{}", row.min_bits);
  if (row.increment_bits == 64) return "128, 192 or 256";
  return fmt::format("{} to {} in steps of {}", row.min_bits, row.max_bits, row.increment_bits);
}

Result<> check_key(const Algorithm& row, size_t bytes) {
  const size_t bits = bytes * 8;
  const bool fits = bits >= row.min_bits && bits <= row.max_bits &&
                    (row.increment_bits == 0 || (bits - row.min_bits) % row.increment_bits == 0);
  if (fits) return {};
  return fail(EINVAL, "{} takes a key of {} bits, and this one has {}", row.names.front(), sizes_of(row), bits);
}

Result<> check_encr(const Keys& keys) {
  const Algorithm* row = table().find(AlgProto::esp, static_cast<uint8_t>(keys.encr));
  if (row == nullptr) return fail(EINVAL, "there is no encryption algorithm {}", static_cast<int>(keys.encr));
  TRY(check_key(*row, keys.encr_key.size()));
  if (keys.salt.size() == row->salt_bytes) return {};
  return fail(EINVAL, "{} takes {} bytes of salt at the end of its key, and there are {}", row->names.front(),
              row->salt_bytes, keys.salt.size());
}

Result<> check_auth(const Keys& keys) {
  const Algorithm* row = table().find(AlgProto::ah, static_cast<uint8_t>(keys.auth));
  if (row == nullptr) return fail(EINVAL, "there is no authentication algorithm {}", static_cast<int>(keys.auth));
  return check_key(*row, keys.auth_key.size());
}

// The pairs that protect nothing, or protect twice.
Result<> check_pair(const Keys& keys) {
  if (keys.auth == AuthAlg::none && (keys.encr == EncrAlg::none || keys.encr == EncrAlg::null)) {
    return fail(EINVAL, "neither encryption nor authentication: give at least one of them");
  }
  if (keys.auth == AuthAlg::none && keys.encr == EncrAlg::aes_ctr) {
    return fail(
        EINVAL,
        "aes-ctr without authentication lets anyone change packets (RFC 3686 §7): add hmac-sha256, or use aes-gcm");
  }
  if (keys.auth != AuthAlg::none && is_combined(keys.encr)) {
    return fail(EINVAL, "{} authenticates by itself: leave out {}", name_of(keys.encr), name_of(keys.auth));
  }
  return {};
}

Cipher cipher_of(EncrAlg alg) {
  switch (alg) {
    case EncrAlg::none:
      return Cipher::none;
    case EncrAlg::null:
      return Cipher::null;
    case EncrAlg::des_cbc:
    case EncrAlg::tdes_cbc:
    case EncrAlg::blowfish_cbc:
    case EncrAlg::aes_cbc:
      return Cipher::cbc;
    case EncrAlg::aes_ctr:
      return Cipher::ctr;
    case EncrAlg::aes_ccm8:
    case EncrAlg::aes_ccm12:
    case EncrAlg::aes_ccm16:
      return Cipher::ccm;
    case EncrAlg::aes_gcm8:
    case EncrAlg::aes_gcm12:
    case EncrAlg::aes_gcm16:
      return Cipher::gcm;
    case EncrAlg::aes_gmac:
      return Cipher::gmac;
    case EncrAlg::chacha20_poly1305:
      return Cipher::chacha;
  }
  return Cipher::none;
}

OpensslCipher by_size(OpensslCipher of_128_bits, size_t key_bytes) {
  return static_cast<OpensslCipher>(static_cast<size_t>(of_128_bits) + (key_bytes - 16) / 8);
}

OpensslCipher openssl_cipher_of(EncrAlg alg, size_t key_bytes) {
  if (alg == EncrAlg::des_cbc) return OpensslCipher::des_cbc;
  if (alg == EncrAlg::tdes_cbc) return OpensslCipher::tdes_cbc;
  if (alg == EncrAlg::blowfish_cbc) return OpensslCipher::blowfish_cbc;
  switch (cipher_of(alg)) {
    case Cipher::cbc:
      return by_size(OpensslCipher::aes128_cbc, key_bytes);
    case Cipher::ctr:
      return by_size(OpensslCipher::aes128_ctr, key_bytes);
    case Cipher::ccm:
      return by_size(OpensslCipher::aes128_ccm, key_bytes);
    case Cipher::gcm:
    case Cipher::gmac:
      return by_size(OpensslCipher::aes128_gcm, key_bytes);
    case Cipher::chacha:
      return OpensslCipher::chacha20_poly1305;
    default:
      return OpensslCipher::none;
  }
}

KeyedTransform::Shape shape_of(const Keys& keys) {
  const Algorithm& encr = *table().find(AlgProto::esp, static_cast<uint8_t>(keys.encr));
  const Algorithm& auth = *table().find(AlgProto::ah, static_cast<uint8_t>(keys.auth));
  KeyedTransform::Shape shape;
  shape.cipher = cipher_of(keys.encr);
  shape.openssl = openssl_cipher_of(keys.encr, keys.encr_key.size());
  shape.encr = keys.encr;
  shape.auth = keys.auth;
  shape.key_bytes = static_cast<uint16_t>(keys.encr_key.size());
  shape.cipher_block = shape.cipher == Cipher::cbc ? static_cast<uint8_t>(encr.block_bytes) : 1;
  shape.iv = static_cast<uint8_t>(encr.iv_bytes);
  shape.icv = static_cast<uint8_t>(is_combined(keys.encr) ? encr.icv_bytes : auth.icv_bytes);
  shape.salt = static_cast<uint8_t>(encr.salt_bytes);
  shape.esn = keys.esn;
  shape.combined = is_combined(keys.encr);
  return shape;
}

void fill(KeyMaterial& material, const KeyedTransform::Shape& shape, const Keys& keys) {
  std::ranges::copy(keys.encr_key, material.encr_key);
  std::ranges::copy(keys.salt, material.salt);
  const uint32_t block = hash_block_bytes(shape.auth);
  CHECK(keys.auth_key.size() <= block);
  std::ranges::copy(keys.auth_key, material.hmac_inner);
  std::ranges::copy(keys.auth_key, material.hmac_outer);
  for (uint32_t i = 0; i < block; ++i) {
    material.hmac_inner[i] ^= 0x36;
    material.hmac_outer[i] ^= 0x5c;
  }
  if (keys.iv_seed != nullptr)
    material.iv = *keys.iv_seed;
  else
    CHECK(::getentropy(&material.iv, sizeof material.iv) == 0);
}

constexpr size_t round_to_cache_line(size_t size) {
  return (size + 63) / 64 * 64;
}

#ifdef ADIT_IPSEC_MB
constexpr size_t kMbBytes = sizeof(MbKeys);
#else
constexpr size_t kMbBytes = 0;
#endif

}  // namespace

size_t KeyedTransform::memory_bytes() {
  return round_to_cache_line(sizeof(KeyMaterial)) + kMbBytes;
}

KeyedTransform::KeyedTransform(const Shape& s, const Keys& keys, Secret memory) : shape(s), memory_(std::move(memory)) {
  auto* material = new (memory_.bytes().data()) KeyMaterial{};
  fill(*material, shape, keys);
  material_ = material;
#ifdef ADIT_IPSEC_MB
  auto* mb = new (memory_.bytes().data() + round_to_cache_line(sizeof(KeyMaterial))) MbKeys{};
  expand_mb_keys(shape, *material, *mb);
  mb_ = mb;
#endif
}

Result<std::shared_ptr<const Transform>> make_transform(const Keys& keys) {
  TRY(check_encr(keys));
  TRY(check_auth(keys));
  TRY(check_pair(keys));
  TRY_ASSIGN(Secret memory, Secret::zeros(KeyedTransform::memory_bytes()));
  return std::make_shared<const KeyedTransform>(shape_of(keys), keys, std::move(memory));
}

}  // namespace adit::crypto
