#include <adit/pfpolicy.h>

#include <sys/socket.h>

#include <algorithm>
#include <bitset>

#include "protocol/pf_policy/codec.h"

namespace adit::protocol {
namespace {

struct ExtensionKind {
  std::string_view name;
  uint16_t malformed, duplicate;  // diagnostics
};
constexpr ExtensionKind kKinds[SPD_EXT_MAX + 1] = {
    {"", 0, 0},
    {"LCLPORT", SPD_DIAGNOSTIC_MALFORMED_LCLPORT, SPD_DIAGNOSTIC_DUPLICATE_LCLPORT},
    {"REMPORT", SPD_DIAGNOSTIC_MALFORMED_REMPORT, SPD_DIAGNOSTIC_DUPLICATE_REMPORT},
    {"PROTO", SPD_DIAGNOSTIC_MALFORMED_PROTO, SPD_DIAGNOSTIC_DUPLICATE_PROTO},
    {"LCLADDR", SPD_DIAGNOSTIC_MALFORMED_LCLADDR, SPD_DIAGNOSTIC_DUPLICATE_LCLADDR},
    {"REMADDR", SPD_DIAGNOSTIC_MALFORMED_REMADDR, SPD_DIAGNOSTIC_DUPLICATE_REMADDR},
    {"ACTION", SPD_DIAGNOSTIC_MALFORMED_ACTION, SPD_DIAGNOSTIC_DUPLICATE_ACTION},
    {"RULE", SPD_DIAGNOSTIC_MALFORMED_RULE, SPD_DIAGNOSTIC_DUPLICATE_RULE},
    {"RULESET", SPD_DIAGNOSTIC_MALFORMED_RULESET, SPD_DIAGNOSTIC_DUPLICATE_RULESET},
    {"ICMP_TYPECODE", SPD_DIAGNOSTIC_MALFORMED_ICMP_TYPECODE, SPD_DIAGNOSTIC_DUPLICATE_ICMP_TYPECODE},
    {"TUN_NAME", SPD_DIAGNOSTIC_MALFORMED_TUN_NAME, SPD_DIAGNOSTIC_DUPLICATE_TUN_NAME},
    {"NAMESPACE", SPD_DIAGNOSTIC_MALFORMED_NAMESPACE, SPD_DIAGNOSTIC_DUPLICATE_NAMESPACE},
    {"ORIGIN", SPD_DIAGNOSTIC_MALFORMED_ORIGIN, SPD_DIAGNOSTIC_DUPLICATE_ORIGIN},
    {"DIAGNOSTIC", SPD_DIAGNOSTIC_MALFORMED_TEXT, SPD_DIAGNOSTIC_DUPLICATE_TEXT},
    {"TRANSACTION", SPD_DIAGNOSTIC_MALFORMED_TRANSACTION, SPD_DIAGNOSTIC_DUPLICATE_TRANSACTION},
};
constexpr size_t kTunnelNameBytes = 31;

// The struct of the C header at the front. REQUIRES: so many bytes.
template <typename T>
T front_of(ByteSpan bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

struct Extension {
  uint16_t type;
  ByteSpan bytes;  // its header included, a multiple of 8

  [[nodiscard]] std::unexpected<PolicyRefusal> malformed(std::string why) const {
    return refuse(EINVAL, kKinds[type].malformed, fmt::format("extension {}: {}", kKinds[type].name, why));
  }
  // The text that begins at `at` and ends with a NUL inside the extension.
  [[nodiscard]] PolicyResult<std::string> text(size_t at, size_t limit) const {
    const ByteSpan rest = bytes.subspan(at);
    const auto end = std::ranges::find(rest, uint8_t{0});
    if (end == rest.end()) return malformed("its text does not end");
    std::string found(rest.begin(), end);
    if (found.size() > limit) return malformed(fmt::format("its text is longer than {} bytes", limit));
    const bool sentences = type == SPD_EXT_DIAGNOSTIC;  // a line each; names are in listings, where a line is a rule
    if (std::ranges::any_of(found,
                            [&](unsigned char c) { return (c < 0x20 && !(sentences && c == '\n')) || c == 0x7f; }))
      return malformed("its text has control characters");
    return found;
  }
};

using Done = PolicyResult<>;

Done read_port(const Extension& from, std::optional<uint16_t>& into) {
  if (from.bytes.size() != sizeof(spd_portrange_t)) return from.malformed("its length is not 1");
  const uint16_t port = load_be16(from.bytes.data() + offsetof(spd_portrange_t, spd_ports_minport));
  if (port != 0) into = port;
  return {};
}

Done read_protocol(const Extension& from, PolicyMessage& into) {
  if (from.bytes.size() != sizeof(spd_proto_t)) return from.malformed("its length is not 1");
  if (const uint8_t number = front_of<spd_proto_t>(from.bytes).spd_proto_number; number != 0)
    into.selector.protocol = number;
  return {};
}

Done read_address(const Extension& from, std::optional<net::Prefix>& into) {
  if (from.bytes.size() < sizeof(spd_address_t)) return from.malformed("it is too short");
  const auto address = front_of<spd_address_t>(from.bytes);
  if (address.spd_address_af != AF_INET && address.spd_address_af != AF_INET6)
    return from.malformed(fmt::format("address family {} is neither IPv4 nor IPv6", address.spd_address_af));
  const auto family = address.spd_address_af == AF_INET ? net::Family::v4 : net::Family::v6;
  if (from.bytes.size() != (family == net::Family::v4 ? 16u : 24u))
    return refuse(EINVAL, SPD_DIAGNOSTIC_BAD_ADDR_LEN, "an address extension is 2 words long with IPv4, 3 with IPv6");
  if (address.spd_address_prefixlen > net::address_bits(family))
    return from.malformed(fmt::format("/{} prefix is too big!", address.spd_address_prefixlen));
  into = net::Prefix(net::Address::from_bytes(family, from.bytes.data() + sizeof(spd_address_t)),
                     address.spd_address_prefixlen)
             .masked();
  return {};
}

Done read_rule(const Extension& from, PolicyMessage& into) {
  if (from.bytes.size() != sizeof(spd_rule_t)) return from.malformed("its length is not 3");
  const auto rule = front_of<spd_rule_t>(from.bytes);
  into.rule = PolicyRuleExt{rule.spd_rule_priority, rule.spd_rule_flags, rule.spd_rule_index};
  return {};
}

Done read_ruleset(const Extension& from, PolicyMessage& into) {
  if (from.bytes.size() != sizeof(spd_ruleset_ext_t)) return from.malformed("its length is not 2");
  const auto ruleset = front_of<spd_ruleset_ext_t>(from.bytes);
  into.ruleset = PolicyRulesetExt{ruleset.spd_ruleset_count, ruleset.spd_ruleset_version};
  return {};
}

Done read_typecode(const Extension& from, PolicyMessage& into) {
  if (from.bytes.size() != sizeof(spd_typecode_t)) return from.malformed("its length is not 1");
  const auto icmp = front_of<spd_typecode_t>(from.bytes);
  into.selector.icmp =
      spd::IcmpRange{icmp.spd_typecode_type, std::max(icmp.spd_typecode_type, icmp.spd_typecode_type_end),
                     icmp.spd_typecode_code, std::max(icmp.spd_typecode_code, icmp.spd_typecode_code_end)};
  return {};
}

Done read_attributes(const Extension& from, PolicyMessage& into) {
  if (from.bytes.size() < sizeof(spd_ext_actions_t)) return from.malformed("it is too short");
  PolicyActions actions{.count = front_of<spd_ext_actions_t>(from.bytes).spd_actions_count, .attributes = {}};
  ByteReader reader(from.bytes.subspan(sizeof(spd_ext_actions_t)));
  while (reader.left() >= sizeof(spd_attribute_t)) {
    PolicyAttribute attribute{
        .tag = reader.host<uint32_t>().value(), .value = reader.host<uint32_t>().value(), .name = {}};
    if (attribute.tag == SPD_ATTR_ALG_MECHNAME) {
      const auto name = attribute.value == SPD_MECHNAME_LEN ? reader.take(SPD_MECHNAME_LEN) : std::nullopt;
      if (!name) return refuse(EINVAL, SPD_DIAGNOSTIC_ALG_MECH_NAME_LEN, "a mechanism's name has 32 bytes");
      attribute.name.assign(name->begin(), std::ranges::find(*name, uint8_t{0}));
    }
    actions.attributes.push_back(std::move(attribute));
  }
  into.actions = std::move(actions);
  return {};
}

Done read_tunnel(const Extension& from, PolicyMessage& into) {
  auto name = from.text(offsetof(spd_if_t, spd_if_name), kTunnelNameBytes);
  if (!name) return std::unexpected(name.error());
  into.tunnel = std::move(*name);
  return {};
}

Done read_namespace(const Extension& from, PolicyMessage& into) {
  if (from.bytes.size() < sizeof(spd_namespace_t)) return from.malformed("it is too short");
  const uint32_t flags = front_of<spd_namespace_t>(from.bytes).spd_namespace_flags;
  if ((flags & ~uint32_t{SPD_NAMESPACE_ALL | SPD_NAMESPACE_OVERRIDE}) != 0) return from.malformed("unknown flags");
  auto name = from.text(offsetof(spd_namespace_t, spd_namespace_name), SPD_NAMESPACE_MAXLEN);
  if (!name) return std::unexpected(name.error());
  into.name_space = PolicyNamespaceExt{flags, std::move(*name)};
  return {};
}

Done read_origin(const Extension& from, PolicyMessage& into) {
  if (from.bytes.size() < sizeof(spd_origin_t)) return from.malformed("it is too short");
  auto file = from.text(offsetof(spd_origin_t, spd_origin_file), 4096);
  if (!file) return std::unexpected(file.error());
  into.origin = spd::Origin{std::move(*file), front_of<spd_origin_t>(from.bytes).spd_origin_line};
  return {};
}

Done read_text(const Extension& from, PolicyMessage& into) {
  if (from.bytes.size() < sizeof(spd_diagnostic_text_t)) return from.malformed("it is too short");
  auto text = from.text(offsetof(spd_diagnostic_text_t, spd_diagnostic_text), 4096);
  if (!text) return std::unexpected(text.error());
  into.text = std::move(*text);
  return {};
}

Done read_transaction(const Extension& from, PolicyMessage& into) {
  if (from.bytes.size() != sizeof(spd_transaction_t)) return from.malformed("its length is not 3");
  const auto wire = front_of<spd_transaction_t>(from.bytes);
  constexpr uint32_t known = SPD_TRANSACTION_FORCE | SPD_TRANSACTION_CONFIRM | SPD_TRANSACTION_UNDO;
  if ((wire.spd_transaction_flags & ~known) != 0) return from.malformed("unknown flags");
  into.transaction =
      PolicyTransactionExt{wire.spd_transaction_flags, wire.spd_transaction_generation, wire.spd_transaction_confirm};
  return {};
}

Done read_extension(const Extension& from, PolicyMessage& into) {
  switch (from.type) {
    case SPD_EXT_LCLPORT:
      return read_port(from, into.selector.local_port);
    case SPD_EXT_REMPORT:
      return read_port(from, into.selector.remote_port);
    case SPD_EXT_PROTO:
      return read_protocol(from, into);
    case SPD_EXT_LCLADDR:
      return read_address(from, into.selector.local);
    case SPD_EXT_REMADDR:
      return read_address(from, into.selector.remote);
    case SPD_EXT_ACTION:
      return read_attributes(from, into);
    case SPD_EXT_RULE:
      return read_rule(from, into);
    case SPD_EXT_RULESET:
      return read_ruleset(from, into);
    case SPD_EXT_ICMP_TYPECODE:
      return read_typecode(from, into);
    case SPD_EXT_TUN_NAME:
      return read_tunnel(from, into);
    case SPD_EXT_NAMESPACE:
      return read_namespace(from, into);
    case SPD_EXT_ORIGIN:
      return read_origin(from, into);
    case SPD_EXT_DIAGNOSTIC:
      return read_text(from, into);
    default:
      return read_transaction(from, into);
  }
}

Done check_header(const PolicyHeader& header, size_t bytes) {
  if (size_t{header.words} * 8 != bytes)
    return refuse(EMSGSIZE, 0, fmt::format("the message says {} bytes and has {}", size_t{header.words} * 8, bytes));
  if (header.version != PF_POLICY_V1)
    return refuse(EINVAL, SPD_DIAGNOSTIC_BAD_VERSION,
                  fmt::format("version {} is not spoken here, 1 is", header.version));
  if (header.type < SPD_MIN || header.type > SPD_MAX)
    return refuse(EINVAL, SPD_DIAGNOSTIC_BAD_MSG_TYPE, fmt::format("there is no command {}", header.type));
  if (header.spdid > SPD_STANDBY)
    return refuse(EINVAL, SPD_DIAGNOSTIC_BAD_SPDID,
                  fmt::format("spdid {} is neither active nor standby", header.spdid));
  return {};
}

// The next extension; what is left behind it stays in `rest`.
PolicyResult<Extension> next_extension(ByteSpan& rest) {
  const auto head = front_of<spd_ext_t>(rest);  // rest is a multiple of 8 and not empty
  const size_t bytes = size_t{head.spd_ext_len} * 8;
  if (bytes == 0 || bytes > rest.size())
    return refuse(
        EINVAL, SPD_DIAGNOSTIC_BAD_EXTLEN,
        fmt::format("extension {} is {} bytes long where {} are left", head.spd_ext_type, bytes, rest.size()));
  const Extension found{head.spd_ext_type, rest.first(bytes)};
  rest = rest.subspan(bytes);
  return found;
}

}  // namespace

std::optional<PolicyHeader> read_policy_header(ByteSpan bytes) {
  if (bytes.size() < kPolicyHeaderBytes) return std::nullopt;
  const auto wire = front_of<spd_msg_t>(bytes);
  return PolicyHeader{wire.spd_msg_version, wire.spd_msg_type,       wire.spd_msg_errno, wire.spd_msg_spdid,
                      wire.spd_msg_len,     wire.spd_msg_diagnostic, wire.spd_msg_seq,   wire.spd_msg_pid};
}

bool asks_for_text(ByteSpan bytes) {
  if (bytes.size() < kPolicyHeaderBytes) return false;
  ByteSpan rest = bytes.subspan(kPolicyHeaderBytes);
  while (rest.size() >= 8) {
    const auto extension = next_extension(rest);
    if (!extension) return false;
    if (extension->type == SPD_EXT_DIAGNOSTIC) return true;
  }
  return false;
}

PolicyResult<PolicyMessage> decode_policy(ByteSpan bytes) {
  const auto header = read_policy_header(bytes);
  if (!header) return refuse(EMSGSIZE, 0, "a message has at least 16 bytes");
  if (auto checked = check_header(*header, bytes.size()); !checked) return std::unexpected(checked.error());
  PolicyMessage message{.header = *header};
  std::bitset<SPD_EXT_MAX + 1> seen;
  for (ByteSpan rest = bytes.subspan(kPolicyHeaderBytes); !rest.empty();) {
    const auto extension = next_extension(rest);
    if (!extension) return std::unexpected(extension.error());
    const uint16_t type = extension->type;
    if (type == 0 || type > SPD_EXT_MAX)
      return refuse(EINVAL, SPD_DIAGNOSTIC_UNKNOWN_EXT, fmt::format("extension {} is not known here", type));
    if (seen.test(type))
      return refuse(EINVAL, kKinds[type].duplicate, fmt::format("extension {} comes twice", kKinds[type].name));
    seen.set(type);
    if (auto read = read_extension(*extension, message); !read) return std::unexpected(read.error());
  }
  const spd::Selector& selector = message.selector;
  if (selector.local && selector.remote && selector.local->family() != selector.remote->family())
    return refuse(EINVAL, SPD_DIAGNOSTIC_MIXED_AF, "local and remote address are of different families");
  return message;
}

}  // namespace adit::protocol
