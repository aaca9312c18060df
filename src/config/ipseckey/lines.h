// The pieces of a printed PF_KEY message (print.h): each appends its lines.
#pragma once

#include <string>

#include "config/ipseckey/print.h"

namespace adit::config::ipseckey {

struct Printer {
  const crypto::AlgorithmTable& table;
  const KeyPrintOptions& options;
  SecretString out;

  [[nodiscard]] std::string algorithm(crypto::AlgProto proto, uint8_t number) const;
  [[nodiscard]] std::string time(uint64_t wall_seconds) const;

  void put_lifetimes(const sad::KeyMessage& message);
  void put_proposal(const sad::Proposal& proposal);
  void put_extended_proposal(const sad::ExtendedProposal& proposal);
  void put_supported(const std::vector<sad::SupportedAlgorithm>& list, bool encr);
};

// "(2.0 KiB) " after more than 1024 bytes, "(2 hours) " after more than 60 seconds; else nothing.
std::string byte_hint(uint64_t bytes);
std::string second_hint(uint64_t seconds);
void add_hex(SecretString& text, std::span<const uint8_t> bytes);
std::string algorithm_name(const crypto::AlgorithmTable& table, crypto::AlgProto proto, uint8_t number);

}  // namespace adit::config::ipseckey
