// The whole policy of svc:/network/ipsec/policy as its files have it: ipsecinit.conf, then ipsecinit.d/*.conf, then
// ipsecinit.d/tunnels/NAME.conf, each in byte order of the names. Reads and checks, applies nothing: `ipsecconf -c` and
// a refresh are the same check.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/ipsecconf/ipsecconf.h"

namespace adit::config {

constexpr size_t kMaxTold = 200;  // errors of one set

struct PolicySet {
  std::vector<std::string> files;    // that were found, in the order in which they count
  std::vector<PolicyEntry> entries;  // of the global namespace; empty when there is an error
  std::vector<Problem> problems;     // of all files, in their order

  [[nodiscard]] bool ok() const { return count_errors(problems) == 0; }
  // SPD entries by head, the first to match first: priorities count down in each head by itself, so that a rule that
  // comes or goes moves no other head's.
  [[nodiscard]] std::map<std::string, std::vector<spd::Rule>> rules() const;
  // All errors, each with file, line, column and caret; the first kMaxTold of them and how many more there are.
  [[nodiscard]] std::string errors() const;
};

// The texts, in the order in which they count: what was read can be parsed again when a name resolves, whatever
// somebody writes into the files meanwhile.
struct PolicyFile {
  std::string path;
  std::optional<std::string> tunnel;  // ipsecinit.d/tunnels/NAME.conf
  std::string text;
  std::string problem;  // why there is no text; empty: there is
  bool is_file = true;  // false: the problem is a directory's
};
using PolicyFiles = std::vector<PolicyFile>;

PolicyFiles read_policy_files(const std::string& root);
PolicySet parse_policy_files(const PolicyFiles& files, const crypto::AlgorithmTable& table, const Resolver& resolver);

// Both. A file or directory that is not there is no error; one that leads nowhere, cannot be read, or that others may
// write, is. `root` goes in front of /etc/inet. Host names are looked up meanwhile.
PolicySet read_policy_set(const std::string& root, const crypto::AlgorithmTable& table, const Resolver& resolver);

}  // namespace adit::config
