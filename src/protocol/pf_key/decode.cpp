#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <adit/pfkeyv2.h>

#include "protocol/pf_key/codec.h"

namespace adit::protocol {
namespace {
using namespace sad;
using D = Diagnostic;

// A wire struct at the front of an extension, unaligned. REQUIRES: it is that long.
template <typename Wire>
Wire wire(ByteSpan bytes) {
  Wire value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Lifetime lifetime_of(uint32_t allocations, uint64_t bytes, uint64_t add, uint64_t use) {
  return {allocations, bytes, add, use};
}

// ---- one function an extension: the whole extension in, a diagnostic out (none: fine)

D read_sa(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() != sizeof(sadb_sa)) return D::malformed_sa;
  const auto sa = wire<sadb_sa>(bytes);
  message.sa = SaExtension{Spi{host_to_be(sa.sadb_sa_spi)},
                           sa.sadb_sa_replay,
                           sa.sadb_sa_state,
                           sa.sadb_sa_auth,
                           sa.sadb_sa_encrypt,
                           sa.sadb_sa_flags};
  return D::none;
}

template <std::optional<Lifetime> KeyMessage::* Field>
D read_lifetime(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() != sizeof(sadb_lifetime)) return D::bad_extension_length;
  const auto life = wire<sadb_lifetime>(bytes);
  message.*Field = lifetime_of(life.sadb_lifetime_allocations, life.sadb_lifetime_bytes, life.sadb_lifetime_addtime,
                               life.sadb_lifetime_usetime);
  return D::none;
}

// The family decides how long the socket address is. IPv4 may travel inside IPv6 (::ffff:0:0/96), as ipseckey sends it.
template <std::optional<AddressExtension> KeyMessage::* Field, D Malformed, D BadFamily, D BadPrefix>
D read_address(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() < sizeof(sadb_address) + sizeof(sockaddr_in)) return Malformed;
  const auto header = wire<sadb_address>(bytes);
  const ByteSpan socket_address = bytes.subspan(sizeof header);
  AddressExtension extension{
      {}, header.sadb_address_prefixlen, header.sadb_address_proto, load_be16(&socket_address[2])};
  const auto family = wire<sa_family_t>(socket_address);
  if (family == AF_INET) {
    if (socket_address.size() != sizeof(sockaddr_in)) return Malformed;
    extension.address = net::Address::from_v4(&socket_address[4]);
  } else if (family == AF_INET6) {
    if (socket_address.size() != 32) return Malformed;
    extension.address = net::Address::from_v6(&socket_address[8]);
  } else {
    return BadFamily;
  }
  if (extension.address.is_v4_mapped()) {
    extension.address = net::Address::from_v4(extension.address.bytes().data() + 12);
    if (extension.prefix_length != 0 && extension.prefix_length < 96) return BadPrefix;
    if (extension.prefix_length >= 96) extension.prefix_length = static_cast<uint8_t>(extension.prefix_length - 96);
  }
  if (extension.prefix_length > net::address_bits(extension.address.family())) return BadPrefix;
  message.*Field = extension;
  return D::none;
}

template <std::optional<KeyExtension> KeyMessage::* Field, D Malformed>
D read_key(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() < sizeof(sadb_key)) return Malformed;
  const auto header = wire<sadb_key>(bytes);
  const size_t bits = header.sadb_key_bits, words = 1 + (bits + 63) / 64;
  if (bits == 0 || bytes.size() != words * 8) return Malformed;
  const ByteSpan key = bytes.subspan(sizeof header, (bits + 7) / 8);
  if (std::ranges::all_of(key, [](uint8_t byte) { return byte == 0; })) return Malformed;
  auto secret = Secret::of(key);
  if (!secret) return D::no_key_memory;
  message.*Field = KeyExtension{std::move(*secret), header.sadb_key_bits, header.sadb_key_reserved};
  return D::none;
}

