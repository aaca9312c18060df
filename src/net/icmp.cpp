#include "net/icmp.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "net/checksum.h"
#include "net/flow.h"
#include "net/ip_header.h"

namespace adit::net {
namespace {

constexpr uint32_t kIcmpHeader = 8;
constexpr uint32_t kMaxV4 = 576, kMaxV6 = 1280;
constexpr uint8_t kAnswerHopLimit = 64;
constexpr uint8_t kInternetworkControl = 0xc0;  // RFC 1812 §4.3.2.5
constexpr uint8_t kIcmp6Redirect = 137;

struct TypeAndCode {
  uint8_t type, code;
};

TypeAndCode type_of(IcmpError::Kind kind, bool v4) {
  switch (kind) {
    case IcmpError::Kind::too_big:
      return v4 ? TypeAndCode{3, 4} : TypeAndCode{2, 0};
    case IcmpError::Kind::host_unreachable:
      return v4 ? TypeAndCode{3, 1} : TypeAndCode{1, 3};
    case IcmpError::Kind::admin_prohibited:
      return v4 ? TypeAndCode{3, 13} : TypeAndCode{1, 1};
    case IcmpError::Kind::time_exceeded:
      return v4 ? TypeAndCode{11, 0} : TypeAndCode{3, 0};
    case IcmpError::Kind::parameter_problem:
      return v4 ? TypeAndCode{12, 0} : TypeAndCode{4, 0};
  }
  return {3, 1};
}

// Errors and redirects, to which no error is an answer; what cannot be told from one counts as one.
bool is_icmp_error(ByteSpan packet, const IpHeader& ip) {
  if (ip.protocol != (ip.is_v4() ? kProtoIcmp : kProtoIcmp6)) return false;
  if (packet.size() <= ip.payload_offset) return true;
  const uint8_t type = packet[ip.payload_offset];
  if (!ip.is_v4()) return type < 128 || type == kIcmp6Redirect;
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

bool may_answer(ByteSpan packet, const IpHeader& ip, IcmpError::Kind kind) {
  if (ip.later_fragment() || is_icmp_error(packet, ip)) return false;
  const Address source = source_of(packet, ip);
  const Address destination = destination_of(packet, ip);
  if (source.is_unspecified() || source.is_multicast() || source.is_limited_broadcast() || source.is_loopback())
    return false;
  if (destination.is_limited_broadcast()) return false;
  return !destination.is_multicast() || (!ip.is_v4() && kind == IcmpError::Kind::too_big);
}

void write_icmp(uint8_t* icmp, bool v4, const IcmpError& error) {
  const auto [type, code] = type_of(error.kind, v4);
  icmp[0] = type;
  icmp[1] = code;
  std::memset(icmp + 2, 0, 6);
  if (!v4)
    store_be32(icmp + 4, error.value);
  else if (error.kind == IcmpError::Kind::too_big)
    store_be16(icmp + 6, static_cast<uint16_t>(std::min(error.value, 65535u)));
  else if (error.kind == IcmpError::Kind::parameter_problem)
    icmp[4] = static_cast<uint8_t>(error.value);
}

void write_v4_header(uint8_t* p, uint32_t total, const Address& sender, const Address& to) {
  std::memset(p, 0, kIpv4HeaderBytes);
  p[0] = 0x45;
  p[1] = kInternetworkControl;
  store_be16(p + 2, static_cast<uint16_t>(total));
  store_be16(p + 6, 0x4000);  // DF, so that the identification need not be unique (RFC 6864 §4)
  p[8] = kAnswerHopLimit;
  p[9] = kProtoIcmp;
  std::memcpy(p + 12, sender.bytes().data(), 4);
  std::memcpy(p + 16, to.bytes().data(), 4);
  set_ipv4_checksum(p);
}

void write_v6_header(uint8_t* p, uint32_t total, const Address& sender, const Address& to) {
  std::memset(p, 0, kIpv6HeaderBytes);
  p[0] = 0x60;
  store_be16(p + 4, static_cast<uint16_t>(total - kIpv6HeaderBytes));
  p[6] = kProtoIcmp6;
  p[7] = kAnswerHopLimit;
  std::memcpy(p + 8, sender.bytes().data(), 16);
  std::memcpy(p + 24, to.bytes().data(), 16);
}

void set_icmp_checksum(uint8_t* packet, uint32_t header, uint32_t total, bool v4) {
  const ByteSpan icmp(packet + header, total - header);
  Sum sum;
  if (!v4) sum = pseudo_header(Family::v6, packet + 8, packet + 24, kProtoIcmp6, static_cast<uint32_t>(icmp.size()));
  sum.add(icmp);
  store_be16(packet + header + 2, sum.checksum());
}

}  // namespace

uint32_t build_icmp_error(ByteSpan offending, const Address& sender, const IcmpError& error, MutByteSpan out) {
  IpHeader ip;
  if (read_ip_header(offending, ip, Extent::quoted) != DropReason::none || !may_answer(offending, ip, error.kind))
    return 0;
  CHECK(sender.family() == ip.family && out.size() >= kMaxIcmpError);
  const bool v4 = ip.is_v4();
  const uint32_t header = v4 ? kIpv4HeaderBytes : kIpv6HeaderBytes;
  const uint32_t room = (v4 ? kMaxV4 : kMaxV6) - header - kIcmpHeader;
  const uint32_t quoted = std::min({room, static_cast<uint32_t>(offending.size()), ip.total_length});
  const uint32_t total = header + kIcmpHeader + quoted;

  const Address to = source_of(offending, ip);
  if (v4)
    write_v4_header(out.data(), total, sender, to);
  else
    write_v6_header(out.data(), total, sender, to);
  write_icmp(out.data() + header, v4, error);
  std::memcpy(out.data() + header + kIcmpHeader, offending.data(), quoted);
  set_icmp_checksum(out.data(), header, total, v4);
  return total;
}

bool TokenBucket::take(MonoTime now) {
  const auto elapsed = static_cast<uint64_t>(std::max<int64_t>(0, (now - last_).count()));
  const uint64_t full = burst_ * kWhole;
  // A wait long enough to fill the bucket, before the product could overflow.
  const bool filled = per_second_ != 0 && elapsed >= full / per_second_;
  tokens_ = filled ? full : std::min(full, tokens_ + elapsed * per_second_);
  last_ = std::max(last_, now);
  if (tokens_ < kWhole) return false;
  tokens_ -= kWhole;
  return true;
}

}  // namespace adit::net
