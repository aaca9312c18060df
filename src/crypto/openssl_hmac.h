// HMAC (RFC 2104) over OpenSSL's digests. EVP_MAC copies its state, and so allocates, for every message; hashing the padded
// key's block again does not.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <memory>

#include "crypto/keyed.h"

namespace adit::crypto {

class OpensslHmac {
 public:
  [[nodiscard]] bool make(OSSL_LIB_CTX* library);

  // Over what the job's MAC covers (transform.h), cut to icv_bytes. False: libcrypto failed.
  [[nodiscard]] bool compute(const KeyedTransform& transform, const Job& job, uint8_t* icv);

 private:
  struct ContextDeleter { void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); } };
  std::array<std::unique_ptr<EVP_MD_CTX, ContextDeleter>, 8> contexts_;   // by AuthAlg
};

}  // namespace adit::crypto
