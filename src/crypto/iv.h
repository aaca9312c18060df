// Where seal's IVs and the ciphers' nonces come from.
//
// Counter modes (CTR, CCM, GCM, GMAC, ChaCha20-Poly1305): IV = seed.counter + the 64-bit sequence number, big-endian.
// It never repeats under one transform, as RFC 4106 §3.1 asks. The random seed.counter matters when one key makes
// several transforms (a manual key after a restart, or one key typed for both directions): two transforms that seal
// 2^32 packets each then share an IV with a chance of 2^-31, where counters that both start at 1 would share them all.
//
// CBC: IV = AES-128 under seed.key of the sequence number, cut to the block. seed.key is random and serves nothing
// else, so the IV cannot be predicted (RFC 3602 §3) and costs one block.
#pragma once

#include "crypto/keyed.h"

namespace adit::crypto {

inline void write_counter_iv(const KeyedTransform& transform, const Job& job) {
  store_be64(job.iv, transform.material().iv.counter + job.sequence);
}

// The block whose encryption is the IV of a CBC packet.
inline void write_iv_block(uint8_t (&block)[16], uint64_t sequence) {
  store_be64(block, 0);
  store_be64(block + 8, sequence);
}

// Salt and IV (12 bytes; CCM 11, RFC 4309 §4), and for CTR the block counter, which starts at 1 (RFC 3686 §4).
inline void write_nonce(const KeyedTransform& transform, const Job& job, uint8_t (&nonce)[16]) {
  const uint32_t salt = transform.shape.salt;
  std::memcpy(nonce, transform.material().salt, 4);
  std::memcpy(nonce + salt, job.iv, 8);
  store_be32(nonce + 12, 1);
}

}  // namespace adit::crypto
