#include "control/host_name.h"

#include <algorithm>

#include "control/names.h"

namespace adit::engine {
namespace {

bool looks_like_a_name(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.:/") != text.npos && text.find(':') == text.npos;
}

}  // namespace

Result<net::Address> resolve_host(Names& names, const std::string& text, std::optional<net::Family> family) {
  if (auto literal = net::Address::parse(text)) {
    if (family && literal->family() != *family)
      return fail(EAFNOSUPPORT, "Incorrect protocol family for operation; {} is IPv{}", text, literal->is_v4() ? 4 : 6);
    return literal;
  }
  if (!looks_like_a_name(text)) return fail(EINVAL, "Invalid address; '{}' is not a valid address", text);
  const config::NameAnswer& answer = names.look_up(text);
  if (!answer.resolves() && !answer.refused)
    return fail(EAGAIN, "Invalid address; the resolver does not say yet what '{}' is; try again, or write the address",
                text);
  auto addresses = answer.addresses;
  if (family) std::erase_if(addresses, [&](const net::Address& address) { return address.family() != *family; });
  if (!answer.resolves()) return fail(EINVAL, "Invalid address; '{}' does not resolve", text);
  if (addresses.empty()) return fail(EINVAL, "Invalid address; '{}' has no address", text);
  if (addresses.size() > 1)
    return fail(EINVAL, "Hostname maps to multiple IP addresses; write one of the {} of '{}'", addresses.size(), text);
  return addresses.front();
}

}  // namespace adit::engine
