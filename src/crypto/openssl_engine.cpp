#include "crypto/openssl_engine.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include <array>

#include "base/check.h"
#include "crypto/iv.h"
#include "crypto/openssl_hmac.h"

namespace adit::crypto {
namespace {

// In the order of OpensslCipher.
constexpr const char* kCipherNames[] = {"DES-CBC",     "DES-EDE3-CBC", "BF-CBC",      "AES-128-CBC",
                                        "AES-192-CBC", "AES-256-CBC",  "AES-128-CTR", "AES-192-CTR",
                                        "AES-256-CTR", "AES-128-CCM",  "AES-192-CCM", "AES-256-CCM",
                                        "AES-128-GCM", "AES-192-GCM",  "AES-256-GCM", "ChaCha20-Poly1305"};
static_assert(std::size(kCipherNames) == static_cast<size_t>(OpensslCipher::count));

struct LibraryDeleter {
  void operator()(OSSL_LIB_CTX* l) const { OSSL_LIB_CTX_free(l); }
};
struct ProviderDeleter {
  void operator()(OSSL_PROVIDER* p) const { OSSL_PROVIDER_unload(p); }
};
struct CipherDeleter {
  void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
};
using Library = std::unique_ptr<OSSL_LIB_CTX, LibraryDeleter>;
using Provider = std::unique_ptr<OSSL_PROVIDER, ProviderDeleter>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, CipherDeleter>;

// Null: no provider offers it.
CipherContext make_context(OSSL_LIB_CTX* library, const char* name) {
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(library, name, nullptr);
  if (cipher == nullptr) return nullptr;
  CipherContext context(EVP_CIPHER_CTX_new());
  CHECK(context != nullptr);
  const bool ready = EVP_CipherInit_ex2(context.get(), cipher, nullptr, nullptr, 1, nullptr) == 1 &&
                     EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1;
  EVP_CIPHER_free(cipher);
  if (!ready) return nullptr;
  return context;
}

bool update(EVP_CIPHER_CTX* context, uint8_t* out, const uint8_t* in, uint32_t length) {
  int written = 0;
  return EVP_CipherUpdate(context, out, &written, in, static_cast<int>(length)) == 1;
}

class OpensslEngine final : public Engine {
 public:
  [[nodiscard]] bool make();
  void seal(const Transform& transform, std::span<Job> jobs) override { run(transform, jobs, true); }
  void open(const Transform& transform, std::span<Job> jobs) override { run(transform, jobs, false); }
  [[nodiscard]] std::string_view name() const override { return "openssl"; }

 private:
  void run(const Transform& transform, std::span<Job> jobs, bool sealing);
  bool write_ivs(const KeyedTransform& transform, std::span<Job> jobs);
  bool set_key(EVP_CIPHER_CTX* context, const KeyedTransform& transform, const uint8_t* key, bool sealing);
  bool seal_one(EVP_CIPHER_CTX* context, const KeyedTransform& transform, Job& job);
  bool open_one(EVP_CIPHER_CTX* context, const KeyedTransform& transform, Job& job);
  bool aead(EVP_CIPHER_CTX* context, const KeyedTransform& transform, Job& job, bool sealing);
  bool encrypt_or_decrypt(EVP_CIPHER_CTX* context, const KeyedTransform& transform, Job& job);

