#include "config/ipsecconf/lexer.h"

#include <algorithm>

#include <fmt/format.h>

#include "config/ipsecconf/policy_limits.h"

namespace adit::config::ipsecconf {
namespace {

constexpr size_t kShownLine = 200;  // of the source in a message

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}
bool is_binary(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == 0x7f || (byte < 0x20 && !is_space(c));
}
bool ends_word(char c) {
  return is_space(c) || c == '{' || c == '}' || c == '#';
}

}  // namespace

Report::Report(std::string file, std::string_view text) : file_(std::move(file)), text_(text), limit_(kMaxProblems) {
  starts_.push_back(0);
  for (size_t at = 0; at < text.size(); ++at)
    if (text[at] == '\n') starts_.push_back(at + 1);
}

std::string_view Report::line(uint32_t number) const {
  if (number == 0 || number > starts_.size()) return {};
  const size_t start = starts_[number - 1];
  std::string_view rest = text_.substr(start);
  rest = rest.substr(0, rest.find('\n'));
  if (!rest.empty() && rest.back() == '\r') rest.remove_suffix(1);
  return rest;
}

void Report::add(Severity severity, uint32_t line_number, uint32_t column, std::string text, std::string expected) {
  const std::string_view source = line(line_number);
  const bool shown = source.size() <= kShownLine && std::ranges::none_of(source, is_binary);
  problems_.push_back({severity, file_, line_number, column, std::move(text), std::move(expected),
                       shown ? std::string(source) : std::string()});
}

void Report::error(uint32_t line_number, uint32_t column, std::string text, std::string expected) {
  ++errors_;
  if (errors_ < limit_) add(Severity::error, line_number, column, std::move(text), std::move(expected));
  if (errors_ == limit_)
    add(Severity::error, line_number, column, "too many errors; what follows was not looked at", "");
}

void Report::error(const Token& at, std::string text, std::string expected) {
  error(at.line, at.column, std::move(text), std::move(expected));
}

void Report::warning(const Token& at, std::string text, std::string expected) {
  add(Severity::warning, at.line, at.column, std::move(text), std::move(expected));
}

std::vector<Problem> Report::take() {
  std::ranges::stable_sort(problems_, [](const Problem& a, const Problem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return std::move(problems_);
}

std::vector<Token> tokenize(std::string_view text, Report& report) {
  std::vector<Token> tokens;
  uint32_t line = 1;
  size_t line_start = 0;
  const auto column = [&](size_t at) { return static_cast<uint32_t>(at - line_start + 1); };
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (at - line_start > kMaxPolicyLine) {
      report.error(line, 0, fmt::format("line {} is longer than {} characters", line, kMaxPolicyLine),
                   "newlines are free between words: break it");
      return {};
    }
    if (is_binary(c)) {
      report.error(line, column(at),
                   fmt::format("byte 0x{:02x} on line {} is not text", static_cast<unsigned char>(c), line),
                   "a policy file holds { pattern } action { properties }; is this the right file?");
      return {};
    }
    if (c == '\n')
      ++line, line_start = ++at;
    else if (is_space(c))
      ++at;
    else if (c == '#')
      at = std::min(text.find('\n', at), text.size());
    else if (c == '{' || c == '}') {
      tokens.push_back({c == '{' ? TokenKind::open : TokenKind::close, text.substr(at, 1), line, column(at), at});
      ++at;
    } else {
      size_t end = at;
      while (end < text.size() && !ends_word(text[end]) && !is_binary(text[end]) && end - line_start <= kMaxPolicyLine)
        ++end;
      tokens.push_back({TokenKind::word, text.substr(at, end - at), line, column(at), at});
      at = end;
    }
  }
  tokens.push_back({TokenKind::end, {}, line, column(text.size()), text.size()});
  return tokens;
}

}  // namespace adit::config::ipsecconf
