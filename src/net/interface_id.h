// Interface identifiers of tunnel links and the addresses made from them (links-and-addresses.md §2.2).
#pragma once

#include <array>

#include "net/address.h"

namespace adit::net {

using InterfaceId = std::array<uint8_t, 8>;  // network order

// IPv4 outer: 32 zero bits and the address (RFC 4213 §3.7). IPv6 outer: the low 64 bits of the address.
InterfaceId interface_id(const Address& outer);

// fe80::/10 and the identifier: 1.2.3.4 gives fe80::102:304.
Address link_local(const InterfaceId& id);

}  // namespace adit::net
