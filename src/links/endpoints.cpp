#include "links/endpoints.h"

#include <algorithm>

#include "control/host_name.h"

namespace adit::engine {
namespace {

net::Family family_of(tunnel::Type type) {
  return type == tunnel::Type::ipv4 ? net::Family::v4 : net::Family::v6;
}
const char* name_of(tunnel::Type type) {
  return type == tunnel::Type::ipv4 ? "ipv4" : "ipv6";
}

const char* what_is_wrong(const net::Address& address) {
  if (address.is_unspecified()) return "is the unspecified address";
  if (address.is_multicast()) return "is a multicast address";
  if (address.is_limited_broadcast()) return "is the broadcast address";
  if (address.is_v4_mapped()) return "is an IPv4 address written as IPv6";
  return nullptr;
}

}  // namespace

Result<std::optional<net::Address>> resolve_endpoint(Names& names, tunnel::Type type, const std::string& typed,
                                                     const char* side) {
  if (const auto literal = net::Address::parse(typed)) {
    TRY(check_endpoint(type, *literal, side, typed));
    return *literal;
  }
  const auto address = resolve_host(names, typed, family_of(type));
  if (!address && address.error().code == EAGAIN) return std::nullopt;
  if (!address) return fail(EINVAL, "invalid {} IP tunnel address: {}", side, address.error().text);
  TRY(check_endpoint(type, *address, side, typed));
  return *address;
}

Result<> check_endpoint(tunnel::Type type, const net::Address& address, const char* side, const std::string& typed) {
  if (address.family() != family_of(type))
    return fail(EINVAL, "invalid {} IP tunnel address: {} is IPv{}, and a tunnel of type {} runs over IPv{}", side,
                typed, static_cast<int>(address.family()), name_of(type), static_cast<int>(family_of(type)));
  if (const char* wrong = what_is_wrong(address); wrong != nullptr)
    return fail(EADDRNOTAVAIL, "operation failed: the {} address {} {}; give a unicast address", side, typed, wrong);
  return {};
}

Result<Endpoints> resolve_endpoints(Names& names, tunnel::Type type, const std::optional<std::string>& local,
                                    const std::optional<std::string>& remote) {
  Endpoints ends;
  if (local) {
    TRY_ASSIGN(ends.local, resolve_endpoint(names, type, *local, "local"));
  }
  if (remote) {
    TRY_ASSIGN(ends.remote, resolve_endpoint(names, type, *remote, "remote"));
  }
  if (ends.bound() && *ends.local == *ends.remote)
    return fail(EINVAL, "invalid argument: local and remote are both {}; the tunnel would carry itself",
                ends.local->str());
  return ends;
}

Result<> check_local_here(platform::Platform& platform, const UnderlayInterfaces& underlay, const net::Address& local) {
  TRY_ASSIGN(const auto addresses, platform.addresses_like(local));
  const bool found = !addresses.empty();
  bool up = false;
  for (const auto& address : addresses) {
    const auto on = underlay.find(address.interface_index);
    up = up || (on != underlay.end() && on->second.up && !address.duplicate);
  }
  if (!found)
    return fail(EADDRNOTAVAIL,
                "operation failed: the local address {} is not an address of this host; `ip address` lists them",
                local.str());
  if (!up)
    return fail(EADDRNOTAVAIL,
                "operation failed: the local address {} is on an interface that is down, or on a tunnel; it must "
                "be on the underlay",
                local.str());
  return {};
}

}  // namespace adit::engine
