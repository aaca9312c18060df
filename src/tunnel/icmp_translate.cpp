#include "tunnel/icmp_translate.h"

#include <algorithm>
#include <array>

#include "net/ip_header.h"

namespace adit::tunnel {
namespace {

using Kind = net::IcmpError::Kind;

enum class Meaning : uint8_t { nothing, too_big, unreachable, prohibited, time_exceeded };

Meaning meaning_of_v4(const OuterError& error) {
  constexpr uint8_t kUnreachable = 3, kTimeExceeded = 11;
  if (error.type == kTimeExceeded) return Meaning::time_exceeded;
  if (error.type != kUnreachable) return Meaning::nothing;  // a parameter problem is about our own header
  switch (error.code) {
    case 4:
      return Meaning::too_big;
    case 9:
    case 10:
    case 13:
      return Meaning::prohibited;
    default:
      return Meaning::unreachable;
  }
}

Meaning meaning_of_v6(const OuterError& error) {
  switch (error.type) {
    case 2:
      return Meaning::too_big;
    case 1:
    case 3:
      return Meaning::unreachable;  // the hop limit inside the tunnel is no hop of theirs
    case 4:
      return error.encap_limit ? Meaning::unreachable : Meaning::nothing;
    default:
      return Meaning::nothing;
  }
}

// A router that does not say its MTU: the next lower one in use (RFC 1191 §7).
uint32_t next_plateau(uint32_t path_mtu) {
  constexpr std::array<uint32_t, 8> kPlateaus{32000, 17914, 8166, 4352, 2002, 1492, 1006, 576};
  const auto* const next = std::ranges::find_if(kPlateaus, [&](uint32_t plateau) { return plateau < path_mtu; });
  return next == kPlateaus.end() ? kMinPathMtuV4 : *next;
}

// The inner packet, as far as it is quoted, does not fit and may not be cut.
bool must_hear(ByteSpan quoted_inner, uint32_t mtu) {
  if (quoted_inner.empty()) return true;
  net::IpHeader ip;
  if (net::read_ip_header(quoted_inner, ip, net::Extent::quoted) != DropReason::none) return false;
  return ip.total_length > mtu && (!ip.is_v4() || ip.dont_fragment);
}

}  // namespace

Translated translate_icmp(const Outer& outer, const OuterError& error, uint32_t path_mtu, uint32_t ipsec_overhead,
                          ByteSpan quoted_inner) {
  Translated result;
  switch (error.v6 ? meaning_of_v6(error) : meaning_of_v4(error)) {
    case Meaning::nothing:
      break;
    case Meaning::unreachable:
      result.inner = {Kind::host_unreachable, 0};
      break;
    case Meaning::prohibited:
      result.inner = {Kind::admin_prohibited, 0};
      break;
    case Meaning::time_exceeded:
      result.inner = {Kind::time_exceeded, 0};
      break;
    case Meaning::too_big: {
      const uint32_t told = error.mtu != 0 ? error.mtu : next_plateau(path_mtu);
      const uint32_t learnt = std::min(path_mtu, std::max(told, error.v6 ? kMinPathMtuV6 : kMinPathMtuV4));
      if (learnt < path_mtu) result.path_mtu = learnt;
      const uint32_t mtu = link_mtu(outer, learnt, ipsec_overhead);
      if (must_hear(quoted_inner, mtu)) result.inner = {Kind::too_big, mtu};
      break;
    }
  }
  return result;
}

}  // namespace adit::tunnel
