#include "crypto/openssl_hmac.h"

#include "base/check.h"

namespace adit::crypto {
namespace {
constexpr std::pair<AuthAlg, const char*> kDigests[] = {{AuthAlg::hmac_md5, "MD5"},
                                                        {AuthAlg::hmac_sha1, "SHA1"},
                                                        {AuthAlg::hmac_sha256, "SHA2-256"},
                                                        {AuthAlg::hmac_sha384, "SHA2-384"},
                                                        {AuthAlg::hmac_sha512, "SHA2-512"}};
}

bool OpensslHmac::make(OSSL_LIB_CTX* library) {
  for (const auto& [alg, name] : kDigests) {
    EVP_MD* digest = EVP_MD_fetch(library, name, nullptr);
    if (digest == nullptr) return false;
    auto& context = contexts_[static_cast<size_t>(alg)];
    context.reset(EVP_MD_CTX_new());
    CHECK(context != nullptr);
    const bool ready = EVP_DigestInit_ex2(context.get(), digest, nullptr) == 1;
    EVP_MD_free(digest);
    if (!ready) return false;
  }
  return true;
}

bool OpensslHmac::compute(const KeyedTransform& transform, const Job& job, uint8_t* icv) {
  const KeyedTransform::Shape& shape = transform.shape;
  EVP_MD_CTX* context = contexts_[static_cast<size_t>(shape.auth)].get();
  const uint32_t block = hash_block_bytes(shape.auth);
  uint8_t high[4];
  store_be32(high, static_cast<uint32_t>(job.sequence >> 32));
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned digest_bytes = 0;

  bool done = EVP_DigestInit_ex2(context, nullptr, nullptr) == 1 &&
              EVP_DigestUpdate(context, transform.material().hmac_inner, block) == 1;
  if (shape.cipher != Cipher::none) {
    done = done && EVP_DigestUpdate(context, job.aad, job.aad_length) == 1 &&
           EVP_DigestUpdate(context, job.iv, shape.iv) == 1;
  }
  done = done && EVP_DigestUpdate(context, job.data, job.length) == 1;
  if (shape.esn) done = done && EVP_DigestUpdate(context, high, sizeof high) == 1;
  done = done && EVP_DigestFinal_ex(context, digest, &digest_bytes) == 1 &&
         EVP_DigestInit_ex2(context, nullptr, nullptr) == 1 &&
         EVP_DigestUpdate(context, transform.material().hmac_outer, block) == 1 &&
         EVP_DigestUpdate(context, digest, digest_bytes) == 1 && EVP_DigestFinal_ex(context, digest, &digest_bytes) == 1;
  if (done) std::memcpy(icv, digest, shape.icv);
  return done;
}

}  // namespace adit::crypto
