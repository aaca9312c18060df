// Inside the room: the one kind of Transform there is, with its key material in locked memory, as the engines read it.
#pragma once

#include "crypto/transform.h"

namespace adit::crypto {

enum class Cipher : uint8_t { none, null, cbc, ctr, ccm, gcm, gmac, chacha };

// Which OpenSSL cipher does it; openssl_engine.cpp holds the names in this order.
enum class OpensslCipher : uint8_t {
  des_cbc,
  tdes_cbc,
  blowfish_cbc,
  aes128_cbc,
  aes192_cbc,
  aes256_cbc,
  aes128_ctr,
  aes192_ctr,
  aes256_ctr,
  aes128_ccm,
  aes192_ccm,
  aes256_ccm,
  aes128_gcm,
  aes192_gcm,
  aes256_gcm,
  chacha20_poly1305,
  count,
  none = count
};

// Everything secret of a transform; lives in a Secret's pages and is wiped with them.
struct KeyMaterial {
  uint8_t encr_key[56];
  uint8_t salt[4];
  uint8_t hmac_inner[128], hmac_outer[128];  // auth key padded to a hash block, xor 0x36 and 0x5c (RFC 2104)
  IvSeed iv;
};

struct MbKeys;  // mb_keys.h: the schedules of the multi-buffer library

class KeyedTransform final : public Transform {
 public:
  struct Shape {
    Cipher cipher = Cipher::none;
    OpensslCipher openssl = OpensslCipher::none;
    EncrAlg encr = EncrAlg::none;
    AuthAlg auth = AuthAlg::none;
    uint16_t key_bytes = 0;
    uint8_t cipher_block = 1, iv = 0, icv = 0, salt = 0;
    bool esn = false, combined = false;
  };

  // REQUIRES: keys passed check_keys (keyed.cpp); memory of memory_bytes(), all zeros.
  KeyedTransform(const Shape& shape, const Keys& keys, Secret memory);
  static size_t memory_bytes();

  [[nodiscard]] uint32_t iv_bytes() const override { return shape.iv; }
  [[nodiscard]] uint32_t icv_bytes() const override { return shape.icv; }
  [[nodiscard]] uint32_t block_bytes() const override { return shape.cipher_block < 4 ? 4 : shape.cipher_block; }
  [[nodiscard]] bool is_combined() const override { return shape.combined; }

  [[nodiscard]] const KeyMaterial& material() const { return *material_; }
  [[nodiscard]] const MbKeys* mb_keys() const { return mb_; }  // null: the build has no multi-buffer library
  [[nodiscard]] bool has_mac() const { return shape.auth != AuthAlg::none; }
  // The IV is made from a counter (else, if there is one, it is unpredictable).
  [[nodiscard]] bool counts() const { return shape.cipher >= Cipher::ctr; }

  const Shape shape;

 private:
  Secret memory_;
  const KeyMaterial* material_ = nullptr;
  const MbKeys* mb_ = nullptr;
};

// Bytes of a block of the hash that MACs with this algorithm.
constexpr uint32_t hash_block_bytes(AuthAlg alg) {
  return alg == AuthAlg::hmac_sha384 || alg == AuthAlg::hmac_sha512 ? 128 : 64;
}

}  // namespace adit::crypto
