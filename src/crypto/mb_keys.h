// The key schedules that libipsec-mb wants, made once a transform. Only in builds that have the library.
#pragma once

#include <intel-ipsec-mb.h>

#include "crypto/keyed.h"

namespace adit::crypto {

struct alignas(64) MbKeys {
  union {              // of the one cipher
    gcm_key_data gcm;  // GCM, GMAC: round keys, powers of the hash key
    struct {
      alignas(16) uint8_t aes_encrypt[15 * 16], aes_decrypt[15 * 16];
    };  // CBC, CTR, CCM
    struct {
      alignas(16) uint64_t des[3][IMB_DES_KEY_SCHED_SIZE / 8];
      const void* des_pointers[3];  // the form in which jobs take three schedules
    };
  };
  alignas(16) uint8_t iv_encrypt[11 * 16];             // AES-128 of the IV key (iv.h)
  alignas(16) uint8_t hmac_inner[64], hmac_outer[64];  // the hash's state after its first block
};

void expand_mb_keys(const KeyedTransform::Shape& shape, const KeyMaterial& material, MbKeys& keys);

// A manager in locked memory: state of jobs in flight never reaches swap or a core file.
class MbManager {
 public:
  MbManager();
  [[nodiscard]] IMB_MGR* get() const { return manager_; }

 private:
  Secret memory_;
  IMB_MGR* manager_ = nullptr;  // within memory_
};

}  // namespace adit::crypto
