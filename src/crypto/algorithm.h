// The algorithm table (ipsecalgs): numbers, names, key lengths. Numbers are PF_KEY's (reference: pf_key.md §2.1,
// policy.md §5).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace adit::crypto {

enum class AuthAlg : uint8_t {  // AH, and ESP integrity
  none = 0,
  hmac_md5 = 2,
  hmac_sha1 = 3,
  hmac_sha256 = 5,
  hmac_sha384 = 6,
  hmac_sha512 = 7
};

enum class EncrAlg : uint8_t {
  none = 0,
  des_cbc = 2,
  tdes_cbc = 3,
  blowfish_cbc = 7,
  null = 11,
  aes_cbc = 12,
  aes_ctr = 13,
  aes_ccm8 = 14,
  aes_ccm12 = 15,
  aes_ccm16 = 16,
  aes_gcm8 = 18,
  aes_gcm12 = 19,
  aes_gcm16 = 20,
  aes_gmac = 23,          // RFC 4543; the number Linux and IKEv1 use for ESP
  chacha20_poly1305 = 28  // RFC 7634; the IKEv2 number
};

enum class AlgProto : uint8_t { ah = 2, esp = 3 };  // PROTO_IPSEC_AH, PROTO_IPSEC_ESP

// A row of the table. Built-in rows name an algorithm that the engines know; ipsecalgs -a may add names or narrow key
// sizes, -r may remove a row (the algorithm is then refused), but cannot invent a cipher.
struct Algorithm {
  AlgProto proto;
  uint8_t number;
  std::vector<std::string> names;                             // the first is what listings print
  std::string mechanism;                                      // PKCS#11-style, CKM_AES_CBC
  uint16_t min_bits, max_bits, increment_bits, default_bits;  // key without salt
  uint16_t block_bytes;                                       // cipher block, or ICV bytes on the wire for an AH row
  uint16_t iv_bytes;
  uint16_t icv_bytes;   // combined modes and MACs; 0 otherwise
  uint16_t salt_bytes;  // travels at the end of the key (RFC 4106 §8.1)
  uint32_t flags;       // kAlgValid …
  bool weak;            // DES, 3DES, Blowfish, MD5, SHA-1: loads warn
};
constexpr uint32_t kAlgValid = 1, kAlgCounter = 2, kAlgCombined = 4, kAlgCcm = 8, kAlgGcm = 0x10;

class AlgorithmTable {
 public:
  static AlgorithmTable builtin();

  // Names are not case-sensitive. nullptr: unknown.
  [[nodiscard]] const Algorithm* find(AlgProto proto, std::string_view name) const;
  [[nodiscard]] const Algorithm* find(AlgProto proto, uint8_t number) const;
  [[nodiscard]] std::span<const Algorithm> rows() const { return rows_; }

  void put(Algorithm row);                      // replaces the row of that number
  bool remove(AlgProto proto, uint8_t number);  // false: there was none

 private:
  std::vector<Algorithm> rows_;
};

bool is_combined(EncrAlg alg);          // CCM, GCM, GMAC, ChaCha20-Poly1305: authenticates by itself
std::string_view name_of(AuthAlg alg);  // hmac-sha256
std::string_view name_of(EncrAlg alg);  // aes-gcm16 is "aes-gcm", as listings print

}  // namespace adit::crypto
