#include "config/ipseckey/print.h"

#include <array>
#include <cstring>
#include <ctime>

#include <adit/pfkeyv2.h>

#include "config/ipseckey/lines.h"
#include "sad/diagnostic.h"

namespace adit::config {
namespace ipseckey {
namespace {
using namespace sad;

struct FlagName {
  uint32_t flag;
  std::string_view name;
};
constexpr auto kFlags = std::to_array<FlagName>({{SADB_SAFLAGS_PFS, "PFS"},
                                                 {SADB_SAFLAGS_NOREPLAY, "NOREPLAY"},
                                                 {SADB_X_SAFLAGS_ESN, "X_ESN"},
                                                 {SADB_X_SAFLAGS_USED, "X_USED"},
                                                 {SADB_X_SAFLAGS_PAIRED, "X_PAIRED"},
                                                 {SADB_X_SAFLAGS_OUTBOUND, "X_OUTBOUND"},
                                                 {SADB_X_SAFLAGS_INBOUND, "X_INBOUND"},
                                                 {SADB_X_SAFLAGS_UNIQUE, "X_UNIQUE"},
                                                 {SADB_X_SAFLAGS_AALG1, "X_AALG1"},
                                                 {SADB_X_SAFLAGS_AALG2, "X_AALG2"},
                                                 {SADB_X_SAFLAGS_EALG1, "X_EALG1"},
                                                 {SADB_X_SAFLAGS_EALG2, "X_EALG2"},
                                                 {SADB_X_SAFLAGS_NATT_LOC, "X_NATT_LOC"},
                                                 {SADB_X_SAFLAGS_NATT_REM, "X_NATT_REM"},
                                                 {SADB_X_SAFLAGS_TUNNEL, "X_TUNNEL"},
                                                 {SADB_X_SAFLAGS_NATTED, "X_NATTED"}});

constexpr std::string_view kTypes[] = {"RESERVED (warning: set to 0)",
                                       "GETSPI",
                                       "UPDATE",
                                       "ADD",
                                       "DELETE",
                                       "GET",
                                       "ACQUIRE",
                                       "REGISTER",
                                       "EXPIRE",
                                       "FLUSH",
                                       "DUMP",
                                       "X_PROMISC",
                                       "X_INVERSE_ACQUIRE",
                                       "UPDATE PAIR",
                                       "DELETE PAIR",
                                       "DELETE PAIR STATE"};
constexpr std::string_view kStates[] = {"LARVAL", "MATURE", "DYING", "DEAD", "ACTIVE_ELSEWHERE", "IDLE"};
constexpr std::string_view kIdentityTypes[] = {
    "",       "prefix",       "FQDN", "user-FQDN (mbox)", "ASN.1 DER Distinguished Name", "ASN.1 DER Generic Name",
    "key id", "address range"};

void put_base(Printer& printer, const KeyMessage& message) {
  SecretString& out = printer.out;
  if (printer.options.timestamp) out += fmt::format("Timestamp: {}\n", printer.time(*printer.options.timestamp));
  const auto type = static_cast<size_t>(message.type);
  out += fmt::format("Base message (version {}) type {}, SA type {}.\n", PF_KEY_V2,
                     type < std::size(kTypes) ? std::string(kTypes[type]) : fmt::format("Unknown ({})", type),
                     satype_name(message.satype));
  if (message.error != 0) {
    out += fmt::format("Error {} from PF_KEY.\n", std::strerror(message.error));
    out += fmt::format("  Diagnostic code {}:  {}.\n", message.diagnostic,
                       text_of(static_cast<Diagnostic>(message.diagnostic)));
  }
  out += fmt::format("Message length {} bytes, seq={}, pid={}.\n", message.words * 8u, message.seq, message.pid);
}

void put_sa(Printer& printer, const KeyMessage& message) {
  const SaExtension& sa = *message.sa;
  SecretString& out = printer.out;
  out += fmt::format(
      "SA: SADB_ASSOC spi={:#x}, replay window size={}, state={}", static_cast<uint32_t>(sa.spi), message.window(),
      sa.state < std::size(kStates) ? std::string(kStates[sa.state]) : fmt::format("<unknown {}>", sa.state));
  if (sa.auth != 0)
    out += fmt::format("\nSA: Authentication algorithm = {}", printer.algorithm(crypto::AlgProto::ah, sa.auth));
  if (sa.encr != 0)
    out += fmt::format("\nSA: Encryption algorithm = {}", printer.algorithm(crypto::AlgProto::esp, sa.encr));
  out += fmt::format("\nSA: flags={:#x} < ", sa.flags);
  for (const FlagName& name : kFlags) {
    if ((sa.flags & name.flag) != 0) out += fmt::format("{} ", name.name);
  }
  out += ">\n";
}

void put_address(Printer& printer, std::string_view prefix, std::string_view what, const AddressExtension& extension) {
  const Resolver* resolver = printer.options.resolver;
  std::string protocol, name;
  if (resolver != nullptr) {
    protocol = extension.protocol == 0 ? "/<unspecified>"
                                       : "/" + resolver->protocol_name(extension.protocol).value_or("<unknown>");
    name = extension.address.is_unspecified()
               ? " (<unspecified>)"
               : fmt::format(" ({})", resolver->host_name(extension.address).value_or("<unknown>"));
  }
  const std::string length = extension.prefix_length == 0 ? "" : fmt::format("/{}", extension.prefix_length);
  printer.out += fmt::format("{}: {} address (proto={}{})\n", prefix, what, extension.protocol, protocol);
  printer.out += fmt::format("{}: {}: port {}, {}{}{}\n", prefix, extension.address.is_v4() ? "AF_INET" : "AF_INET6",
                             extension.port, extension.address.str(), length, name);
}

void put_addresses(Printer& printer, const KeyMessage& message) {
  if (message.source) put_address(printer, "SRC", "Source", *message.source);
  if (message.destination) put_address(printer, "DST", "Destination", *message.destination);
  if (message.inner_source) put_address(printer, "INS", "Inner source", *message.inner_source);
  if (message.inner_destination) put_address(printer, "IND", "Inner destination", *message.inner_destination);
  if (message.natt_local) put_address(printer, "NLC", "NAT-T local", *message.natt_local);
  if (message.natt_remote) put_address(printer, "NRM", "NAT-T remote", *message.natt_remote);
}

void put_key(Printer& printer, std::string_view prefix, std::string_view what, const KeyExtension& key) {
  const std::string salt = key.reserved == 0 ? "" : fmt::format(" (the last {} bits are the salt)", key.reserved);
  printer.out += fmt::format("{}: {} key.\n{}: ", prefix, what, prefix);
  if (printer.options.hide_keys)
    printer.out += "<hidden>";
  else
    add_hex(printer.out, key.key.bytes());
  printer.out += fmt::format("/{}{}\n", key.bits, salt);
}

// What a key manager named may hold anything: only printable text goes to a terminal.
std::string printable(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return safe;
}

void put_identity(Printer& printer, std::string_view prefix, std::string_view what, const Identity& identity) {
  const bool known = identity.type != 0 && identity.type < std::size(kIdentityTypes);
  const bool der = identity.type == SADB_X_IDENTTYPE_DN || identity.type == SADB_X_IDENTTYPE_GN;
  const auto* bytes = reinterpret_cast<const uint8_t*>(identity.text.data());
  printer.out += fmt::format(
      "{}: {} identity, uid={}, type {}\n{}: ", prefix, what, identity.id,
      known ? std::string(kIdentityTypes[identity.type]) : fmt::format("<unknown {}>", identity.type), prefix);
  if (der)
    add_hex(printer.out, {bytes, identity.text.size()});
  else
    printer.out += printable(identity.text);
  printer.out += '\n';
}

void put_cookie(Printer& printer, const KmCookie& cookie) {
  std::string_view label = "<unknown KM protocol>";
  if (cookie.protocol == KmProtocol::manual) label = "Manual SA with cookie";
  if (cookie.protocol == KmProtocol::ike) label = "IKE";
  if (cookie.protocol == KmProtocol::ikev2) label = "IKEv2";
  printer.out += fmt::format("KMC: Protocol {}, cookie=\"{}\" ({})\n", static_cast<unsigned>(cookie.protocol), label,
                             cookie.cookie);
}

void put_rest(Printer& printer, const KeyMessage& message) {
  SecretString& out = printer.out;
  if (message.sensitivity)
    out += fmt::format("SNS: Plaintext Sensitivity, {} bytes\n", message.sensitivity->bytes.size());
  if (message.outer_sensitivity)
    out += fmt::format("OSN: Ciphertext Sensitivity, {} bytes\n", message.outer_sensitivity->bytes.size());
  if (message.proposal) printer.put_proposal(*message.proposal);
  if (message.extended_proposal) printer.put_extended_proposal(*message.extended_proposal);
  if (message.supported_auth) printer.put_supported(*message.supported_auth, false);
  if (message.supported_encr) printer.put_supported(*message.supported_encr, true);
  if (message.range)
    out += fmt::format("SPR: SPI Range, min={:#x}, max={:#x}\n", message.range->minimum, message.range->maximum);
  if (message.cookie) put_cookie(printer, *message.cookie);
  if (message.pair) out += fmt::format("OTH: Paired with spi={:#x}\n", static_cast<uint32_t>(*message.pair));
  if (message.replay_value)
    out += fmt::format("RPL: Replay Value {}\n",
                       message.replay_value->full != 0 ? message.replay_value->full : message.replay_value->low);
  if (message.name_space) out += fmt::format("NSP: Namespace \"{}\"\n", printable(message.name_space->name));
}
}  // namespace

void add_hex(SecretString& text, std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const uint8_t byte : bytes) (text += kDigits[byte >> 4]) += kDigits[byte & 15];
}

std::string algorithm_name(const crypto::AlgorithmTable& table, crypto::AlgProto proto, uint8_t number) {
  const crypto::Algorithm* row = table.find(proto, number);
  return row == nullptr ? fmt::format("{}", number) : row->names[0];
}

std::string Printer::algorithm(crypto::AlgProto proto, uint8_t number) const {
  const crypto::Algorithm* row = table.find(proto, number);
  return row == nullptr ? fmt::format("<unknown {}>", number) : row->names[0];
}

std::string Printer::time(uint64_t wall_seconds) const {
  const auto value = static_cast<time_t>(wall_seconds);
  struct tm broken{};
  std::array<char, 64> text{};
  if (::localtime_r(&value, &broken) == nullptr || std::strftime(text.data(), text.size(), "%c", &broken) == 0)
    return "<time conversion failed>";
  std::string shown = text.data();
  if (options.verbose) shown += fmt::format(" (raw time value {})", wall_seconds);
  return shown;
}
}  // namespace ipseckey

std::string satype_name(uint8_t satype) {
  constexpr std::string_view kNames[] = {"<unspecified/all>", "", "AH", "ESP", "TCPSIG", "RSVP", "OSPFv2", "RIPv2",
                                         "Mobile IP"};
  if (satype < std::size(kNames) && !kNames[satype].empty()) return std::string(kNames[satype]);
  return fmt::format("<unknown {}>", satype);
}

SecretString print_key_message(const sad::KeyMessage& message, const crypto::AlgorithmTable& table,
                               const KeyPrintOptions& options) {
  using namespace ipseckey;
  Printer printer{table, options, {}};
  put_base(printer, message);
  if (message.sa) put_sa(printer, message);
  put_addresses(printer, message);
  if (message.auth_key) put_key(printer, "AKY", "Authentication", *message.auth_key);
  if (message.encr_key) put_key(printer, "EKY", "Encryption", *message.encr_key);
  if (message.source_identity) put_identity(printer, "SID", "Source", *message.source_identity);
  if (message.destination_identity) put_identity(printer, "DID", "Destination", *message.destination_identity);
  put_rest(printer, message);
  printer.put_lifetimes(message);
  return std::move(printer.out);
}

}  // namespace adit::config
