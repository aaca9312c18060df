// The outer addresses of a tunnel: which are refused, and why (links-and-addresses.md §1.2).
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "control/seams.h"
#include "net/address.h"
#include "tunnel/link.h"

namespace adit::engine {

struct Endpoints {
  std::optional<net::Address> local, remote;
  [[nodiscard]] bool bound() const { return local && remote; }
  friend bool operator==(const Endpoints&, const Endpoints&) = default;
};

// What was typed, as an address; nullopt: a name that the resolver has not answered for yet, and is asked for again.
// Errors as below.
Result<std::optional<net::Address>> resolve_endpoint(Names& names, tunnel::Type type, const std::string& typed,
                                                     const char* side);

// Resolves what was typed. EINVAL: `invalid local IP tunnel address` or remote, wrong family; EADDRNOTAVAIL:
// unspecified, multicast, limited broadcast, IPv4-mapped; EINVAL: both the same.
Result<Endpoints> resolve_endpoints(Names& names, tunnel::Type type, const std::optional<std::string>& local,
                                    const std::optional<std::string>& remote);

// One endpoint that is known already, as above.
Result<> check_endpoint(tunnel::Type type, const net::Address& address, const char* side, const std::string& typed);

// Is the address configured on an interface of the underlay that is up? EADDRNOTAVAIL says what is wrong.
using UnderlayInterfaces = std::unordered_map<int, platform::InterfaceInfo>;  // by index; no tunnel of ours
Result<> check_local_here(platform::Platform& platform, const UnderlayInterfaces& underlay, const net::Address& local);

}  // namespace adit::engine
