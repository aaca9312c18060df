#include "engine/host_name.h"

#include <netdb.h>
#include <netinet/in.h>

#include <memory>
#include <set>

namespace adit::engine {
namespace {

net::Address address_of(const addrinfo& entry) {
  if (entry.ai_family == AF_INET)
    return net::Address::from_v4(
        reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in*>(entry.ai_addr)->sin_addr));
  return net::Address::from_v6(
      reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in6*>(entry.ai_addr)->sin6_addr));
}

bool looks_like_a_name(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.:/") != text.npos && text.find(':') == text.npos;
}

}  // namespace

Result<net::Address> resolve_host(const std::string& text, std::optional<net::Family> family) {
  if (auto literal = net::Address::parse(text)) {
    if (family && literal->family() != *family)
      return fail(EAFNOSUPPORT, "Incorrect protocol family for operation; {} is IPv{}", text, literal->is_v4() ? 4 : 6);
    return literal;
  }
  if (!looks_like_a_name(text)) return fail(EINVAL, "Invalid address; '{}' is no address", text);
  addrinfo hints{};
  hints.ai_family = !family ? AF_UNSPEC : *family == net::Family::v4 ? AF_INET : AF_INET6;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(text.c_str(), nullptr, &hints, &found);
  if (error != 0) return fail(EINVAL, "Invalid address; '{}' does not resolve: {}", text, gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  std::set<net::Address> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next)
    if (entry->ai_family == AF_INET || entry->ai_family == AF_INET6) addresses.insert(address_of(*entry));
  if (addresses.empty()) return fail(EINVAL, "Invalid address; '{}' has no address", text);
  if (addresses.size() > 1)
    return fail(EINVAL, "Hostname maps to multiple IP addresses; write one of the {} of '{}'", addresses.size(), text);
  return *addresses.begin();
}

}  // namespace adit::engine
