#ifdef ADIT_IPSEC_MB
#include "crypto/mb_keys.h"

#include "base/check.h"

namespace adit::crypto {
namespace {

// Expanding keys reads function pointers of a manager and changes nothing in it, so one serves every thread.
const IMB_MGR& functions() {
  static const MbManager manager;
  return *manager.get();
}

void expand_aes(const uint8_t* key, uint32_t bytes, MbKeys& keys) {
  const IMB_MGR& f = functions();
  const keyexp_t expand = bytes == 16 ? f.keyexp_128 : bytes == 24 ? f.keyexp_192 : f.keyexp_256;
  expand(key, keys.aes_encrypt, keys.aes_decrypt);
}

void expand_gcm(const uint8_t* key, uint32_t bytes, MbKeys& keys) {
  const IMB_MGR& f = functions();
  const aes_gcm_pre_t expand = bytes == 16 ? f.gcm128_pre : bytes == 24 ? f.gcm192_pre : f.gcm256_pre;
  expand(key, &keys.gcm);
}

void expand_des(const uint8_t* key, uint32_t bytes, MbKeys& keys) {
  for (size_t i = 0; i < bytes / 8; ++i) {
    functions().des_key_sched(keys.des[i], key + 8 * i);
    keys.des_pointers[i] = keys.des[i];
  }
}

void expand_hmac(AuthAlg alg, const KeyMaterial& material, MbKeys& keys) {
  const IMB_MGR& f = functions();
  hash_one_block_t one_block = nullptr;
  switch (alg) {
    case AuthAlg::none:
      return;
    case AuthAlg::hmac_md5:
      one_block = f.md5_one_block;
      break;
    case AuthAlg::hmac_sha1:
      one_block = f.sha1_one_block;
      break;
    case AuthAlg::hmac_sha256:
      one_block = f.sha256_one_block;
      break;
    case AuthAlg::hmac_sha384:
      one_block = f.sha384_one_block;
      break;
    case AuthAlg::hmac_sha512:
      one_block = f.sha512_one_block;
      break;
  }
  one_block(material.hmac_inner, keys.hmac_inner);
  one_block(material.hmac_outer, keys.hmac_outer);
}

}  // namespace

void expand_mb_keys(const KeyedTransform::Shape& shape, const KeyMaterial& material, MbKeys& keys) {
  switch (shape.encr) {
    case EncrAlg::des_cbc:
    case EncrAlg::tdes_cbc:
      expand_des(material.encr_key, shape.key_bytes, keys);
      break;
    case EncrAlg::aes_cbc:
    case EncrAlg::aes_ctr:
    case EncrAlg::aes_ccm8:
    case EncrAlg::aes_ccm12:
    case EncrAlg::aes_ccm16:
      expand_aes(material.encr_key, shape.key_bytes, keys);
      break;
    case EncrAlg::aes_gcm8:
    case EncrAlg::aes_gcm12:
    case EncrAlg::aes_gcm16:
    case EncrAlg::aes_gmac:
      expand_gcm(material.encr_key, shape.key_bytes, keys);
      break;
    default:
      break;  // no cipher, one without a schedule, or one that OpenSSL does
  }
  if (shape.cipher == Cipher::cbc) {
    alignas(16) uint8_t unused[11 * 16];
    functions().keyexp_128(material.iv.key.data(), keys.iv_encrypt, unused);
    wipe(unused, sizeof unused);
  }
  expand_hmac(shape.auth, material, keys);
}

MbManager::MbManager() : memory_(imb_get_mb_mgr_size()) {
  manager_ = imb_set_pointers_mb_mgr(memory_.bytes().data(), 0, 1);
  CHECK(manager_ != nullptr);
  init_mb_mgr_auto(manager_, nullptr);
  CHECK(imb_get_errno(manager_) == 0);
}

}  // namespace adit::crypto
#endif