  // In the order in which they must be made; they go in reverse.
  Library library_;
  Provider default_, legacy_;
  std::array<CipherContext, static_cast<size_t>(OpensslCipher::count)> ciphers_;
  CipherContext iv_cipher_;
  OpensslHmac hmac_;
};

bool OpensslEngine::make() {
  library_.reset(OSSL_LIB_CTX_new());
  if (library_ == nullptr) return false;
  default_.reset(OSSL_PROVIDER_load(library_.get(), "default"));
  legacy_.reset(OSSL_PROVIDER_load(library_.get(), "legacy"));
  for (size_t i = 0; i < ciphers_.size(); ++i) ciphers_[i] = make_context(library_.get(), kCipherNames[i]);
  iv_cipher_ = make_context(library_.get(), "AES-128-ECB");
  return default_ != nullptr && iv_cipher_ != nullptr;
}

void OpensslEngine::run(const Transform& base, std::span<Job> jobs, bool sealing) {
  const auto& transform = static_cast<const KeyedTransform&>(base);
  for (Job& job : jobs) job.ok = false;
  if (sealing && !write_ivs(transform, jobs)) return;

  EVP_CIPHER_CTX* context = nullptr;
  if (transform.shape.openssl != OpensslCipher::none) {
    context = ciphers_[static_cast<size_t>(transform.shape.openssl)].get();
    if (context == nullptr || !set_key(context, transform, transform.material().encr_key, sealing)) return;
  }
  if (transform.has_mac()) hmac_.set_key(transform);
  for (Job& job : jobs) {
    CHECK(job.length % transform.shape.cipher_block == 0);
    job.ok = sealing ? seal_one(context, transform, job) : open_one(context, transform, job);
  }
  if (transform.has_mac()) hmac_.forget_key();
  static constexpr uint8_t kNoKey[sizeof KeyMaterial::encr_key] = {};
  if (context != nullptr) set_key(context, transform, kNoKey, sealing);
}

bool OpensslEngine::write_ivs(const KeyedTransform& transform, std::span<Job> jobs) {
  if (transform.shape.iv == 0) return true;
  if (transform.counts()) {
    for (const Job& job : jobs) write_counter_iv(transform, job);
    return true;
  }
  EVP_CIPHER_CTX* ecb = iv_cipher_.get();
  if (EVP_EncryptInit_ex2(ecb, nullptr, transform.material().iv.key.data(), nullptr, nullptr) != 1) return false;
  for (const Job& job : jobs) {
    uint8_t block[16];
    write_iv_block(block, job.sequence);
    if (!update(ecb, block, block, sizeof block)) return false;
    std::memcpy(job.iv, block, transform.shape.iv);
  }
  static constexpr uint8_t kNoKey[16] = {};
  return EVP_EncryptInit_ex2(ecb, nullptr, kNoKey, nullptr, nullptr) == 1;
}

bool OpensslEngine::set_key(EVP_CIPHER_CTX* context, const KeyedTransform& transform, const uint8_t* key,
                            bool sealing) {
  const KeyedTransform::Shape& shape = transform.shape;
  if (shape.encr == EncrAlg::blowfish_cbc && EVP_CIPHER_CTX_set_key_length(context, shape.key_bytes) != 1) return false;
  if (shape.cipher == Cipher::ccm) {  // both must be known before the key
    if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, 11, nullptr) != 1) return false;
    if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, shape.icv, nullptr) != 1) return false;
  }
  return EVP_CipherInit_ex2(context, nullptr, key, nullptr, sealing ? 1 : 0, nullptr) == 1;
}

bool OpensslEngine::seal_one(EVP_CIPHER_CTX* context, const KeyedTransform& transform, Job& job) {
  if (transform.is_combined()) return aead(context, transform, job, true);
  if (!encrypt_or_decrypt(context, transform, job)) return false;
  if (transform.has_mac()) hmac_.compute(transform, job, job.icv);
  return true;
}

bool OpensslEngine::open_one(EVP_CIPHER_CTX* context, const KeyedTransform& transform, Job& job) {
  if (transform.is_combined()) return aead(context, transform, job, false);
  if (transform.has_mac()) {
    uint8_t icv[32];
    hmac_.compute(transform, job, icv);
    if (CRYPTO_memcmp(icv, job.icv, transform.shape.icv) != 0) return false;
  }
  return encrypt_or_decrypt(context, transform, job);
}

bool OpensslEngine::encrypt_or_decrypt(EVP_CIPHER_CTX* context, const KeyedTransform& transform, Job& job) {
  if (context == nullptr || job.length == 0) return true;
  uint8_t nonce[16];
  const uint8_t* iv = job.iv;
  if (transform.shape.cipher == Cipher::ctr) {
    write_nonce(transform, job, nonce);
    iv = nonce;
  }
  return EVP_CipherInit_ex2(context, nullptr, nullptr, iv, -1, nullptr) == 1 &&
         update(context, job.data, job.data, job.length);
}

bool OpensslEngine::aead(EVP_CIPHER_CTX* context, const KeyedTransform& transform, Job& job, bool sealing) {
  const KeyedTransform::Shape& shape = transform.shape;
  const bool ccm = shape.cipher == Cipher::ccm;
  uint8_t nonce[16];
  write_nonce(transform, job, nonce);
  if (!sealing && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, shape.icv, job.icv) != 1) return false;
  if (EVP_CipherInit_ex2(context, nullptr, nullptr, nonce, -1, nullptr) != 1) return false;
  if (ccm && !update(context, nullptr, nullptr, job.length)) return false;
  if (!update(context, nullptr, job.aad, job.aad_length)) return false;
  if (shape.cipher == Cipher::gmac) {  // RFC 4543 §3.3: the IV and the payload are authenticated, not encrypted
    if (!update(context, nullptr, job.iv, shape.iv) || !update(context, nullptr, job.data, job.length)) return false;
  } else if ((ccm || job.length != 0) && !update(context, job.data, job.data, job.length)) {
    return false;
  }
  int written = 0;
  uint8_t none[16];
  if (!ccm && EVP_CipherFinal_ex(context, none, &written) != 1) return false;
  return !sealing || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, shape.icv, job.icv) == 1;
}

}  // namespace

Result<std::unique_ptr<Engine>> make_openssl_engine() {
  auto engine = std::make_unique<OpensslEngine>();
  if (!engine->make()) return fail(ENOTSUP, "OpenSSL's default provider is missing or too old: OpenSSL 3 is needed");
  return engine;
}

}  // namespace adit::crypto
