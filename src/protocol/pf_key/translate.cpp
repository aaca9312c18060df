#include "protocol/pf_key/translate.h"

#include <algorithm>

#include <adit/pfkeyv2.h>

namespace adit::sad {
namespace {
using D = Diagnostic;

// What a client may ask for; the rest of the flags is what the SAD reports.
constexpr uint32_t kSettable = kSaPfs | kSaNoReplay | kSaEsn | kSaInbound | kSaOutbound | kSaTunnel | kSaNattLocal |
                               kSaNattRemote | SADB_X_SAFLAGS_UNIQUE | kSaPaired;

KeyResult<> check_extras(const KeyMessage& message) {
  if (message.proposal || message.extended_proposal) return refuse(EINVAL, D::proposal_not_needed);
  if (message.supported_auth || message.supported_encr) return refuse(EINVAL, D::supported_not_needed);
  if (message.sensitivity || message.outer_sensitivity) return refuse(EINVAL, D::bad_label, "labels are not supported");
  if (message.range || message.extended_register || message.dump_timeout || message.string_auth)
    return refuse(EINVAL, D::extension_not_for_message);
  return {};
}

uint32_t wanted_window(const KeyMessage& message) {
  if (message.replay_window) return *message.replay_window;
  if ((message.sa->flags & kSaNoReplay) != 0) return 0;
  return message.sa->replay == 0 ? kDefaultReplayWindow : message.sa->replay;
}

KeyResult<> read_sa(const KeyMessage& message, SaRequest& request) {
  if (!message.sa) return refuse(EINVAL, D::missing_sa);
  const SaExtension& sa = *message.sa;
  if ((sa.flags & ~kSettable) != 0) return refuse(EINVAL, D::bad_flags);
  if (sa.state > SADB_SASTATE_DEAD) return refuse(EINVAL, D::bad_state);
  SaSpec& spec = request.spec;
  spec.spi = sa.spi;
  spec.auth = static_cast<crypto::AuthAlg>(sa.auth);
  spec.encr = static_cast<crypto::EncrAlg>(sa.encr);
  spec.esn = (sa.flags & kSaEsn) != 0;
  spec.inbound = (sa.flags & kSaInbound) != 0;
  spec.outbound = (sa.flags & kSaOutbound) != 0;
  spec.replay_window = wanted_window(message);
  spec.pair = message.pair;
  spec.cookie = message.cookie;
  spec.source_identity = message.source_identity;
  spec.destination_identity = message.destination_identity;
  spec.acquire_seq = message.seq;
  request.state = static_cast<SaState>(sa.state);
  return {};
}

KeyResult<> read_outer(const KeyMessage& message, SaSpec& spec) {
  if (!message.source) return refuse(EINVAL, D::missing_source);
  if (!message.destination) return refuse(EINVAL, D::missing_destination);
  const AddressExtension &source = *message.source, &destination = *message.destination;
  spec.source = source.address;
  spec.destination = destination.address;
  // An unspecified source fits either family.
  if (source.address.is_unspecified()) spec.source = net::Address::any(destination.address.family());
  if (spec.source.family() != spec.destination.family()) return refuse(EINVAL, D::af_mismatch);
  if (source.protocol != 0 && destination.protocol != 0 && source.protocol != destination.protocol)
    return refuse(EINVAL, D::protocol_mismatch);
  spec.outer_protocol = std::max(source.protocol, destination.protocol);
  const bool inner_ports = (message.inner_source && message.inner_source->port != 0) ||
                           (message.inner_destination && message.inner_destination->port != 0);
  if (source.port == 0 && destination.port == 0) return {};
  if (inner_ports) return refuse(EINVAL, D::dual_ports);
  return refuse(EOPNOTSUPP, D::dual_ports, "an SA of a tunnel has ports only in its inner addresses");
}

// ::/0 beside an IPv4 address means any IPv4 address: ipseckey fills a missing side so.
net::Prefix inner_prefix(const AddressExtension& side, const AddressExtension& other) {
  const bool any = side.address.is_unspecified() && side.prefix_length == 0;
  return any ? net::Prefix::any(other.address.family()) : net::Prefix(side.address, side.prefix_length);
}

KeyResult<> read_inner(const KeyMessage& message, SaSpec& spec) {
  const bool tunnel = (message.sa->flags & kSaTunnel) != 0;
  if (!message.inner_source && (message.inner_destination || tunnel)) return refuse(EINVAL, D::missing_inner_source);
  if (!message.inner_destination && message.inner_source) return refuse(EINVAL, D::missing_inner_destination);
  spec.mode = message.inner_source ? SaMode::tunnel : SaMode::transport;
  if (!message.inner_source) return {};
  const AddressExtension &source = *message.inner_source, &destination = *message.inner_destination;
  if (source.protocol != 0 && destination.protocol != 0 && source.protocol != destination.protocol)
    return refuse(EINVAL, D::inner_protocol_mismatch);
  InnerSelector inner;
  inner.source = inner_prefix(source, destination);
  inner.destination = inner_prefix(destination, source);
  if (inner.source.family() != inner.destination.family()) return refuse(EINVAL, D::inner_af_mismatch);
  inner.protocol = std::max(source.protocol, destination.protocol);
  inner.source_port = source.port;
  inner.destination_port = destination.port;
  // Both ends any, both families: no selectors at all.
  const bool everything = source.address.is_unspecified() && destination.address.is_unspecified() &&
                          source.prefix_length == 0 && destination.prefix_length == 0 && !source.address.is_v4() &&
                          !destination.address.is_v4() && inner.protocol == 0 && source.port == 0 &&
                          destination.port == 0;
  if (!everything) spec.inner = inner;
  return {};
}

KeyResult<> read_natt(const KeyMessage& message, SaSpec& spec) {
  if ((message.sa->flags & kSaNattLocal) != 0 && !message.natt_local) return refuse(EINVAL, D::missing_natt_local);
  if ((message.sa->flags & kSaNattRemote) != 0 && !message.natt_remote) return refuse(EINVAL, D::missing_natt_remote);
  if (!message.natt_local && !message.natt_remote) return {};
  NatT nat{spec.source, spec.destination};
  if (message.natt_local) {
    if (!message.natt_local->address.is_unspecified()) nat.local = message.natt_local->address;
    if (message.natt_local->port != 0) nat.local_port = message.natt_local->port;
  }
  if (message.natt_remote) {
    if (!message.natt_remote->address.is_unspecified()) nat.remote = message.natt_remote->address;
    if (message.natt_remote->port != 0) nat.remote_port = message.natt_remote->port;
  }
  spec.nat = nat;
  return {};
}

KeyResult<Secret> in_key_memory(Result<Secret> secret) {
  if (!secret) return refuse(secret.error().code, D::no_key_memory, secret.error().text);
  return std::move(*secret);
}

KeyResult<> read_keys(KeyMessage& message, const crypto::AlgorithmTable& algorithms, SaSpec& spec) {
  if (message.auth_key) {
    if (message.auth_key->bits % 8 != 0) return refuse(EINVAL, D::bad_auth_bits);
    spec.auth_key = std::move(message.auth_key->key);
  }
  if (!message.encr_key) return {};
  const KeyExtension& key = *message.encr_key;
  const crypto::Algorithm* row = algorithms.find(crypto::AlgProto::esp, static_cast<uint8_t>(spec.encr));
  const size_t salt = row == nullptr ? 0 : row->salt_bytes;
  const size_t bytes = key.key.size();
  if (key.bits % 8 != 0 || (key.reserved != 0 && key.reserved != salt * 8) || bytes < salt)
    return refuse(EINVAL, D::bad_encr_bits);
  const std::span<const uint8_t> all = std::as_const(key.key).bytes();
  TRY_ASSIGN(spec.encr_key, in_key_memory(Secret::of(all.first(bytes - salt))));
  TRY_ASSIGN(spec.salt, in_key_memory(Secret::of(all.last(salt))));
  message.encr_key.reset();
  return {};
}

KeyResult<> read_replay_value(const KeyMessage& message, SaRequest& request) {
  if (!message.replay_value) return {};
  const ReplayValue& value = *message.replay_value;
  if (value.full != 0 && value.low != 0 && static_cast<uint32_t>(value.full) != value.low)
    return refuse(EINVAL, D::bad_replay_counter);
  request.replay_value = value.full != 0 ? value.full : value.low;
  return {};
}

Lifetime current_of(const Sa& sa) {
  return {static_cast<uint32_t>(std::min<uint64_t>(sa.packets, UINT32_MAX)), sa.bytes, sa.added_wall,
          sa.first_used_wall()};
}

// Outer addresses are hosts and carry no prefix length, as on illumos.
AddressExtension host_extension(const net::Address& address, uint8_t protocol, uint16_t port = 0) {
  return {address, 0, protocol, port};
}

uint32_t flags_of(const Sa& sa) {
  const SaSpec& spec = sa.spec;
  uint32_t flags = 0;
  const auto set = [&](bool condition, uint32_t flag) { flags |= condition ? flag : 0; };
  set(spec.esn, kSaEsn);
  set(spec.replay_window == 0, kSaNoReplay);
  const bool open = spec.direction_open;
  set(open ? sa.shown_inbound : spec.inbound, kSaInbound);
  set(open ? sa.shown_outbound : spec.outbound, kSaOutbound);
  set(spec.mode == SaMode::tunnel && sa.state != SaState::larval, kSaTunnel);
  set(spec.nat.has_value(), kSaNattLocal | kSaNattRemote);
  set(sa.pair != 0, kSaPaired);
  set(sa.first_used != 0, kSaUsed);
  return flags;
}

void put_sa(const Sa& sa, KeyMessage& message) {
  const SaSpec& spec = sa.spec;
  message.satype = static_cast<uint8_t>(spec.type);
  message.sa = SaExtension{spec.spi,
                           static_cast<uint8_t>(std::min<uint32_t>(spec.replay_window, 255)),
                           static_cast<uint8_t>(sa.state.load()),
                           static_cast<uint8_t>(spec.auth),
                           static_cast<uint8_t>(spec.encr),
                           flags_of(sa)};
  if (spec.replay_window > 255) message.replay_window = spec.replay_window;
  if (!spec.name_space.empty()) message.name_space = NamespaceExtension{spec.name_space, false};
}

void put_addresses(const Sa& sa, KeyMessage& message) {
  const SaSpec& spec = sa.spec;
  uint8_t protocol = spec.outer_protocol;
  if (protocol == 0 && spec.inner)
    protocol = spec.inner->source.family() == net::Family::v4 ? net::kProtoIpv4 : net::kProtoIpv6;
  message.source = host_extension(spec.source, protocol);
  message.destination = host_extension(spec.destination, protocol);
  if (spec.mode == SaMode::tunnel && sa.state != SaState::larval) {
    // "Everything" goes out as it came in: both sides ::/0.
    const InnerSelector inner = spec.inner.value_or(
        InnerSelector{net::Prefix::any(net::Family::v6), net::Prefix::any(net::Family::v6), 0, 0, 0});
    message.inner_source =
        AddressExtension{inner.source.address(), inner.source.length(), inner.protocol, inner.source_port};
    message.inner_destination = AddressExtension{inner.destination.address(), inner.destination.length(),
                                                 inner.protocol, inner.destination_port};
  }
  if (!spec.nat) return;
  message.natt_local = host_extension(spec.nat->local, net::kProtoUdp, spec.nat->local_port);
  message.natt_remote = host_extension(spec.nat->remote, net::kProtoUdp, spec.nat->remote_port);
}

bool any(const Lifetime& life) {
  return life.allocations != 0 || life.bytes != 0 || life.add_seconds != 0 || life.use_seconds != 0;
}

}  // namespace

KeyResult<SaType> optional_satype(const KeyMessage& message) {
  const auto type = static_cast<SaType>(message.satype);
  if (type == SaType::unspec || type == SaType::ah || type == SaType::esp) return type;
  return refuse(EINVAL, D::unknown_satype);
}

KeyResult<SaType> needed_satype(const KeyMessage& message) {
  if (message.satype == SADB_SATYPE_UNSPEC) return refuse(EINVAL, D::satype_needed);
  return optional_satype(message);
}

KeyResult<SaName> to_name(const KeyMessage& message) {
  SaName name;
  TRY_ASSIGN(name.type, needed_satype(message));
  if (!message.sa) return refuse(EINVAL, D::missing_sa);
  if (!message.destination) return refuse(EINVAL, D::missing_destination);
  name.spi = message.sa->spi;
  name.destination = message.destination->address;
  return name;
}

KeyResult<SaRequest> to_request(KeyMessage& message, const crypto::AlgorithmTable& algorithms) {
  SaRequest request;
  TRY_ASSIGN(request.spec.type, needed_satype(message));
  TRY(check_extras(message));
  TRY(read_sa(message, request));
  TRY(read_outer(message, request.spec));
  TRY(read_inner(message, request.spec));
  TRY(read_natt(message, request.spec));
  TRY(read_keys(message, algorithms, request.spec));
  TRY(read_replay_value(message, request));
  request.hard = message.hard;
  request.soft = message.soft;
  request.idle = message.idle;
  return request;
}

KeyResult<SpiRequest> to_spi_request(const KeyMessage& message) {
  SpiRequest request;
  TRY_ASSIGN(request.type, needed_satype(message));
  if (!message.destination) return refuse(EINVAL, D::missing_destination);
  if (!message.range) return refuse(EINVAL, D::missing_range);
  request.destination = message.destination->address;
  if (!message.source) return refuse(EINVAL, D::missing_source);
  request.source = message.source->address.is_unspecified() ? net::Address::any(request.destination.family())
                                                            : message.source->address;
  request.minimum = message.range->minimum;
  request.maximum = message.range->maximum;
  request.acquire_seq = message.seq;
  return request;
}

Requester to_requester(const KeyMessage& message) {
  if (!message.name_space) return {};
  return {message.name_space->name, message.name_space->override_owner};
}

KeyResult<> put_keys(const SaSpec& spec, KeyMessage& message) {
  if (!spec.auth_key.empty()) {
    TRY_ASSIGN(Secret key, in_key_memory(spec.auth_key.copy()));
    message.auth_key = KeyExtension{std::move(key), static_cast<uint16_t>(spec.auth_key.size() * 8), 0};
  }
  if (spec.encr_key.empty()) return {};
  TRY_ASSIGN(Secret key, in_key_memory(Secret::zeros(spec.encr_key.size() + spec.salt.size())));
  std::ranges::copy(spec.encr_key.bytes(), key.bytes().begin());
  std::ranges::copy(spec.salt.bytes(), key.bytes().begin() + static_cast<ptrdiff_t>(spec.encr_key.size()));
  const auto bits = static_cast<uint16_t>(key.size() * 8), salt_bits = static_cast<uint16_t>(spec.salt.size() * 8);
  message.encr_key = KeyExtension{std::move(key), bits, salt_bits};
  return {};
}

KeyMessage from_sa(Sa& sa, KeyMessageType type) {
  KeyMessage message;
  message.type = type;
  put_sa(sa, message);
  put_addresses(sa, message);
  if (sa.state == SaState::larval) return message;
  message.current = current_of(sa);
  if (any(sa.hard())) message.hard = sa.hard();
  if (any(sa.soft())) message.soft = sa.soft();
  if (any(sa.idle())) message.idle = sa.idle();
  message.source_identity = sa.spec.source_identity;
  message.destination_identity = sa.spec.destination_identity;
  message.cookie = sa.spec.cookie;
  if (const uint32_t pair = sa.pair; pair != 0) message.pair = Spi{pair};
  const uint64_t value = replay_value_of(sa);
  message.replay_value = ReplayValue{static_cast<uint32_t>(value), sa.spec.esn ? value : 0};
  return message;
}

KeyMessage expire_message(Sa& sa, Expiry expiry) {
  KeyMessage message;
  message.type = KeyMessageType::expire;
  put_sa(sa, message);
  put_addresses(sa, message);
  message.current = current_of(sa);
  if (expiry == Expiry::soft)
    message.soft = sa.soft();
  else if (expiry == Expiry::idle)
    message.idle = sa.idle();
  else
    message.hard = sa.hard();
  return message;
}

void describe_algorithms(const crypto::AlgorithmTable& algorithms, SaType type, KeyMessage& message) {
  const auto describe = [](const crypto::Algorithm& row) {
    return SupportedAlgorithm{row.number,
                              static_cast<uint8_t>(row.iv_bytes),
                              static_cast<uint8_t>(row.increment_bits),
                              static_cast<uint8_t>(row.salt_bytes * 8),
                              row.min_bits,
                              row.max_bits};
  };
  message.supported_auth.emplace();
  if (type == SaType::esp) message.supported_encr.emplace();
  for (const crypto::Algorithm& row : algorithms.rows()) {
    if (row.number == 0) continue;
    if (row.proto == crypto::AlgProto::ah)
      message.supported_auth->push_back(describe(row));
    else if (type == SaType::esp)
      message.supported_encr->push_back(describe(row));
  }
}

}  // namespace adit::sad
