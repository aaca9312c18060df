// PF_POLICY messages as values (include/adit/pfpolicy.h says the bytes; pf_policy.md the facts).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "spd/rule.h"

namespace adit::protocol {

enum class PolicyCommand : uint8_t {
  flush = 1,
  add_rule = 2,
  delete_rule = 3,
  flip = 4,
  lookup = 5,
  dump = 6,
  clone = 7,
  alg_list = 8,
  dump_algs = 9,
  update_algs = 10
};

struct PolicyHeader {
  uint8_t version = 1, type = 0, error = 0, spdid = 0;
  uint16_t words = 0, diagnostic = 0;
  uint32_t seq = 0, pid = 0;
};

struct PolicyAttribute {
  uint32_t tag = 0, value = 0;
  std::string name;  // of SPD_ATTR_ALG_MECHNAME only
  friend bool operator==(const PolicyAttribute&, const PolicyAttribute&) = default;
};
struct PolicyActions {  // SPD_EXT_ACTION
  uint16_t count = 0;
  std::vector<PolicyAttribute> attributes;
};
struct PolicyRuleExt {
  uint32_t priority = 0, flags = 0;
  uint64_t index = 0;
};
struct PolicyRulesetExt {
  uint32_t count = 0;
  uint64_t version = 0;
};
struct PolicyNamespaceExt {
  uint32_t flags = 0;
  std::string name;
};
struct PolicyTransactionExt {
  uint32_t flags = 0;
  uint64_t generation = 0;
  uint32_t confirm_seconds = 0;
};

struct PolicyMessage {
  PolicyHeader header;
  std::optional<PolicyRuleExt> rule;
  std::optional<PolicyRulesetExt> ruleset;
  spd::Selector selector;
  std::optional<PolicyActions> actions;
  std::optional<std::string> tunnel;  // empty: all heads
  std::optional<PolicyNamespaceExt> name_space;
  std::optional<spd::Origin> origin;
  std::optional<std::string> text;  // SPD_EXT_DIAGNOSTIC
  std::optional<PolicyTransactionExt> transaction;
};

// Why a request is refused: errno and diagnostic for the wire, a sentence for who reads them.
struct PolicyRefusal {
  int code = EINVAL;
  uint16_t diagnostic = 0;
  std::string text;
};
template <typename T = void>
using PolicyResult = std::expected<T, PolicyRefusal>;

inline std::unexpected<PolicyRefusal> refuse(int code, uint16_t diagnostic, std::string text) {
  return std::unexpected(PolicyRefusal{code, diagnostic, std::move(text)});
}

// The reference's sentence for a diagnostic, in our words.
std::string_view diagnostic_text(uint16_t diagnostic);

}  // namespace adit::protocol
