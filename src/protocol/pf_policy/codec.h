// PF_POLICY messages as bytes: bounds first, then form; meaning is the session's. Pure. Any bytes are safe.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "protocol/pf_policy/message.h"

namespace adit::protocol {

constexpr size_t kPolicyHeaderBytes = 16;

// The header alone, for error answers. nullopt: fewer than 16 bytes.
std::optional<PolicyHeader> read_policy_header(ByteSpan bytes);
// Whether the sender reads sentences, found even in a message that is otherwise malformed.
bool asks_for_text(ByteSpan bytes);

// EMSGSIZE: not exactly as long as it says. EINVAL with the diagnostic: version, command, spdid, unknown or duplicate
// or malformed extension, its length, mixed families.
PolicyResult<PolicyMessage> decode_policy(ByteSpan bytes);

// Always well-formed; header.words is filled in. Texts are cut to what fits a message.
std::vector<uint8_t> encode_policy(const PolicyMessage& message);

// The question's bytes as its answer, with the index and generation given put into its RULE and TRANSACTION, if it has
// them, and a text that is not empty in the place of its DIAGNOSTIC, at the end.
struct PolicyEcho {
  std::optional<uint64_t> index, generation;
  std::string text;
};
std::vector<uint8_t> echo_policy(ByteSpan request, const PolicyEcho& more);

}  // namespace adit::protocol
