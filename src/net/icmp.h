// ICMP errors about a packet that goes no further: what is said, to whom it may be said at all, and how often. Pure.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/clock.h"
#include "net/address.h"

namespace adit::net {

struct IcmpError {
  enum class Kind : uint8_t {
    too_big,            // v4: destination unreachable, fragmentation needed; v6: packet too big
    host_unreachable,   // v4: 3/1; v6: address unreachable 1/3
    admin_prohibited,   // v4: 3/13; v6: 1/1
    time_exceeded,      // in transit: 11/0; 3/0
    parameter_problem,  // 12/0; 4/0
  } kind = Kind::host_unreachable;
  uint32_t value = 0;  // too_big: the MTU in bytes; parameter_problem: offset of the byte that is wrong
};

// Longest answer: 576 bytes in IPv4 (RFC 1812 §4.3.2.3), 1280 in IPv6 (RFC 4443 §2.4 c).
constexpr uint32_t kMaxIcmpError = 1280;

// Builds the error about `offending` (a packet, or the beginning of one when the rest is unknown) as a whole IP packet
// from `sender` to its source. Returns the bytes written to `out`; 0: no answer may be given: `offending` is
// unreadable, an ICMP error itself or a redirect, a later fragment, sent to a multicast or broadcast address (but IPv6
// too_big is told), or from an address that is no single host's (RFC 1122 §3.2.2, RFC 4443 §2.4 e). REQUIRES: sender is
// of the offending packet's family; out.size() >= kMaxIcmpError.
uint32_t build_icmp_error(ByteSpan offending, const Address& sender, const IcmpError& error, MutByteSpan out);

// So many at once, so many a second. Sans-I/O. One thread.
class TokenBucket {
 public:
  TokenBucket(uint32_t per_second, uint32_t burst) : per_second_(per_second), burst_(burst), tokens_(burst * kWhole) {}
  bool take(MonoTime now);  // false: not now

 private:
  static constexpr uint64_t kWhole = 1'000'000'000;  // a token in parts, so that nanoseconds count
  uint64_t per_second_, burst_, tokens_;
  MonoTime last_{};
};

}  // namespace adit::net
