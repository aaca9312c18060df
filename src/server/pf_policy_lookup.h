// LOOKUP: which rule of a head decides the packet that a message describes.
#pragma once

#include "protocol/pf_policy/message.h"
#include "spd/head.h"

namespace adit::protocol {

// The packet: direction in RULE's flags, both addresses, protocol, both ports or an ICMP type and code as far as it has
// them. EINVAL with the diagnostic of what is missing; ENOENT: no policy (head is null); ESRCH: no rule matches.
PolicyResult<const spd::Rule*> lookup_rule(const PolicyMessage& message, const spd::Head* head);

}  // namespace adit::protocol
