// Host names where operators may write them instead of an address.
#pragma once

#include <optional>
#include <string>

#include "net/address.h"

namespace adit::engine {

class Names;

// A literal, or a name that resolves to exactly one address (of `family`, when given). EINVAL: `Invalid address`,
// `Hostname maps to multiple IP addresses`, each with the name. EAGAIN: no answer within the grace of control/names.h.
Result<net::Address> resolve_host(Names& names, const std::string& text,
                                  std::optional<net::Family> family = std::nullopt);

}  // namespace adit::engine