// Text ends at its first NUL; DER is taken whole.
template <std::optional<Identity> KeyMessage::* Field>
D read_identity(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() < sizeof(sadb_ident)) return D::malformed_extension;
  const auto header = wire<sadb_ident>(bytes);
  const ByteSpan rest = bytes.subspan(sizeof header);
  std::string text(rest.begin(), rest.end());
  const bool is_der = header.sadb_ident_type == SADB_X_IDENTTYPE_DN || header.sadb_ident_type == SADB_X_IDENTTYPE_GN;
  if (!is_der) text.resize(std::min(text.size(), text.find('\0')));
  message.*Field = Identity{header.sadb_ident_type, header.sadb_ident_id, std::move(text)};
  return D::none;
}

template <std::optional<SensitivityExtension> KeyMessage::* Field>
D read_sensitivity(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() < sizeof(sadb_sens)) return D::bad_label;
  const auto header = wire<sadb_sens>(bytes);
  if (bytes.size() != sizeof header + size_t{8} * header.sadb_sens_sens_len + size_t{8} * header.sadb_sens_integ_len)
    return D::bad_label;
  const ByteSpan rest = bytes.subspan(sizeof(sadb_ext));
  message.*Field = SensitivityExtension{{rest.begin(), rest.end()}};
  return D::none;
}

D read_proposal(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() < sizeof(sadb_prop) || (bytes.size() - sizeof(sadb_prop)) % sizeof(sadb_comb) != 0)
    return D::malformed_extension;
  Proposal proposal{wire<sadb_prop>(bytes).sadb_prop_replay, {}};
  for (ByteSpan rest = bytes.subspan(sizeof(sadb_prop)); !rest.empty(); rest = rest.subspan(sizeof(sadb_comb))) {
    const auto c = wire<sadb_comb>(rest);
    proposal.combinations.push_back({c.sadb_comb_auth, c.sadb_comb_encrypt, c.sadb_x_comb_encrypt_saltbits,
                                     c.sadb_comb_flags, c.sadb_comb_auth_minbits, c.sadb_comb_auth_maxbits,
                                     c.sadb_comb_encrypt_minbits, c.sadb_comb_encrypt_maxbits,
                                     lifetime_of(c.sadb_comb_soft_allocations, c.sadb_comb_soft_bytes,
                                                 c.sadb_comb_soft_addtime, c.sadb_comb_soft_usetime),
                                     lifetime_of(c.sadb_comb_hard_allocations, c.sadb_comb_hard_bytes,
                                                 c.sadb_comb_hard_addtime, c.sadb_comb_hard_usetime)});
  }
  message.proposal = std::move(proposal);
  return D::none;
}

bool read_combination(ByteSpan& rest, ExtendedCombination& combination) {
  if (rest.size() < sizeof(sadb_x_ecomb)) return false;
  const auto e = wire<sadb_x_ecomb>(rest);
  rest = rest.subspan(sizeof e);
  combination.flags = e.sadb_x_ecomb_flags;
  combination.soft = lifetime_of(e.sadb_x_ecomb_soft_allocations, e.sadb_x_ecomb_soft_bytes,
                                 e.sadb_x_ecomb_soft_addtime, e.sadb_x_ecomb_soft_usetime);
  combination.hard = lifetime_of(e.sadb_x_ecomb_hard_allocations, e.sadb_x_ecomb_hard_bytes,
                                 e.sadb_x_ecomb_hard_addtime, e.sadb_x_ecomb_hard_usetime);
  for (unsigned i = 0; i < e.sadb_x_ecomb_numalgs; ++i) {
    if (rest.size() < sizeof(sadb_x_algdesc)) return false;
    const auto d = wire<sadb_x_algdesc>(rest);
    rest = rest.subspan(sizeof d);
    combination.algorithms.push_back({d.sadb_x_algdesc_satype, d.sadb_x_algdesc_algtype, d.sadb_x_algdesc_alg,
                                      d.sadb_x_algdesc_reserved, d.sadb_x_algdesc_minbits, d.sadb_x_algdesc_maxbits});
  }
  return true;
}

