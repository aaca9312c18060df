// A keyed transform: one SA's key schedules, made once, then used by any worker. Bursts of jobs go through an Engine.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/algorithm.h"

namespace adit::crypto {

// One packet's work. All pointers stay the caller's; nothing is allocated. For ESP: aad = ESP header (SPI, sequence
// number; for combined modes with ESN the 64-bit form, RFC 4106 §5), iv on the wire, data = payload and trailer, in
// place; icv behind it. For encrypt-then-MAC the MAC covers aad, iv, data, and (ESN) the high sequence bits, which are
// not sent. For AH (no cipher) data is the whole packet with its mutable fields already zeroed and icv apart. REQUIRES,
// for a separate MAC: aad, iv and data lie one behind the other, without gaps; with ESN four bytes behind data may be
// overwritten (in ESP they are the ICV's own). length is a multiple of the cipher's block.
struct Job {
  const uint8_t* aad = nullptr;
  uint32_t aad_length = 0;
  uint8_t* iv = nullptr;  // seal writes it, open reads it
  uint8_t* data = nullptr;
  uint32_t length = 0;
  uint8_t* icv = nullptr;  // seal writes; open compares in constant time
  uint64_t sequence = 0;   // 64-bit; also the counter from which seal makes the IV of counter modes: never repeats
  bool ok = false;
};

class Transform {
 public:
  virtual ~Transform() = default;
  [[nodiscard]] virtual uint32_t iv_bytes() const = 0;  // on the wire
  [[nodiscard]] virtual uint32_t icv_bytes() const = 0;
  [[nodiscard]] virtual uint32_t block_bytes() const = 0;  // padding multiple, at least 4 for ESP
  [[nodiscard]] virtual bool is_combined() const = 0;
};

// The secret start of a transform's IVs: `counter` is added to the sequence number (counter modes), `key` encrypts it
// (CBC).
struct IvSeed {
  uint64_t counter = 0;
  std::array<uint8_t, 16> key{};
};

// What a Transform is made of. key without salt. EINVAL: unknown algorithm, key length (text names both).
struct Keys {
  EncrAlg encr = EncrAlg::none;
  AuthAlg auth = AuthAlg::none;
  std::span<const uint8_t> encr_key, salt, auth_key;
  bool esn = false;
  // Where seal's IVs come from (crypto/iv.h). Nothing: a random seed, so that a key typed once and used again after a
  // restart, or in both directions, does not repeat an IV. Given only to reproduce known answers.
  const IvSeed* iv_seed = nullptr;
};
Result<std::shared_ptr<const Transform>> make_transform(const Keys& keys);

// A worker's crypto: owns scratch and multi-buffer state, used by one thread. Two kinds giving identical bytes.
class Engine {
 public:
  virtual ~Engine() = default;
  // REQUIRES: the transform came from make_transform. Sets ok of every job.
  virtual void seal(const Transform& transform, std::span<Job> jobs) = 0;
  virtual void open(const Transform& transform, std::span<Job> jobs) = 0;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "ipsec-mb" or "openssl"
};

enum class EngineKind : uint8_t { best, ipsec_mb, openssl };
// ENOTSUP: this machine or build has no such engine. Algorithms the multi-buffer library lacks go to OpenSSL inside it.
Result<std::unique_ptr<Engine>> make_engine(EngineKind kind);

}  // namespace adit::crypto
