// Inside the room: what sealing and opening share. A burst's crypto jobs beside the packets they belong to, on the
// stack; only the places in use are ever written.
#pragma once

#include <memory>
#include <span>

#include "base/check.h"
#include "esp/esp.h"
#include "sad/inbound_owner.h"

namespace adit::esp {

constexpr uint32_t kEspHeaderBytes = 8;   // SPI, sequence number (RFC 4303 §2)
constexpr uint32_t kEspTrailerBytes = 2;  // pad length, next header
constexpr uint8_t kDummyNextHeader = 59;  // RFC 4303 §2.6

class JobBurst {
 public:
  crypto::Job& add(net::Packet& packet) {
    CHECK(count_ < kMaxBurst);
    packets_[count_] = &packet;
    return *std::construct_at(jobs_ + count_++);
  }
  // Room for the last job's 64-bit form of the ESP header, and for an ICV.
  uint8_t* scratch() { return scratch_[count_ - 1]; }

  [[nodiscard]] std::span<crypto::Job> jobs() { return {jobs_, count_}; }
  [[nodiscard]] net::Packet& packet(size_t index) { return *packets_[index]; }
  [[nodiscard]] size_t size() const { return count_; }

  JobBurst() {}  // leaves everything unwritten
  JobBurst(const JobBurst&) = delete;
  JobBurst& operator=(const JobBurst&) = delete;

 private:
  size_t count_ = 0;
  union {
    crypto::Job jobs_[kMaxBurst];  // constructed one by one; nothing to destroy
  };
  net::Packet* packets_[kMaxBurst];
  uint8_t scratch_[kMaxBurst][32];
};

// Points a job at the ESP header of its packet, or for combined modes with ESN at the 64-bit form (RFC 4303 §2.2.1,
// RFC 4106 §5) that it writes to the burst's scratch.
inline void set_aad(JobBurst& burst, crypto::Job& job, const sad::Sa& sa, const uint8_t* header, uint64_t sequence) {
  job.aad = header;
  job.aad_length = kEspHeaderBytes;
  if (!sa.spec.esn || !sa.transform->is_combined()) return;
  uint8_t* extended = burst.scratch();
  std::memcpy(extended, header, 4);
  store_be64(extended + 4, sequence);
  job.aad = extended;
  job.aad_length = 12;
}

// Gives consecutive sequence numbers to the packets that are not dropped; those for which none is left become
// sequence_exhausted or sequence_unsaved.
void give_sequence_numbers(sad::Sa& sa, std::span<net::Packet> packets);

}  // namespace adit::esp
