#include "host/files/route_command.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace adit::engine {
namespace {

using net::Address;
using net::Family;
using net::Prefix;

struct Words {
  std::optional<Family> family;
  bool net = false, host = false, gateway_is_interface = false, reject = false, blackhole = false;
  std::optional<std::string> destination, gateway, netmask, interface, source, prefix_length;
};

uint8_t classful(const Address& address) {
  const uint8_t first = address.bytes()[0];
  return first < 128 ? 8 : first < 192 ? 16 : 24;
}

Result<uint8_t> mask_length(const std::string& text) {
  const auto mask = Address::parse(text);
  if (!mask || !mask->is_v4()) return fail(EINVAL, "{}: not a netmask like 255.255.255.0", text);
  const uint32_t bits = mask->v4_host_order();
  const int length = std::countl_one(bits);
  if (length < 32 && (bits << length) != 0) return fail(EINVAL, "{}: the ones of a netmask are in one piece", text);
  return static_cast<uint8_t>(length);
}

// One word that begins with '-' or is a modifier of the old style (net, host). False: it is an operand.
Result<bool> take_modifier(std::span<const std::string> all, size_t& at, Words& words) {
  std::string word = all[at];
  if (!word.starts_with('-')) {
    const bool modifier = (word == "net" || word == "host" || word == "inet" || word == "inet6") && !words.destination;
    if (!modifier) return false;
    word = "-" + word;
  }
  const auto value = [&](std::optional<std::string>& into) -> Result<bool> {
    if (++at >= all.size()) return fail(EINVAL, "{} needs an argument", word);
    into = all[at];
    return true;
  };
  if (word == "-inet")
    words.family = Family::v4;
  else if (word == "-inet6")
    words.family = Family::v6;
  else if (word == "-net")
    words.net = true;
  else if (word == "-host")
    words.host = true;
  else if (word == "-interface" || word == "-iface")
    words.gateway_is_interface = true;
  else if (word == "-reject")
    words.reject = true;
  else if (word == "-blackhole")
    words.blackhole = true;
  else if (word == "-static") {
  }  // every route here is
  else if (word == "-dst")
    return value(words.destination);
  else if (word == "-gateway")
    return value(words.gateway);
  else if (word == "-netmask")
    return value(words.netmask);
  else if (word == "-prefixlen")
    return value(words.prefix_length);
  else if (word == "-ifp")
    return value(words.interface);
  else if (word == "-setsrc")
    return value(words.source);
  else
    return fail(EINVAL,
                "{}: not a modifier that is known here; -net -host -inet -inet6 -netmask -prefixlen -interface -ifp "
                "-dst -gateway -setsrc -reject -blackhole are",
                word);
  return true;
}

Result<Words> sorted(std::span<const std::string> all) {
  Words words;
  for (size_t at = 0; at < all.size(); ++at) {
    TRY_ASSIGN(const bool modifier, take_modifier(all, at, words));
    if (modifier) continue;
    if (!words.destination)
      words.destination = all[at];
    else if (!words.gateway)
      words.gateway = all[at];
    else if (!words.netmask && all[at].find('.') != std::string::npos)
      words.netmask = all[at];
    else
      return fail(EINVAL, "{}: one word too many; destination and gateway are there already", all[at]);
  }
  if (!words.destination) return fail(EINVAL, "no destination was given");
  if (words.net && words.host) return fail(EINVAL, "-net and -host exclude each other");
  return words;
}

// The mask that the words give: behind a slash, by -netmask or by -prefixlen. nullopt: none.
Result<std::optional<uint8_t>> given_length(const Words& words, const Address& address, const std::string& text) {
  const size_t slash = text.find('/');
  const int given = (slash != text.npos) + words.netmask.has_value() + words.prefix_length.has_value();
  if (given > 1) return fail(EINVAL, "{}: more than one mask was given", text);
  if (slash != text.npos) {
    TRY_ASSIGN(const Prefix prefix, Prefix::parse(text));
    return prefix.length();
  }
  if (words.netmask) {
    if (!address.is_v4())
      return fail(EINVAL, "-netmask is for IPv4 only: write {}/64 or the length that is meant", text);
    TRY_ASSIGN(const uint8_t length, mask_length(*words.netmask));
    return length;
  }
  if (!words.prefix_length) return std::nullopt;
  TRY_ASSIGN(const Prefix prefix, Prefix::parse(address.str() + "/" + *words.prefix_length));
  return prefix.length();
}

Result<> set_destination(const Words& words, RouteCommand& command) {
  const std::string& text = command.destination_text = *words.destination;
  if (text == "default") {
    Family family = words.family.value_or(Family::v4);
    if (!words.family && words.gateway && words.gateway->find(':') != std::string::npos) family = Family::v6;
    command.destination = Prefix::any(family);
    return {};
  }
  const auto address = Address::parse(text.substr(0, text.find('/')));
  if (!address) return fail(EINVAL, "{}: not a destination; write it as 10.0.1.0/24, 2001:db8::/64 or default", text);
  if (words.family && address->family() != *words.family)
    return fail(EAFNOSUPPORT, "{}: not an IPv{} destination", text, *words.family == Family::v4 ? 4 : 6);
  TRY_ASSIGN(const std::optional<uint8_t> length, given_length(words, *address, text));
  const uint8_t all_bits = net::address_bits(address->family());
  if (length) {
    if (words.host && *length != all_bits)
      return fail(EINVAL, "{}: -host goes with no other mask than /{}", text, all_bits);
    command.destination = {*address, *length};
    command.host = !words.net && *length == all_bits;
    return {};
  }
  const Prefix by_class{*address, address->is_v4() ? classful(*address) : all_bits};
  command.host = words.host || (!words.net && (by_class.is_host() || by_class.has_host_bits()));
  if (!command.host && by_class.has_host_bits())
    return fail(EINVAL, "{}: has host bits under its class's mask /{}; say which network is meant, as in {}/24", text,
                by_class.length(), text);
  command.destination = command.host ? Prefix::host(*address) : by_class;
  return {};
}

Result<> set_gateway(const Words& words, bool needs_gateway, RouteCommand& command) {
  command.gateway_is_interface = words.gateway_is_interface;
  if (!words.gateway) {
    if (!needs_gateway || words.reject || words.blackhole || (words.interface && words.gateway_is_interface)) return {};
    return fail(EINVAL, "no gateway was given for {}", command.destination_text);
  }
  command.gateway_text = *words.gateway;
  const auto gateway = Address::parse(*words.gateway);
  if (!gateway && words.gateway_is_interface) return {};
  if (!gateway) return fail(EINVAL, "{}: not a gateway's address", *words.gateway);
  if (gateway->family() != command.family() && !words.reject && !words.blackhole)
    return fail(EAFNOSUPPORT, "{}: not an IPv{} gateway, the destination is one", *words.gateway,
                command.destination.address().is_v4() ? 4 : 6);
  command.gateway = *gateway;
  return {};
}

}  // namespace

Result<RouteCommand> parse_route_command(std::span<const std::string> all, bool needs_gateway) {
  TRY_ASSIGN(const Words words, sorted(all));
  RouteCommand command;
  command.words.assign(all.begin(), all.end());
  TRY(set_destination(words, command));
  TRY(set_gateway(words, needs_gateway, command));
  command.interface = words.interface;
  command.reject = words.reject;
  command.blackhole = words.blackhole;
  if (words.source) {
    const auto source = Address::parse(*words.source);
    if (!source || source->family() != command.family())
      return fail(EINVAL, "{}: not a source address of this family", *words.source);
    command.source = *source;
  }
  return command;
}

}  // namespace adit::engine
