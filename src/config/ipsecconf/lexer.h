// A policy text as braces and words, each with its place. Part of the ipsecconf parser.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/source/problem.h"

namespace adit::config::ipsecconf {

enum class TokenKind : uint8_t { open, close, word, end };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;
  uint32_t line = 0, column = 0;  // from 1
  size_t offset = 0;              // in the whole text
};

// The text in lines, and where to put what is wrong with it. The text outlives it.
class Report {
 public:
  Report(std::string file, std::string_view text);

  void error(uint32_t line, uint32_t column, std::string text, std::string expected = "");
  void error(const Token& at, std::string text, std::string expected = "");
  void warning(const Token& at, std::string text, std::string expected = "");

  [[nodiscard]] bool full() const { return errors_ >= limit_; }  // enough has been told
  [[nodiscard]] size_t errors() const { return errors_; }
  [[nodiscard]] std::string_view line(uint32_t number) const;
  [[nodiscard]] const std::string& file() const { return file_; }
  std::vector<Problem> take();  // in the order of the text

 private:
  void add(Severity severity, uint32_t line, uint32_t column, std::string text, std::string expected);
  std::string file_;
  std::string_view text_;
  std::vector<size_t> starts_;
  std::vector<Problem> problems_;
  size_t errors_ = 0;
  size_t limit_;
};

// All tokens, the last of kind end. Reports bytes that no text has and lines that are too long; then the list is empty.
std::vector<Token> tokenize(std::string_view text, Report& report);

}  // namespace adit::config::ipsecconf
