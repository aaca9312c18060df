#ifdef ADIT_IPSEC_MB
#include "crypto/mb_engine.h"

#include <openssl/crypto.h>

#include "base/check.h"
#include "crypto/iv.h"
#include "crypto/mb_keys.h"
#include "crypto/openssl_engine.h"

namespace adit::crypto {
namespace {

using Nonce = uint8_t[16];
using Tag = uint8_t[64];

bool library_has(const KeyedTransform::Shape& shape) {
  if (shape.encr == EncrAlg::blowfish_cbc) return false;
  return shape.cipher != Cipher::ccm || shape.key_bytes != 24;
}

IMB_HASH_ALG hash_of(const KeyedTransform::Shape& shape) {
  switch (shape.auth) {
    case AuthAlg::hmac_md5:
      return IMB_AUTH_MD5;
    case AuthAlg::hmac_sha1:
      return IMB_AUTH_HMAC_SHA_1;
    case AuthAlg::hmac_sha256:
      return IMB_AUTH_HMAC_SHA_256;
    case AuthAlg::hmac_sha384:
      return IMB_AUTH_HMAC_SHA_384;
    case AuthAlg::hmac_sha512:
      return IMB_AUTH_HMAC_SHA_512;
    case AuthAlg::none:
      break;
  }
  if (shape.cipher == Cipher::ccm) return IMB_AUTH_AES_CCM;
  if (shape.cipher == Cipher::chacha) return IMB_AUTH_CHACHA20_POLY1305;
  return IMB_AUTH_NULL;
}

IMB_CIPHER_MODE cipher_mode_of(const KeyedTransform::Shape& shape) {
  if (shape.encr == EncrAlg::des_cbc) return IMB_CIPHER_DES;
  if (shape.encr == EncrAlg::tdes_cbc) return IMB_CIPHER_DES3;
  switch (shape.cipher) {
    case Cipher::cbc:
      return IMB_CIPHER_CBC;
    case Cipher::ctr:
      return IMB_CIPHER_CNTR;
    case Cipher::ccm:
      return IMB_CIPHER_CCM;
    case Cipher::chacha:
      return IMB_CIPHER_CHACHA20_POLY1305;
    default:
      return IMB_CIPHER_NULL;
  }
}

// CCM hashes the plaintext, all others the ciphertext.
IMB_CHAIN_ORDER order_of(const KeyedTransform::Shape& shape, bool sealing) {
  const bool hash_first = (shape.cipher == Cipher::ccm) == sealing;
  return hash_first ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
}

class MbEngine final : public Engine {
 public:
  explicit MbEngine(std::unique_ptr<Engine> openssl) : openssl_(std::move(openssl)) {}
  void seal(const Transform& transform, std::span<Job> jobs) override { run(transform, jobs, true); }
  void open(const Transform& transform, std::span<Job> jobs) override { run(transform, jobs, false); }
  [[nodiscard]] std::string_view name() const override { return "ipsec-mb"; }

 private:
  void run(const Transform& base, std::span<Job> jobs, bool sealing);
  void write_ivs(const KeyedTransform& transform, std::span<Job> jobs);
  void gcm(const KeyedTransform& transform, std::span<Job> jobs, bool sealing);
  void gmac(const KeyedTransform& transform, std::span<Job> jobs, bool sealing);
  void burst(const KeyedTransform& transform, std::span<Job> jobs, bool sealing);
  void fill(IMB_JOB& out, const KeyedTransform& transform, Job& job, size_t index, bool sealing);
  void fill_mac(IMB_JOB& out, const KeyedTransform& transform, Job& job, size_t index, bool sealing);
  void finish(const KeyedTransform& transform, IMB_JOB& done, bool sealing);

