#include "config/ipsecalgs/ipsecalgs_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace adit::config {
namespace {

using crypto::AlgProto;
using ::testing::HasSubstr;

TEST(AlgorithmFile, TheBuiltinTableSurvivesTheFile) {
  const AlgorithmText builtin = builtin_algorithms();
  const std::string text = write_algorithms(builtin);
  EXPECT_THAT(text, HasSubstr("PROTO|3|PROTO_IPSEC_ESP|sync\n"));
  EXPECT_THAT(text, HasSubstr("ALG|3|12|aes-cbc,aes|CKM_AES_CBC|128/128-256,64|16||1\n"));
  EXPECT_THAT(text, HasSubstr("ALG|2|5|hmac-sha256,sha256,sha-256,hmac-sha-256|CKM_SHA256_HMAC_GENERAL|256|16||1\n"));
  const AlgorithmText again = parse_algorithms(text, "ipsecalgs");
  for (const Problem& problem : again.problems) ADD_FAILURE() << problem.str();
  EXPECT_EQ(write_algorithms(again), text);
}

TEST(AlgorithmFile, WhatItLacksIsGone) {
  const AlgorithmText text = parse_algorithms("# mine\nALG|3|12|aes|CKM_AES_CBC|256/192-256,64|16\n", "ipsecalgs");
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text.table.find(AlgProto::esp, 2), nullptr);
  const auto* aes = text.table.find(AlgProto::esp, "aes");
  ASSERT_NE(aes, nullptr);
  EXPECT_EQ(aes->min_bits, 192);
  EXPECT_EQ(aes->default_bits, 256);
  EXPECT_EQ(aes->iv_bytes, 16);                                   // the engine's facts stay
  EXPECT_EQ(text.table.find(AlgProto::esp, "aes-cbc"), nullptr);  // renamed
  EXPECT_NE(text.table.find(AlgProto::ah, "any"), nullptr);
}

TEST(AlgorithmFile, AListOfKeySizesIsARangeWithAStep) {
  crypto::Algorithm row{};
  ASSERT_TRUE(read_key_sizes("128,192,256", row).has_value());
  EXPECT_EQ(key_sizes(row), "128/128-256,64");
  for (const std::string_view bad :
       {"x", "128-", "128-256", "256-128,64", "128,256,512", "64/128-256,64", "128,", "-1"}) {
    crypto::Algorithm other{};
    EXPECT_FALSE(read_key_sizes(bad, other).has_value()) << bad;
  }
}

TEST(AlgorithmFile, ErrorsNameTheLine) {
  const AlgorithmText text = parse_algorithms(
      "ALG|3|12|aes|CKM_AES_CBC|128-512,64|16\n\nALG|9|1|x|y|1|1\nHELLO\nALG|3|12\nPROTO|3|X|fast\n", "f");
  std::vector<uint32_t> lines;
  for (const Problem& problem : text.problems) lines.push_back(problem.line);
  EXPECT_THAT(lines, ::testing::ElementsAre(1, 3, 4, 5, 6));
  EXPECT_FALSE(text.ok());
  EXPECT_THAT(text.problems.front().text, HasSubstr("128 to 256 bits"));
}

TEST(AlgorithmFile, AnUnknownCipherIsLeftOutWithAWarning) {
  const AlgorithmText text = parse_algorithms("ALG|3|200|rot13|CKM_ROT13|8|1\n", "f");
  EXPECT_TRUE(text.ok());
  ASSERT_EQ(text.problems.size(), 1u);
  EXPECT_EQ(text.problems.front().severity, Severity::warning);
}

}  // namespace
}  // namespace adit::config