D read_extended_proposal(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() < sizeof(sadb_prop)) return D::malformed_extension;
  const auto header = wire<sadb_prop>(bytes);
  ExtendedProposal proposal{header.sadb_prop_replay, {}};
  ByteSpan rest = bytes.subspan(sizeof header);
  for (unsigned i = 0; i < header.sadb_x_prop_numecombs; ++i) {
    if (!read_combination(rest, proposal.combinations.emplace_back())) return D::malformed_extension;
  }
  if (!rest.empty()) return D::malformed_extension;
  message.extended_proposal = std::move(proposal);
  return D::none;
}

template <std::optional<std::vector<SupportedAlgorithm>> KeyMessage::* Field>
D read_supported(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() < sizeof(sadb_supported)) return D::malformed_extension;
  auto& list = (message.*Field).emplace();
  for (ByteSpan rest = bytes.subspan(sizeof(sadb_supported)); !rest.empty(); rest = rest.subspan(sizeof(sadb_alg))) {
    const auto a = wire<sadb_alg>(rest);
    list.push_back({a.sadb_alg_id, a.sadb_alg_ivlen, a.sadb_x_alg_increment, a.sadb_x_alg_saltbits, a.sadb_alg_minbits,
                    a.sadb_alg_maxbits});
  }
  return D::none;
}

D read_range(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() != sizeof(sadb_spirange)) return D::malformed_range;
  const auto range = wire<sadb_spirange>(bytes);
  message.range = SpiRange{host_to_be(range.sadb_spirange_min), host_to_be(range.sadb_spirange_max)};
  return message.range->minimum > message.range->maximum ? D::malformed_range : D::none;
}

D read_register(ByteSpan bytes, KeyMessage& message) {
  const ByteSpan list = bytes.subspan(sizeof(sadb_ext));
  const auto end = std::ranges::find(list, 0);
  if (end == list.end()) return D::malformed_extension;
  message.extended_register.emplace(list.begin(), end);
  return D::none;
}

D read_cookie(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() != sizeof(sadb_x_kmc)) return D::bad_extension_length;
  const auto kmc = wire<sadb_x_kmc>(bytes);
  message.cookie = KmCookie{static_cast<KmProtocol>(kmc.sadb_x_kmc_proto), kmc.sadb_x_kmc_cookie};
  return D::none;
}

D read_pair(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() != sizeof(sadb_x_pair)) return D::bad_extension_length;
  message.pair = Spi{host_to_be(wire<sadb_x_pair>(bytes).sadb_x_pair_spi)};
  return D::none;
}

D read_replay_value(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() != sizeof(sadb_x_replay_ctr)) return D::bad_extension_length;
  const auto value = wire<sadb_x_replay_ctr>(bytes);
  message.replay_value = ReplayValue{value.sadb_x_rc_replay32, value.sadb_x_rc_replay64};
  return D::none;
}

D read_dump_timeout(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() != sizeof(sadb_x_edump)) return D::bad_extension_length;
  message.dump_timeout = wire<sadb_x_edump>(bytes).sadb_x_edump_timeout;
  return D::none;
}

D read_string_auth(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() < sizeof(sadb_key)) return D::malformed_string_key;
  const size_t bits = wire<sadb_key>(bytes).sadb_key_bits;
  if (bits == 0 || bits % 8 != 0 || bytes.size() != (1 + (bits + 63) / 64) * 8) return D::malformed_string_key;
  const ByteSpan text = bytes.subspan(sizeof(sadb_key), bits / 8);
  message.string_auth.emplace(text.begin(), text.end());
  return D::none;
}

