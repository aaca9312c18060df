// The form of a policy entry: '{' words '}' action '{' words '}' ( or action '{' words '}' )*. No meaning yet.
#pragma once

#include <optional>
#include <vector>

#include "config/ipsecconf/lexer.h"

namespace adit::config::ipsecconf {

struct Alternative {
  Token action;
  std::vector<Token> properties;
};

struct Entry {
  Token open;  // its first brace
  std::vector<Token> pattern;
  std::vector<Alternative> alternatives;
  size_t end = 0;  // offset behind its last brace
};

// Reads entry after entry; what is malformed is reported and skipped up to the next line that begins with a brace.
std::vector<Entry> read_entries(const std::vector<Token>& tokens, Report& report);

}  // namespace adit::config::ipsecconf
