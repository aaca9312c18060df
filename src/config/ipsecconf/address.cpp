#include "config/ipsecconf/address.h"

#include <bit>
#include <charconv>

#include <fmt/format.h>

#include "config/ipsecconf/icmp.h"

namespace adit::config::ipsecconf {
namespace {

using Prefixes = std::vector<net::Prefix>;

std::unexpected<std::string> bad(std::string text) {
  return std::unexpected(std::move(text));
}

// Written as a number: not worth asking a name server about.
bool looks_numeric(std::string_view word) {
  return word.find(':') != std::string_view::npos || word.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::expected<std::optional<uint32_t>, std::string> read_length(std::string_view word) {
  const size_t slash = word.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto length = decimal(word.substr(slash + 1), 1000);
  if (!length) return bad(fmt::format("Unparseable prefix: '{}'.", word.substr(slash + 1)));
  return length;
}

}  // namespace

bool has_prefix_length(std::string_view word) {
  return word.find('/') != std::string_view::npos;
}

std::expected<Prefixes, std::string> read_address(std::string_view word, const Resolver& resolver) {
  const auto length = read_length(word);
  if (!length) return bad(length.error());
  const std::string_view name = word.substr(0, word.find('/'));
  Prefixes found;
  if (const auto literal = net::Address::parse(name))
    found.push_back(net::Prefix::host(*literal));
  else if (looks_numeric(name))
    return bad(fmt::format("'{}' is not a valid address", name));
  else
    for (const net::Address& address : resolver.host(name)) found.push_back(net::Prefix::host(address));

  if (found.empty()) {
    const auto network = resolver.network(name);
    if (!network && resolver.entries_may_wait()) return found;
    if (!network) return bad(fmt::format("Could not resolve address {}.", name));
    found.push_back(*network);
  }
  if (!*length) return found;
  if (found.size() > 1) return bad(fmt::format("Can't set /{} prefix on multi-host name.", **length));
  if (**length > net::address_bits(found.front().family())) return bad(fmt::format("/{} prefix is too big!", **length));
  return Prefixes{net::Prefix(found.front().address(), static_cast<uint8_t>(**length)).masked()};
}

std::optional<uint8_t> read_mask(std::string_view word) {
  uint32_t mask = 0;
  if (word.starts_with("0x") || word.starts_with("0X")) {
    const auto [end, error] = std::from_chars(word.data() + 2, word.data() + word.size(), mask, 16);
    if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  } else {
    const auto address = net::Address::parse(word);
    if (!address || !address->is_v4()) return std::nullopt;
    mask = address->v4_host_order();
  }
  const int ones = std::countl_one(mask);
  if (std::popcount(mask) != ones) return std::nullopt;
  return static_cast<uint8_t>(ones);
}

}  // namespace adit::config::ipsecconf