D read_namespace(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() <= sizeof(sadb_x_namespace)) return D::malformed_namespace;
  const auto header = wire<sadb_x_namespace>(bytes);
  const ByteSpan rest = bytes.subspan(sizeof header);
  const auto end = std::ranges::find(rest, 0);
  const std::string name(rest.begin(), end);
  const bool printable = std::ranges::all_of(name, [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  if (end == rest.end() || name.size() > 255 || !printable) return D::malformed_namespace;
  if ((header.sadb_x_namespace_flags & ~SADB_X_NAMESPACE_OVERRIDE) != 0) return D::malformed_namespace;
  message.name_space = NamespaceExtension{name, (header.sadb_x_namespace_flags & SADB_X_NAMESPACE_OVERRIDE) != 0};
  return D::none;
}

D read_replay_window(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() != sizeof(sadb_x_replay_window)) return D::bad_extension_length;
  message.replay_window = wire<sadb_x_replay_window>(bytes).sadb_x_rw_packets;
  return D::none;
}

D read_text(ByteSpan bytes, KeyMessage& message) {
  if (bytes.size() <= sizeof(sadb_x_diagnostic)) return D::bad_extension_length;
  const ByteSpan rest = bytes.subspan(sizeof(sadb_x_diagnostic));
  const auto end = std::ranges::find(rest, 0);
  if (end == rest.end()) return D::malformed_extension;
  message.text.emplace(rest.begin(), end);
  return D::none;
}

struct ExtensionKind {
  uint16_t number;
  D duplicate;
  D (*read)(ByteSpan, KeyMessage&);
};

using M = KeyMessage;
constexpr auto kExtensions = std::to_array<ExtensionKind>({
    {SADB_EXT_SA, D::duplicate_sa, read_sa},
    {SADB_EXT_LIFETIME_CURRENT, D::duplicate_extension, read_lifetime<&M::current>},
    {SADB_EXT_LIFETIME_HARD, D::duplicate_extension, read_lifetime<&M::hard>},
    {SADB_EXT_LIFETIME_SOFT, D::duplicate_extension, read_lifetime<&M::soft>},
    {SADB_X_EXT_LIFETIME_IDLE, D::duplicate_extension, read_lifetime<&M::idle>},
    {SADB_EXT_ADDRESS_SRC, D::duplicate_source,
     read_address<&M::source, D::malformed_source, D::bad_source_af, D::malformed_source>},
    {SADB_EXT_ADDRESS_DST, D::duplicate_destination,
     read_address<&M::destination, D::malformed_destination, D::bad_destination_af, D::malformed_destination>},
    {SADB_X_EXT_ADDRESS_INNER_SRC, D::duplicate_inner_source,
     read_address<&M::inner_source, D::malformed_inner_source, D::bad_inner_source_af, D::bad_inner_source_prefix>},
    {SADB_X_EXT_ADDRESS_INNER_DST, D::duplicate_inner_destination,
     read_address<&M::inner_destination, D::malformed_inner_destination, D::bad_inner_destination_af,
                  D::bad_inner_destination_prefix>},
    {SADB_X_EXT_ADDRESS_NATT_LOC, D::duplicate_natt_local,
     read_address<&M::natt_local, D::malformed_natt_local, D::bad_natt_local_af, D::malformed_natt_local>},
    {SADB_X_EXT_ADDRESS_NATT_REM, D::duplicate_natt_remote,
     read_address<&M::natt_remote, D::malformed_natt_remote, D::bad_natt_remote_af, D::malformed_natt_remote>},
    {SADB_EXT_KEY_AUTH, D::duplicate_auth_key, read_key<&M::auth_key, D::malformed_auth_key>},
    {SADB_EXT_KEY_ENCRYPT, D::duplicate_encr_key, read_key<&M::encr_key, D::malformed_encr_key>},
    {SADB_EXT_IDENTITY_SRC, D::duplicate_extension, read_identity<&M::source_identity>},
    {SADB_EXT_IDENTITY_DST, D::duplicate_extension, read_identity<&M::destination_identity>},
    {SADB_EXT_SENSITIVITY, D::duplicate_extension, read_sensitivity<&M::sensitivity>},
    {SADB_X_EXT_OUTER_SENS, D::duplicate_extension, read_sensitivity<&M::outer_sensitivity>},
    {SADB_EXT_PROPOSAL, D::duplicate_extension, read_proposal},
    {SADB_X_EXT_EPROP, D::duplicate_extension, read_extended_proposal},
    {SADB_EXT_SUPPORTED_AUTH, D::duplicate_extension, read_supported<&M::supported_auth>},
    {SADB_EXT_SUPPORTED_ENCRYPT, D::duplicate_extension, read_supported<&M::supported_encr>},
    {SADB_EXT_SPIRANGE, D::duplicate_range, read_range},
    {SADB_X_EXT_EREG, D::duplicate_extension, read_register},
    {SADB_X_EXT_KM_COOKIE, D::duplicate_km_cookie, read_cookie},
    {SADB_X_EXT_PAIR, D::duplicate_extension, read_pair},
    {SADB_X_EXT_REPLAY_VALUE, D::duplicate_extension, read_replay_value},
    {SADB_X_EXT_EDUMP, D::duplicate_extension, read_dump_timeout},
    {SADB_X_EXT_STR_AUTH, D::duplicate_string_key, read_string_auth},
    {SADB_X_EXT_NAMESPACE, D::duplicate_extension, read_namespace},
    {SADB_X_EXT_REPLAY_WINDOW, D::duplicate_extension, read_replay_window},
    {SADB_X_EXT_DIAGNOSTIC, D::duplicate_extension, read_text},
});

