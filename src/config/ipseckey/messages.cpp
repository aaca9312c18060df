// Checked fields -> PF_KEY messages, one for each destination address.
#include <algorithm>

#include "config/ipseckey/association.h"
#include "net/protocol.h"

namespace adit::config::ipseckey {
namespace {
using namespace sad;

KeyMessageType type_of(KeyVerb verb) {
  switch (verb) {
    case KeyVerb::update:
      return KeyMessageType::update;
    case KeyVerb::update_pair:
      return KeyMessageType::update_pair;
    case KeyVerb::del:
      return KeyMessageType::del;
    case KeyVerb::delete_pair:
      return KeyMessageType::delete_pair;
    case KeyVerb::get:
      return KeyMessageType::get;
    case KeyVerb::flush:
      return KeyMessageType::flush;
    case KeyVerb::dump:
    case KeyVerb::save:
      return KeyMessageType::dump;
    default:
      return KeyMessageType::add;
  }
}

uint32_t flags_of(const Values& values) {
  uint32_t flags = values.flags;
  const auto set = [&](bool condition, uint32_t flag) { flags |= condition ? flag : 0; };
  set(values.inbound, kSaInbound);
  set(values.outbound, kSaOutbound);
  set(values.esn, kSaEsn);
  set(values.tunnel(), kSaTunnel);
  set(values.udp, kSaNattLocal | kSaNattRemote);
  set(values.replay == 0u, kSaNoReplay);
  return flags;
}

AddressExtension host(const net::Address& address, uint8_t protocol, uint16_t port) {
  return {address, 0, protocol, port};
}

// Of the source's addresses the one of the destination's family; several or none: any.
net::Address source_for(const net::Address& destination, const Values& values, Report& report) {
  net::Address found = net::Address::any(destination.family());
  const auto same = [&](const net::Address& address) { return address.family() == destination.family(); };
  const auto count = std::ranges::count_if(values.source, same);
  if (count == 1) found = *std::ranges::find_if(values.source, same);
  if (count > 1) {
    const Word& at = values.at.at(Field::src);
    report.warning(at, "the source has several addresses of that family, using unspecified source instead.");
  }
  return found;
}

void put_inner(const Values& values, KeyMessage& message) {
  if (!values.tunnel()) return;
  const auto family = values.inner_source        ? values.inner_source->family()
                      : values.inner_destination ? values.inner_destination->family()
                                                 : net::Family::v6;
  const net::Prefix any = net::Prefix::any(net::Family::v6);  // ::/0 stands for any of either family
  const net::Prefix source = values.inner_source.value_or(any), destination = values.inner_destination.value_or(any);
  message.inner_source = AddressExtension{source.address(), source.length(), values.inner_proto, values.inner_sport};
  message.inner_destination =
      AddressExtension{destination.address(), destination.length(), values.inner_proto, values.inner_dport};
  const bool known = values.inner_source || values.inner_destination;
  if (values.proto != 0 || !known) return;
  message.source->protocol = message.destination->protocol = family == net::Family::v4 ? 4 : 41;
}

void put_nat(const Values& values, KeyMessage& message) {
  if (!values.udp) return;
  message.natt_local = host(values.nat_local.value_or(message.source->address), net::kProtoUdp,
                            values.nat_lport != 0 ? values.nat_lport : net::kPortIkeNat);
  message.natt_remote = host(values.nat_remote.value_or(message.destination->address), net::kProtoUdp,
                             values.nat_rport != 0 ? values.nat_rport : net::kPortIkeNat);
}

Result<std::optional<KeyExtension>> copy_of(const std::optional<KeyExtension>& key, uint16_t reserved) {
  if (!key) return std::nullopt;
  TRY_ASSIGN(Secret copy, key->key.copy());
  return KeyExtension{std::move(copy), key->bits, reserved};
}

Result<> put_rest(const Values& values, KeyMessage& message) {
  message.hard = values.hard;
  message.soft = values.soft;
  message.idle = values.idle;
  TRY_ASSIGN(message.auth_key, copy_of(values.auth_key, 0));
  TRY_ASSIGN(message.encr_key, copy_of(values.encr_key, values.reserved_bits));
  message.source_identity = values.source_identity;
  message.destination_identity = values.destination_identity;
  if (values.pair) message.pair = Spi{*values.pair};
  if (values.replay.value_or(0) > 255) message.replay_window = values.replay;
  if (values.replay_value) {
    const uint64_t value = *values.replay_value;
    message.replay_value = ReplayValue{static_cast<uint32_t>(value), values.esn || value > UINT32_MAX ? value : 0};
  }
  return {};
}
}  // namespace

Result<std::vector<KeyMessage>> make_messages(KeyVerb verb, uint8_t satype, const Language& language, Report& report,
                                              const Values& values) {
  std::vector<KeyMessage> messages;
  for (const net::Address& destination : values.destination) {
    KeyMessage& message = messages.emplace_back();
    message.type = type_of(verb);
    message.satype = satype;
    if (!language.source.name_space.empty()) message.name_space = NamespaceExtension{language.source.name_space, false};
    message.sa = SaExtension{
        Spi{values.spi.value_or(0)}, static_cast<uint8_t>(std::min<uint32_t>(values.replay.value_or(0), 255)),
        values.state.value_or(0),    values.auth.value_or(0),
        values.encr.value_or(0),     flags_of(values)};
    message.source = host(source_for(destination, values, report), values.proto, values.sport);
    message.destination = host(destination, values.proto, values.dport);
    put_inner(values, message);
    put_nat(values, message);
    TRY(put_rest(values, message));
  }
  return messages;
}

}  // namespace adit::config::ipseckey
