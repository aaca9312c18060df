// The language of ipseckey(8) and of /etc/inet/secret/ipseckeys (pf_key.md §3): words -> PF_KEY messages. Pure but for
// the names it asks the Resolver for. No problem's text and no quoted line ever holds a key: key words are shown as
// stars.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/source/problem.h"
#include "config/source/resolver.h"
#include "crypto/algorithm.h"
#include "protocol/pf_key/message.h"
#include "sad/database.h"

namespace adit::config {

enum class KeyVerb : uint8_t {
  add,
  update,
  update_pair,
  del,
  delete_pair,
  get,
  flush,
  dump,
  save,
  monitor,
  passive_monitor,
  help,
  quit
};

struct KeyCommand {
  KeyVerb verb = KeyVerb::help;
  uint8_t satype = 0;                     // 0: all
  std::vector<sad::KeyMessage> messages;  // add … flush: what to send, one for each destination address
  std::string file;                       // save: where to; empty: standard output
  uint32_t line = 0;
};

struct KeySource {
  std::string file;        // for messages: a path, or "ipseckey" for words of a command line
  bool numeric = false;    // -n: no names of hosts
  std::string name_space;  // -N: carried by every message
};

struct KeyText {
  std::vector<KeyCommand> commands;  // those without error
  std::vector<Problem> problems;     // errors and warnings, in the order of the text
  size_t waiting = 0;                // commands left out, with a warning, because a name does not resolve

  [[nodiscard]] bool ok() const { return count_errors(problems) == 0; }
};

constexpr size_t kMaxKeyFileBytes = 64u << 20;  // 100,000 SAs in more words than they need

// A file: one command a line, # comments, backslash-newline continues, double quotes group. Goes on after an error.
KeyText parse_ipseckeys(std::string_view text, const KeySource& source, const crypto::AlgorithmTable& table,
                        const Resolver& resolver);
// One command given as words.
KeyText parse_ipseckey_words(std::span<const std::string> words, const KeySource& source,
                             const crypto::AlgorithmTable& table, const Resolver& resolver);

// For the manual-key service: the SAs that the file adds (a flush forgets those before it). EINVAL: an error of the
// text (the count; the problems tell each), or a command that is neither add nor flush. Takes the keys out of `text`.
Result<std::vector<sad::SaRequest>> associations_of(KeyText text, const crypto::AlgorithmTable& table);

}  // namespace adit::config