KeyResult<> read_extensions(ByteSpan rest, KeyMessage& message) {
  std::array<bool, kExtensions.size()> seen{};
  while (!rest.empty()) {
    const auto header = wire<sadb_ext>(rest);  // the message is whole words, so there are 8 bytes at least
    const size_t length = size_t{header.sadb_ext_len} * 8;
    if (length == 0 || length > rest.size()) return refuse(EINVAL, D::bad_extension_length);
    const auto kind = std::ranges::find(kExtensions, header.sadb_ext_type, &ExtensionKind::number);
    if (kind == kExtensions.end())
      return refuse(EINVAL, D::unknown_extension, fmt::format("unknown extension {}", header.sadb_ext_type));
    const auto index = static_cast<size_t>(kind - kExtensions.begin());
    if (seen[index]) return refuse(EINVAL, kind->duplicate);
    seen[index] = true;
    if (const D wrong = kind->read(rest.first(length), message); wrong != D::none)
      return refuse(wrong == D::no_key_memory ? ENOMEM : EINVAL, wrong);
    rest = rest.subspan(length);
  }
  return {};
}
}  // namespace

std::optional<KeyHeader> read_key_header(ByteSpan bytes) {
  if (bytes.size() < kKeyHeaderBytes) return std::nullopt;
  const auto m = wire<sadb_msg>(bytes);
  return KeyHeader{m.sadb_msg_version, m.sadb_msg_type,         m.sadb_msg_errno, m.sadb_msg_satype,
                   m.sadb_msg_len,     m.sadb_x_msg_diagnostic, m.sadb_msg_seq,   m.sadb_msg_pid};
}

KeyResult<KeyMessage> decode_key_message(ByteSpan bytes) {
  const auto header = read_key_header(bytes);
  if (!header) return refuse(EMSGSIZE, D::none, "shorter than a base header");
  if (bytes.size() != size_t{header->words} * 8) return refuse(EMSGSIZE, D::none, "not as long as its header says");
  if (header->version != PF_KEY_V2) return refuse(EINVAL, D::bad_version);
  if (header->type == SADB_RESERVED || header->type > SADB_MAX) return refuse(EINVAL, D::unknown_message);
  KeyMessage message;
  message.type = static_cast<KeyMessageType>(header->type);
  message.error = header->error;
  message.satype = header->satype;
  message.diagnostic = header->diagnostic;
  message.seq = header->seq;
  message.pid = header->pid;
  message.words = header->words;
  TRY(read_extensions(bytes.subspan(kKeyHeaderBytes), message));
  return message;
}

}  // namespace adit::protocol
