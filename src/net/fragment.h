// Cuts an IPv4 packet without DF to a link's MTU (RFC 791 §3.2). Pure; nothing allocated.
#pragma once

#include "base/bytes.h"
#include "base/drop_reason.h"

namespace adit::net {

class Fragmenter {
 public:
  // `packet` must stay and not change; its transport checksum must be complete. It may be a fragment itself.
  // too_big: DF is set, or the MTU has no room for 8 bytes of payload. bad_header: not IPv4. truncated.
  DropReason begin(ByteSpan packet, uint32_t mtu);

  [[nodiscard]] uint32_t count() const { return count_; }  // 1: it fits as it is
  [[nodiscard]] uint32_t length(uint32_t index) const;
  // Writes fragment `index` (any order), returns its bytes. Options that are not to be copied (RFC 791 §3.1) stand in
  // the first only. REQUIRES: length(index) bytes at `to`.
  uint32_t write(uint32_t index, uint8_t* to) const;

 private:
  [[nodiscard]] uint32_t payload_at(uint32_t index) const;  // where fragment `index` begins in the payload

  ByteSpan packet_;
  uint32_t first_header_ = 0, later_header_ = 0;
  uint32_t first_step_ = 0, later_step_ = 0;  // payload bytes, multiples of 8
  uint32_t payload_ = 0;
  uint32_t count_ = 0;
};

}  // namespace adit::net