  std::unique_ptr<Engine> openssl_;
  MbManager manager_;
  IMB_JOB* slots_[IMB_MAX_BURST_SIZE] = {};
  alignas(64) Nonce nonces_[IMB_MAX_BURST_SIZE];
  alignas(64) Tag tags_[IMB_MAX_BURST_SIZE];  // computed by open, by place in the burst
  uint8_t received_[IMB_MAX_BURST_SIZE][32];  // ICVs as they came
};

void MbEngine::run(const Transform& base, std::span<Job> jobs, bool sealing) {
  const auto& transform = static_cast<const KeyedTransform&>(base);
  const Cipher cipher = transform.shape.cipher;
  bool take = library_has(transform.shape);
  for (const Job& job : jobs) {
    CHECK(job.length % transform.shape.cipher_block == 0);
    take = take && (job.length != 0 || cipher == Cipher::gcm);  // the job interface refuses some empty messages
  }
  if (!take) return sealing ? openssl_->seal(base, jobs) : openssl_->open(base, jobs);
  if (sealing) write_ivs(transform, jobs);
  if (cipher == Cipher::gcm) return gcm(transform, jobs, sealing);
  if (cipher == Cipher::gmac) return gmac(transform, jobs, sealing);
  while (!jobs.empty()) {
    const size_t count = std::min<size_t>(jobs.size(), IMB_MAX_BURST_SIZE);
    burst(transform, jobs.first(count), sealing);
    jobs = jobs.subspan(count);
  }
}

void MbEngine::write_ivs(const KeyedTransform& transform, std::span<Job> jobs) {
  if (transform.shape.iv == 0) return;
  if (transform.counts()) {
    for (const Job& job : jobs) write_counter_iv(transform, job);
    return;
  }
  static constexpr uint8_t kZeros[16] = {};
  for (const Job& job : jobs) {  // CFB of one block of zeros is the block cipher itself
    alignas(16) uint8_t block[16], out[16];
    write_iv_block(block, job.sequence);
    manager_.get()->aes128_cfb_one(out, kZeros, block, transform.mb_keys()->iv_encrypt, sizeof out);
    std::memcpy(job.iv, out, transform.shape.iv);
  }
}

// Measured: one call a packet costs less than the job interface, which does the same behind its queue.
void MbEngine::gcm(const KeyedTransform& transform, std::span<Job> jobs, bool sealing) {
  const IMB_MGR& m = *manager_.get();
  const uint32_t bytes = transform.shape.key_bytes, icv = transform.shape.icv;
  const aes_gcm_enc_dec_t encrypt = bytes == 16 ? m.gcm128_enc : bytes == 24 ? m.gcm192_enc : m.gcm256_enc;
  const aes_gcm_enc_dec_t decrypt = bytes == 16 ? m.gcm128_dec : bytes == 24 ? m.gcm192_dec : m.gcm256_dec;
  const gcm_key_data* keys = &transform.mb_keys()->gcm;
  gcm_context_data context;
  Nonce nonce;
  for (Job& job : jobs) {
    write_nonce(transform, job, nonce);
    if (sealing) {
      encrypt(keys, &context, job.data, job.data, job.length, nonce, job.aad, job.aad_length, job.icv, icv);
      job.ok = true;
    } else {
      uint8_t tag[16];
      decrypt(keys, &context, job.data, job.data, job.length, nonce, job.aad, job.aad_length, tag, icv);
      job.ok = CRYPTO_memcmp(tag, job.icv, icv) == 0;
    }
  }
}

// Piece by piece, because with ESN what is authenticated does not lie in one piece (RFC 4543 §3.3: header, IV,
// payload).
void MbEngine::gmac(const KeyedTransform& transform, std::span<Job> jobs, bool sealing) {
  const IMB_MGR& m = *manager_.get();
  const uint32_t bytes = transform.shape.key_bytes, icv = transform.shape.icv;
  const aes_gmac_init_t init = bytes == 16 ? m.gmac128_init : bytes == 24 ? m.gmac192_init : m.gmac256_init;
  const aes_gmac_update_t update = bytes == 16 ? m.gmac128_update : bytes == 24 ? m.gmac192_update : m.gmac256_update;
  const aes_gmac_finalize_t finalize = bytes == 16   ? m.gmac128_finalize
                                       : bytes == 24 ? m.gmac192_finalize
                                                     : m.gmac256_finalize;
  const gcm_key_data* keys = &transform.mb_keys()->gcm;
  gcm_context_data context;
  Nonce nonce;
  for (Job& job : jobs) {
    write_nonce(transform, job, nonce);
    uint8_t tag[16];
    init(keys, &context, nonce, 12);
    update(keys, &context, job.aad, job.aad_length);
    update(keys, &context, job.iv, transform.shape.iv);
    update(keys, &context, job.data, job.length);
    finalize(keys, &context, tag, icv);
    if (sealing) std::memcpy(job.icv, tag, icv);
    job.ok = sealing || CRYPTO_memcmp(tag, job.icv, icv) == 0;
  }
}

void MbEngine::burst(const KeyedTransform& transform, std::span<Job> jobs, bool sealing) {
  IMB_MGR* m = manager_.get();
  const auto count = static_cast<uint32_t>(jobs.size());
  CHECK(m->get_next_burst(m, count, slots_) == count);  // each burst is flushed: the queue is empty
  for (uint32_t i = 0; i < count; ++i) {
    jobs[i].ok = false;
    fill(*slots_[i], transform, jobs[i], i, sealing);
  }
  uint32_t done = m->submit_burst(m, count, slots_);
  for (uint32_t i = 0; i < done; ++i) finish(transform, *slots_[i], sealing);
  while ((done = m->flush_burst(m, IMB_MAX_BURST_SIZE, slots_)) != 0) {
    for (uint32_t i = 0; i < done; ++i) finish(transform, *slots_[i], sealing);
  }
}

void MbEngine::fill(IMB_JOB& out, const KeyedTransform& transform, Job& job, size_t index, bool sealing) {
  const KeyedTransform::Shape& shape = transform.shape;
  const MbKeys& keys = *transform.mb_keys();
  out.cipher_mode = cipher_mode_of(shape);
  out.hash_alg = hash_of(shape);
  out.cipher_direction = sealing ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
  out.chain_order = order_of(shape, sealing);
  out.user_data = &job;
  out.user_data2 = tags_[index];
  out.src = job.data;
  out.dst = job.data;
  out.cipher_start_src_offset_in_bytes = 0;
  out.msg_len_to_cipher_in_bytes = shape.cipher >= Cipher::cbc ? job.length : 0;
  out.key_len_in_bytes = shape.key_bytes;
  out.enc_keys = keys.aes_encrypt;
  out.dec_keys = keys.aes_decrypt;
  if (shape.encr == EncrAlg::tdes_cbc) out.enc_keys = out.dec_keys = static_cast<const void*>(keys.des_pointers);
  if (shape.encr == EncrAlg::des_cbc) out.enc_keys = out.dec_keys = keys.des[0];
  if (shape.cipher == Cipher::chacha) out.enc_keys = out.dec_keys = transform.material().encr_key;

  out.iv = job.iv;
  out.iv_len_in_bytes = shape.iv;
  if (transform.counts()) {
    write_nonce(transform, job, nonces_[index]);
    out.iv = nonces_[index];
    out.iv_len_in_bytes = shape.cipher == Cipher::ctr ? 16 : shape.salt + shape.iv;
  }
  fill_mac(out, transform, job, index, sealing);
}

void MbEngine::fill_mac(IMB_JOB& out, const KeyedTransform& transform, Job& job, size_t index, bool sealing) {
  const KeyedTransform::Shape& shape = transform.shape;
  const MbKeys& keys = *transform.mb_keys();
  out.auth_tag_output = sealing ? job.icv : tags_[index];
  out.auth_tag_output_len_in_bytes = shape.icv;
  out.hash_start_src_offset_in_bytes = 0;
  out.msg_len_to_hash_in_bytes = job.length;
  if (shape.cipher == Cipher::ccm) {
    out.u.CCM.aad = job.aad;
    out.u.CCM.aad_len_in_bytes = job.aad_length;
  } else if (shape.cipher == Cipher::chacha) {
    out.u.CHACHA20_POLY1305.aad = job.aad;
    out.u.CHACHA20_POLY1305.aad_len_in_bytes = job.aad_length;
  } else if (transform.has_mac()) {
    out.u.HMAC._hashed_auth_key_xor_ipad = keys.hmac_inner;
    out.u.HMAC._hashed_auth_key_xor_opad = keys.hmac_outer;
    if (shape.cipher != Cipher::none) {
      CHECK(job.aad + job.aad_length + shape.iv == job.data);
      out.src = job.aad;
      out.cipher_start_src_offset_in_bytes = job.aad_length + shape.iv;
      out.msg_len_to_hash_in_bytes += job.aad_length + shape.iv;
    }
    if (!sealing) std::memcpy(received_[index], job.icv, shape.icv);
    if (shape.esn) {
      store_be32(job.data + job.length, static_cast<uint32_t>(job.sequence >> 32));
      out.msg_len_to_hash_in_bytes += 4;
    }
  }
}

void MbEngine::finish(const KeyedTransform& transform, IMB_JOB& done, bool sealing) {
  Job& job = *static_cast<Job*>(done.user_data);
  if (done.status != IMB_STATUS_COMPLETED) return;
  if (sealing || transform.shape.icv == 0) {
    job.ok = true;
    return;
  }
  const auto* tag = static_cast<const uint8_t*>(done.user_data2);
  const size_t index = static_cast<size_t>(tag - tags_[0]) / sizeof(Tag);
  const uint8_t* expected = transform.has_mac() ? received_[index] : job.icv;
  job.ok = CRYPTO_memcmp(tag, expected, transform.shape.icv) == 0;
}

}  // namespace

Result<std::unique_ptr<Engine>> make_mb_engine() {
  TRY_ASSIGN(auto openssl, make_openssl_engine());
  return std::make_unique<MbEngine>(std::move(openssl));
}

}  // namespace adit::crypto
#endif
