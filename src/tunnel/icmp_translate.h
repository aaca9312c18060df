// An ICMP error about an outer packet that this host sent becomes what the inner sender must hear
// (links-and-addresses.md §1.7, RFC 2473 §8, RFC 4213 §3.4). Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "net/icmp.h"
#include "tunnel/link.h"

namespace adit::tunnel {

struct OuterError {
  bool v6 = false;  // ICMPv6
  uint8_t type = 0, code = 0;
  uint32_t mtu = 0;          // of a too-big; 0: the router did not say (RFC 1191 §4)
  bool encap_limit = false;  // ICMPv6 parameter problem: points at our encapsulation limit option, whose value was 0
};

struct Translated {
  std::optional<uint32_t> path_mtu;     // the path MTU to the remote is this now: lower than before, never raised
  std::optional<net::IcmpError> inner;  // tell the inner sender, if its packet is known
};

// `path_mtu` is the one in use; `ipsec_overhead` what link_mtu takes. `quoted_inner`: the beginning of the inner packet
// when the error quotes it readable (cleartext encapsulation), else empty: then `inner` is what would be said, for the
// next too-big packet is answered by the link's own MTU. A too-big yields an inner error only when the quoted packet
// does not fit the new link MTU and may not be fragmented.
Translated translate_icmp(const Outer& outer, const OuterError& error, uint32_t path_mtu, uint32_t ipsec_overhead,
                          ByteSpan quoted_inner);

// Lowest path MTU that an ICMP message may teach us: nobody must be able to shrink the tunnel to nothing.
constexpr uint32_t kMinPathMtuV4 = 576, kMinPathMtuV6 = 1280;

}  // namespace adit::tunnel
