// An SA of a dump as the command that makes it again.
#include <adit/pfkeyv2.h>

#include <algorithm>

#include "config/ipseckey/lexer.h"
#include "config/ipseckey/lines.h"
#include "config/ipseckey/print.h"

namespace adit::config {
namespace {
using namespace sad;

class Command {
 public:
  explicit Command(std::string_view verb) : text_("# begin assoc\n") { text_ += verb; }

  template <typename Value>
  void field(std::string_view name, const Value& value) {
    text_ += fmt::format(" \\\n    {} {}", name, value);
  }
  void flag(std::string_view name) { text_ += fmt::format(" \\\n    {}", name); }
  void key(std::string_view name, const KeyExtension& key) {
    text_ += fmt::format(" \\\n    {} ", name);
    ipseckey::add_hex(text_, key.key.bytes());
    text_ += fmt::format("/{}", key.bits);
  }
  SecretString end() {
    text_ += "\n# end assoc\n\n";
    return std::move(text_);
  }

 private:
  SecretString text_;
};

void put_lifetime(Command& command, std::string_view kind, const std::optional<Lifetime>& life) {
  if (!life) return;
  const auto put = [&](std::string_view what, uint64_t value) {
    if (value != 0) command.field(fmt::format("{}_{}", kind, what), value);
  };
  put("alloc", life->allocations);
  put("bytes", life->bytes);
  put("addtime", life->add_seconds);
  put("usetime", life->use_seconds);
}

void put_inner(Command& command, std::string_view side, const AddressExtension& address) {
  command.field(side, fmt::format("{}/{}", address.address.str(), address.prefix_length));
}

void put_addresses(Command& command, const KeyMessage& message) {
  if (message.source && !message.source->address.is_unspecified()) command.field("src", message.source->address.str());
  if (message.destination) command.field("dst", message.destination->address.str());
  if (message.destination && message.destination->protocol != 0) command.field("proto", message.destination->protocol);
  if (!message.inner_source || !message.inner_destination) return;
  put_inner(command, "innersrc", *message.inner_source);
  put_inner(command, "innerdst", *message.inner_destination);
  if (message.inner_source->protocol != 0) command.field("iproto", message.inner_source->protocol);
  if (message.inner_source->port != 0) command.field("innersport", message.inner_source->port);
  if (message.inner_destination->port != 0) command.field("innerdport", message.inner_destination->port);
}

void put_nat(Command& command, const KeyMessage& message) {
  if (!message.natt_local || !message.natt_remote) return;
  command.field("encap", "udp");
  command.field("nat_loc", message.natt_local->address.str());
  command.field("nat_lport", message.natt_local->port);
  command.field("nat_rem", message.natt_remote->address.str());
  command.field("nat_rport", message.natt_remote->port);
}

// One that no file can hold is left out: the SA loads without it.
void put_identity(Command& command, std::string_view field, const std::optional<Identity>& identity) {
  const auto unfit = [](char c) { return c == '"' || c == '\n' || ipseckey::is_binary(c); };
  if (!identity || std::ranges::any_of(identity->text, unfit)) return;
  command.field(field, fmt::format("{} \"{}\"", identity->type, identity->text));
}

void put_sa(Command& command, const KeyMessage& message, const crypto::AlgorithmTable& table) {
  const SaExtension& sa = *message.sa;
  command.field("spi", fmt::format("{:#x}", static_cast<uint32_t>(sa.spi)));
  if (sa.encr != 0) command.field("encr_alg", ipseckey::algorithm_name(table, crypto::AlgProto::esp, sa.encr));
  if (sa.auth != 0) command.field("auth_alg", ipseckey::algorithm_name(table, crypto::AlgProto::ah, sa.auth));
  command.field("replay", message.window());
  if ((sa.flags & kSaEsn) != 0) command.flag("esn");
  if ((sa.flags & kSaInbound) != 0) command.flag("inbound");
  if ((sa.flags & kSaOutbound) != 0) command.flag("outbound");
  // Only the inbound half names its pair, which stands before it in a dump.
  if (message.pair && (sa.flags & (kSaInbound | kSaOutbound)) == kSaInbound)
    command.field("pair-spi", fmt::format("{:#x}", static_cast<uint32_t>(*message.pair)));
}
}  // namespace

std::string save_header() {
  return "# Made by the 'save' command of ipseckey(8). It holds keys: keep its mode at 0400.\n\n";
}

SecretString save_association(const KeyMessage& message, const crypto::AlgorithmTable& table) {
  Command command(message.satype == SADB_SATYPE_AH ? "add ah" : "add esp");
  if (message.sa) put_sa(command, message, table);
  put_addresses(command, message);
  put_nat(command, message);
  if (message.encr_key) command.key("encrkey", *message.encr_key);
  if (message.auth_key) command.key("authkey", *message.auth_key);
  put_lifetime(command, "soft", message.soft);
  put_lifetime(command, "hard", message.hard);
  put_lifetime(command, "idle", message.idle);
  put_identity(command, "srcidtype", message.source_identity);
  put_identity(command, "dstidtype", message.destination_identity);
  if (message.replay_value) {
    const uint64_t value = message.replay_value->full != 0 ? message.replay_value->full : message.replay_value->low;
    if (value != 0) command.field("replay_value", value);
  }
  return command.end();
}

}  // namespace adit::config
