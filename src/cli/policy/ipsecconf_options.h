// What ipsecconf(8) was asked to do.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

namespace adit::cli {

enum class PolicyAct : uint8_t {
  view,
  add,
  replace,
  check,
  check_files,
  diff,
  remove_index,
  remove_file,
  flush,
  list,
  confirm,
  undo
};

struct PolicyOptions {
  PolicyAct act = PolicyAct::view;
  std::string file;                   // -a -c -r; "-": standard input
  std::optional<std::string> tunnel;  // -i, -d tunnel,index
  bool all_heads = false;             // -L, -F
  uint64_t index = 0;
  uint32_t confirm_seconds = 0;           // --confirm; 0: it stands
  std::optional<std::string> name_space;  // -N
  std::string fields;                     // -o
  bool parsable = false;                  // -p
  bool numbers = false, quiet = false, json = false, verbose = false, override_others = false, help = false;

  // nullopt: every head.
  [[nodiscard]] std::optional<std::string> head() const {
    return all_heads ? std::nullopt : std::optional(tunnel.value_or(""));
  }
};

extern const char* const kIpsecconfUsage;

// EINVAL: ipsecconf's sentence for a usage error.
Result<PolicyOptions> parse_policy_options(std::span<const std::string> args);

}  // namespace adit::cli
