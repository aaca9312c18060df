// PF_KEY messages as text: what dump, get and monitor print (pf_key.md §3.2), and what save writes.
#pragma once

#include <optional>
#include <string>

#include "base/secret_bytes.h"
#include "config/source/resolver.h"
#include "crypto/algorithm.h"
#include "protocol/pf_key/message.h"

namespace adit::config {

struct KeyPrintOptions {
  bool hide_keys = false;              // -p
  bool verbose = false;                // -v: numbers too
  uint64_t now = 0;                    // wall seconds, for how long ago and how long yet; 0: unknown
  const Resolver* resolver = nullptr;  // null: -n, numbers instead of names
  std::optional<uint64_t> timestamp;   // monitor: printed first
};

SecretString print_key_message(const sad::KeyMessage& message, const crypto::AlgorithmTable& table,
                               const KeyPrintOptions& options);

// `save`: a header comment, and for each SA `# begin assoc`, its add command, `# end assoc`. Holds keys.
std::string save_header();
SecretString save_association(const sad::KeyMessage& message, const crypto::AlgorithmTable& table);

// "ESP", "AH", or the number.
std::string satype_name(uint8_t satype);

}  // namespace adit::config
