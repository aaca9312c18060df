// tests/vectors/pf_key: no released byte of PF_KEY changes its meaning.
#include <adit/pfkeyv2.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <set>

#include "base/testing/golden_file.h"
#include "config/ipseckey/print.h"
#include "protocol/pf_key/codec.h"
#include "server/pf_key_requests.h"
#include "server/testing/bare_key_access.h"

namespace adit::protocol {
namespace {

// As `ipseckey -n` prints it, which says every field.
std::string meaning_of(ByteSpan bytes, const crypto::AlgorithmTable& table) {
  const auto message = decode_key_message(bytes);
  if (message) return std::string(config::print_key_message(*message, table, {}));
  const auto header = read_key_header(bytes);
  if (header && header->error != 0)
    return fmt::format("type {} errno {} diagnostic {}", header->type, header->error, header->diagnostic);
  return fmt::format("refused: errno {} diagnostic {}", message.error().code,
                     static_cast<uint16_t>(message.error().diagnostic));
}

SecretBytes error_answer(const KeyHeader& header, const sad::KeyError& error) {
  sad::KeyMessage message;
  message.type = static_cast<sad::KeyMessageType>(header.type);
  message.satype = header.satype;
  message.error = static_cast<uint8_t>(error.code);
  message.diagnostic = static_cast<uint16_t>(error.diagnostic);
  message.seq = header.seq;
  message.pid = header.pid;
  return encode_key_message(message);
}

// What the sender of a request gets, as the server does it.
std::vector<SecretBytes> answers_to(ByteSpan bytes, KeySession& session, BareKeyAccess& access) {
  const auto header = read_key_header(bytes);
  auto message = decode_key_message(bytes);
  if (!message) return {error_answer(header.value_or(KeyHeader{}), message.error())};
  auto answers = answer_key_request(*message, session, access);
  if (!answers) return {error_answer(*header, answers.error())};
  std::vector<SecretBytes> told;
  for (const auto& answer : *answers) told.push_back(encode_key_message(answer.message));
  while (session.dump)
    for (const auto& one : next_dump_page(session, access.database, 8)) told.push_back(encode_key_message(one));
  access.keys_changed();
  return told;
}

// Blank lines of the print have no place in the file.
std::string lines_of(const std::string& text) {
  std::istringstream lines(text);
  std::string kept;
  for (std::string line; std::getline(lines, line);)
    if (line.find_first_not_of(' ') != std::string::npos) kept += (kept.empty() ? "" : "\n") + line;
  return kept;
}

class KeyGolden : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);  // the print shows times
    ::tzset();
    access.rule.emplace();
    access.rule->index = 1;
    access.rule->mode = spd::Mode::tunnel;
    access.rule->selector.remote = *net::Prefix::parse("10.0.1.0/24");
    spd::Action gcm, ah;
    gcm.verb = ah.verb = spd::Verb::ipsec;
    gcm.encr = spd::Cipher{crypto::EncrAlg::aes_gcm16, {256, 256}};
    ah.ah = spd::Integrity{crypto::AuthAlg::hmac_sha256, {256, 256}};
    access.rule->actions = {gcm, ah};
  }
  void expect_as_written(const GoldenMessage& golden) {
    EXPECT_EQ(as_golden(golden.bytes, lines_of(meaning_of(golden.bytes, access.table))),
              as_golden(golden.bytes, golden.meaning))
        << golden.title;
    const auto message = decode_key_message(golden.bytes);
    if (message) EXPECT_EQ(as_golden(encode_key_message(*message), ""), as_golden(golden.bytes, "")) << golden.title;
  }

  BareKeyAccess access;
  KeySession session;
};

TEST_F(KeyGolden, Conversation) {
  const auto conversation = read_golden("pf_key/conversation.txt");
  EXPECT_GE(conversation.size(), 40u);
  std::vector<SecretBytes> answers;
  for (const auto& golden : conversation) {
    expect_as_written(golden);
    if (golden.mark == "<") {
      ASSERT_FALSE(answers.empty()) << golden.title;
      EXPECT_EQ(as_golden(answers.front(), ""), as_golden(golden.bytes, "")) << golden.title;
      answers.erase(answers.begin());
    } else {
      EXPECT_TRUE(answers.empty()) << "an answer is not written, before " << golden.title;
      answers = answers_to(golden.bytes, session, access);
    }
  }
  EXPECT_TRUE(answers.empty());
}

// What the engine sends by itself: ACQUIRE in both forms, EXPIRE.
TEST_F(KeyGolden, WhatComesUnasked) {
  const auto messages = read_golden("pf_key/unasked.txt");
  EXPECT_EQ(messages.size(), 4u);
  for (const auto& golden : messages) expect_as_written(golden);
}

TEST_F(KeyGolden, NothingIsLeftOut) {
  std::set<int> types;
  for (const char* name : {"pf_key/conversation.txt", "pf_key/unasked.txt"})
    for (const auto& golden : read_golden(name)) types.insert(golden.bytes.at(1));
  for (int type = SADB_GETSPI; type <= sad::kLastKeyMessageType; ++type) EXPECT_TRUE(types.contains(type)) << type;
}

}  // namespace
}  // namespace adit::protocol
