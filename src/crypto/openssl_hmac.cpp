#include "crypto/openssl_hmac.h"

namespace adit::crypto {
namespace {

// One hash: its state, and the three steps over it.
template <typename State, int (*init)(State*), int (*update)(State*, const void*, size_t),
          int (*final)(uint8_t*, State*), size_t digest_bytes>
struct Hash {
  template <typename Pair>
  static void set_key(Pair& pair, const KeyMaterial& material, uint32_t block) {
    init(&pair.inner);
    update(&pair.inner, material.hmac_inner, block);
    init(&pair.outer);
    update(&pair.outer, material.hmac_outer, block);
  }

  template <typename Pair>
  static void compute(const Pair& pair, const KeyedTransform::Shape& shape, const Job& job, uint8_t* icv) {
    State state = pair.inner;
    if (shape.cipher != Cipher::none) {
      update(&state, job.aad, job.aad_length);
      update(&state, job.iv, shape.iv);
    }
    update(&state, job.data, job.length);
    if (shape.esn) {
      uint8_t high[4];
      store_be32(high, static_cast<uint32_t>(job.sequence >> 32));
      update(&state, high, sizeof high);
    }
    uint8_t digest[digest_bytes];
    final(digest, &state);
    state = pair.outer;
    update(&state, digest, sizeof digest);
    final(digest, &state);
    std::memcpy(icv, digest, shape.icv);
  }
};

using Md5 = Hash<MD5_CTX, MD5_Init, MD5_Update, MD5_Final, MD5_DIGEST_LENGTH>;
using Sha1 = Hash<SHA_CTX, SHA1_Init, SHA1_Update, SHA1_Final, SHA_DIGEST_LENGTH>;
using Sha256 = Hash<SHA256_CTX, SHA256_Init, SHA256_Update, SHA256_Final, SHA256_DIGEST_LENGTH>;
using Sha384 = Hash<SHA512_CTX, SHA384_Init, SHA384_Update, SHA384_Final, SHA384_DIGEST_LENGTH>;
using Sha512 = Hash<SHA512_CTX, SHA512_Init, SHA512_Update, SHA512_Final, SHA512_DIGEST_LENGTH>;

}  // namespace

void OpensslHmac::set_key(const KeyedTransform& transform) {
  const KeyMaterial& material = transform.material();
  const uint32_t block = hash_block_bytes(transform.shape.auth);
  switch (transform.shape.auth) {
    case AuthAlg::none:
      break;
    case AuthAlg::hmac_md5:
      Md5::set_key(states_.md5, material, block);
      break;
    case AuthAlg::hmac_sha1:
      Sha1::set_key(states_.sha1, material, block);
      break;
    case AuthAlg::hmac_sha256:
      Sha256::set_key(states_.sha256, material, block);
      break;
    case AuthAlg::hmac_sha384:
      Sha384::set_key(states_.sha512, material, block);
      break;
    case AuthAlg::hmac_sha512:
      Sha512::set_key(states_.sha512, material, block);
      break;
  }
}

void OpensslHmac::compute(const KeyedTransform& transform, const Job& job, uint8_t* icv) const {
  const KeyedTransform::Shape& shape = transform.shape;
  switch (shape.auth) {
    case AuthAlg::none:
      break;
    case AuthAlg::hmac_md5:
      Md5::compute(states_.md5, shape, job, icv);
      break;
    case AuthAlg::hmac_sha1:
      Sha1::compute(states_.sha1, shape, job, icv);
      break;
    case AuthAlg::hmac_sha256:
      Sha256::compute(states_.sha256, shape, job, icv);
      break;
    case AuthAlg::hmac_sha384:
      Sha384::compute(states_.sha512, shape, job, icv);
      break;
    case AuthAlg::hmac_sha512:
      Sha512::compute(states_.sha512, shape, job, icv);
      break;
  }
}

}  // namespace adit::crypto
