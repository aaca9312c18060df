// The fields of one add, update, delete or get: collected, checked against each other, made into messages.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "config/ipseckey/fields.h"
#include "config/ipseckey/ipseckey.h"
#include "config/ipseckey/report.h"
#include "sad/sa.h"

namespace adit::config::ipseckey {

struct Values {
  std::optional<uint32_t> spi, pair, replay;
  std::optional<uint8_t> state, auth, encr;
  uint32_t flags = 0;
  uint16_t reserved_bits = 0;
  bool udp = false, inbound = false, outbound = false, esn = false;
  std::optional<sad::Lifetime> hard, soft, idle;
  std::vector<net::Address> source, destination;
  std::optional<net::Address> nat_local, nat_remote;
  std::optional<net::Prefix> inner_source, inner_destination;
  uint16_t sport = 0, dport = 0, inner_sport = 0, inner_dport = 0, nat_lport = 0, nat_rport = 0;
  uint8_t proto = 0, inner_proto = 0;
  std::optional<sad::KeyExtension> auth_key, encr_key;
  std::optional<sad::Identity> source_identity, destination_identity;
  std::optional<uint64_t> replay_value;
  std::map<Field, Word> at;  // where each field stands

  [[nodiscard]] bool has(Field field) const { return at.contains(field); }
  [[nodiscard]] bool tunnel() const;
};

struct Language {
  const KeySource& source;
  const crypto::AlgorithmTable& table;
  const Resolver& resolver;
};

// Reads the fields from `first` on. False: an error was reported.
bool read_fields(const Words& words, size_t first, KeyVerb verb, uint8_t satype, const Language& language,
                 Report& report, Values& values);

// Do the fields agree, is all there? `command` is the word that names the command. Sets defaults.
bool check_association(KeyVerb verb, uint8_t satype, const Word& command, const Language& language, Report& report,
                       Values& values);

// One message for each destination. REQUIRES: checked.
Result<std::vector<sad::KeyMessage>> make_messages(KeyVerb verb, uint8_t satype, const Language& language,
                                                   Report& report, const Values& values);

std::string_view name_of(KeyVerb verb);

}  // namespace adit::config::ipseckey
