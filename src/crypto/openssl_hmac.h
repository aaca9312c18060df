// HMAC (RFC 2104) over OpenSSL's hashes. EVP's HMAC and its digests allocate for every message (OpenSSL 3.0), the plain
// hash functions do not, and their state after the padded key's block can be kept for a burst.
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>

#include "crypto/keyed.h"

namespace adit::crypto {

class OpensslHmac {
 public:
  // Takes the key's blocks for the jobs that follow.
  void set_key(const KeyedTransform& transform);
  // Over what the job's MAC covers (transform.h), cut to icv_bytes.
  void compute(const KeyedTransform& transform, const Job& job, uint8_t* icv) const;
  void forget_key() { wipe(&states_, sizeof states_); }

 private:
  template <typename State>
  struct Pair {
    State inner, outer;
  };
  union States {
    Pair<MD5_CTX> md5;
    Pair<SHA_CTX> sha1;
    Pair<SHA256_CTX> sha256;
    Pair<SHA512_CTX> sha512;  // and SHA-384
  };
  States states_;
};

}  // namespace adit::crypto
