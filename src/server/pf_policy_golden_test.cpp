// tests/vectors/pf_policy: no released byte of PF_POLICY changes its meaning.
#include <adit/pfpolicy.h>
#include <gtest/gtest.h>

#include <set>

#include "base/testing/golden_file.h"
#include "protocol/pf_policy/codec.h"
#include "server/pf_policy_session.h"
#include "server/testing/fake_policy_access.h"

namespace adit::protocol {
namespace {

constexpr const char* kCommands[] = {"RESERVED", "FLUSH", "ADDRULE", "DELETERULE", "FLIP",      "LOOKUP",
                                     "DUMP",     "CLONE", "ALGLIST", "DUMPALGS",   "UPDATEALGS"};

std::string header_text(const PolicyHeader& header) {
  const std::string command = header.type <= SPD_MAX ? kCommands[header.type] : std::to_string(header.type);
  const std::string spdid = header.spdid == SPD_ACTIVE    ? "active"
                            : header.spdid == SPD_STANDBY ? "standby"
                                                          : std::to_string(header.spdid);
  std::string text = fmt::format("{} {} seq {} pid {}", command, spdid, header.seq, header.pid);
  if (header.error != 0) text += fmt::format(" errno {} diagnostic {}", header.error, header.diagnostic);
  return text;
}

std::string selector_text(const spd::Selector& selector) {
  std::string text;
  if (selector.protocol) text += fmt::format("\nPROTO {}", *selector.protocol);
  if (selector.local_port) text += fmt::format("\nLCLPORT {}", *selector.local_port);
  if (selector.remote_port) text += fmt::format("\nREMPORT {}", *selector.remote_port);
  if (selector.remote) text += fmt::format("\nREMADDR {}", selector.remote->str());
  if (selector.local) text += fmt::format("\nLCLADDR {}", selector.local->str());
  if (const auto& icmp = selector.icmp)
    text += fmt::format("\nICMP_TYPECODE {}-{} {}-{}", icmp->type, icmp->type_end, icmp->code, icmp->code_end);
  return text;
}

std::string actions_text(const PolicyActions& actions) {
  std::string text = fmt::format("\nACTION count {}", actions.count);
  for (const auto& attribute : actions.attributes) {
    text += fmt::format(" {:#x}:{}", attribute.tag, attribute.value);
    if (!attribute.name.empty()) text += "'" + attribute.name + "'";
  }
  return text;
}

std::string meaning(const PolicyMessage& message) {
  std::string text = header_text(message.header);
  if (message.ruleset)
    text += fmt::format("\nRULESET count {} version {}", message.ruleset->count, message.ruleset->version);
  if (message.rule)
    text += fmt::format("\nRULE priority {:#x} flags {} index {}", message.rule->priority, message.rule->flags,
                        message.rule->index);
  if (message.tunnel) text += fmt::format("\nTUN_NAME '{}'", *message.tunnel);
  text += selector_text(message.selector);
  if (message.actions) text += actions_text(*message.actions);
  if (message.name_space)
    text += fmt::format("\nNAMESPACE flags {} '{}'", message.name_space->flags, message.name_space->name);
  if (message.origin) text += fmt::format("\nORIGIN '{}' line {}", message.origin->file, message.origin->line);
  if (const auto& how = message.transaction)
    text += fmt::format("\nTRANSACTION flags {} generation {} confirm {}", how->flags, how->generation,
                        how->confirm_seconds);
  if (message.text) text += fmt::format("\nDIAGNOSTIC '{}'", *message.text);
  return text;
}

std::string meaning_of(ByteSpan bytes) {
  const auto message = decode_policy(bytes);
  if (message) return meaning(*message);
  const auto header = read_policy_header(bytes);
  if (header && header->error != 0) return header_text(*header);  // it repeats what was wrong
  return fmt::format("refused: errno {} diagnostic {}", message.error().code, message.error().diagnostic);
}

// `ours`: in our own order of extensions. The answer to one that is not repeats its order.
void expect_as_written(const GoldenMessage& golden, bool ours) {
  EXPECT_EQ(as_golden(golden.bytes, meaning_of(golden.bytes)), as_golden(golden.bytes, golden.meaning)) << golden.title;
  const auto message = decode_policy(golden.bytes);
  if (!message || !ours) return;
  EXPECT_EQ(as_golden(encode_policy(*message), ""), as_golden(golden.bytes, "")) << golden.title;
}

void replay(const std::string& name, size_t least) {
  const auto conversation = read_golden(name);
  EXPECT_GE(conversation.size(), least);
  FakePolicyAccess access;
  PolicySession session(access, {.uid = 0});
  std::vector<std::vector<uint8_t>> answers;
  std::string last;
  bool ours = true;
  for (const auto& golden : conversation) {
    if (golden.mark != "<") ours = golden.mark == ">";
    expect_as_written(golden, ours);
    if (golden.mark == "<") {
      ASSERT_FALSE(answers.empty()) << golden.title;
      EXPECT_EQ(as_golden(answers.front(), ""), as_golden(golden.bytes, "")) << golden.title;
      answers.erase(answers.begin());
      continue;
    }
    EXPECT_TRUE(answers.empty()) << "more answers to " << last << " than are written, the next:\n"
                                 << as_golden(answers.front(), meaning_of(answers.front()));
    answers.clear();
    last = golden.title;
    for (session.handle(golden.bytes); session.pending(); session.pop())
      answers.emplace_back(session.front().begin(), session.front().end());
  }
  EXPECT_TRUE(answers.empty()) << as_golden(answers.front(), meaning_of(answers.front()));
}

TEST(PolicyGolden, Rules) {
  replay("pf_policy/rules.txt", 30);
}
TEST(PolicyGolden, Transactions) {
  replay("pf_policy/transactions.txt", 15);
}
TEST(PolicyGolden, Algorithms) {
  replay("pf_policy/algorithms.txt", 5);
}
TEST(PolicyGolden, Errors) {
  replay("pf_policy/errors.txt", 40);
}

// Every command is asked and answered somewhere, every extension is in a message, and every diagnostic that a message
// can cause is in an error.
TEST(PolicyGolden, NothingIsLeftOut) {
  std::set<int> asked, answered, extensions, diagnostics;
  for (const char* name : {"rules", "transactions", "algorithms", "errors"}) {
    for (const auto& golden : read_golden(fmt::format("pf_policy/{}.txt", name))) {
      const auto header = read_policy_header(golden.bytes);
      if (!header) continue;
      (golden.mark == "<" ? answered : asked).insert(header->type);
      if (golden.mark == "<") diagnostics.insert(header->diagnostic);
      for (size_t at = kPolicyHeaderBytes; at + 4 <= golden.bytes.size() && golden.bytes[at] != 0;
           at += golden.bytes[at] * 8)
        extensions.insert(golden.bytes[at + 2]);
    }
  }
  for (int command = SPD_MIN; command <= SPD_MAX; ++command) {
    EXPECT_TRUE(asked.contains(command)) << command;
    EXPECT_TRUE(command == SPD_DUMPALGS || answered.contains(command)) << command;  // its answer is an ALGLIST
  }
  for (int extension = 1; extension <= SPD_EXT_MAX; ++extension)
    EXPECT_TRUE(extensions.contains(extension)) << extension;
  // No memory and no such module do not happen here; others' tunnels and limits need an engine.
  const std::set<int> elsewhere = {SPD_DIAGNOSTIC_ADD_NO_MEM, SPD_DIAGNOSTIC_NOT_LOADED, SPD_DIAGNOSTIC_LIMIT};
  for (int diagnostic = 0; diagnostic <= SPD_DIAGNOSTIC_BAD_VERSION; ++diagnostic)
    EXPECT_TRUE(diagnostics.contains(diagnostic) || elsewhere.contains(diagnostic)) << diagnostic;
}

}  // namespace
}  // namespace adit::protocol
