#include "config/ipseckey/lexer.h"

#include <algorithm>

namespace adit::config::ipseckey {
namespace {
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}
constexpr bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
}  // namespace

bool is_binary(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && !is_blank(c) && c != '\n') || c == 0x7f;
}

// Also where the blank before it was forgotten.
bool looks_like_key(std::string_view word) {
  constexpr int kDigits = 16;
  return !std::ranges::search_n(word, kDigits, true, {}, is_hex).empty();
}

Lexer::Lexer(std::string_view text, std::string file) : text_(text), file_(std::move(file)), shown_(text) {
  line_starts_.push_back(0);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') line_starts_.push_back(i + 1);
  }
  star_keys();
}

// What follows a key field, up to the next blank, and whatever else looks like a key. A quoted or continued key is
// caught by looking at the word before, whatever lies between.
void Lexer::star_keys() {
  std::string_view before;
  for (size_t at = 0; at < text_.size();) {
    const char c = text_[at];
    if (is_blank(c) || c == '\n' || c == '"' || c == '\\') {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < text_.size() && !is_blank(text_[end]) && text_[end] != '\n' && text_[end] != '"' && text_[end] != '\\')
      ++end;
    const std::string_view word = text_.substr(at, end - at);
    if (before == "authkey" || before == "encrkey" || looks_like_key(word))
      std::fill(shown_.begin() + static_cast<ptrdiff_t>(at), shown_.begin() + static_cast<ptrdiff_t>(end), '*');
    before = word;
    at = end;
  }
}

std::string Lexer::shown(uint32_t line) const {
  if (line == 0 || line > line_starts_.size()) return {};
  const size_t start = line_starts_[line - 1];
  std::string source = shown_.substr(start, shown_.find('\n', start) - start);
  for (char& c : source) {
    if (is_binary(c) || c == '\r') c = '?';
  }
  constexpr size_t kShownBytes = 400;
  if (source.size() > kShownBytes) source.resize(kShownBytes);
  return source;
}

void Lexer::problem(uint32_t line, size_t line_start, size_t offset, std::string text, std::string expected) {
  bad_ = true;
  problems_.push_back({Severity::error, file_, line, static_cast<uint32_t>(offset - line_start + 1), std::move(text),
                       std::move(expected), shown(line)});
}

// Over blanks, comments and continued line ends.
bool Lexer::skip_blanks() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (is_blank(c)) {
      ++at_;
    } else if (c == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == '\\' && (text_.substr(at_ + 1).starts_with('\n') || text_.substr(at_ + 1).starts_with("\r\n"))) {
      at_ = text_.find('\n', at_) + 1;
      ++line_;
      line_start_ = at_;
    } else {
      return c != '\n';
    }
  }
  return false;
}

// Quoted and bare parts may touch: src"4" is one word.
bool Lexer::read_word(Word& word) {
  word.text.clear();
  word.line = line_;
  word.column = static_cast<uint32_t>(at_ - line_start_ + 1);
  word.offset = at_;
  bool quoted = false;
  const size_t word_line_start = line_start_;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '"') {
      quoted = !quoted;
    } else if (c == '\n' || (!quoted && (is_blank(c) || (c == '\\' && text_.substr(at_ + 1, 1) == "\n")))) {
      break;
    } else if (is_binary(c)) {
      problem(line_, line_start_, at_, "this is not text", "one command a line");
      at_ = std::min(text_.find('\n', at_), text_.size());
      return false;
    } else {
      word.text.push_back(c);
    }
  }
  word.length = at_ - word.offset;
  if (quoted)
    problem(word.line, word_line_start, word.offset, "the quoted text does not end on its line", "a second \"");
  return !quoted;
}

bool Lexer::next(Words& words) {
  while (at_ < text_.size()) {
    words.clear();
    bad_ = false;
    while (skip_blanks()) {
      Word word;
      if (read_word(word)) words.push_back(std::move(word));
    }
    if (at_ < text_.size()) {  // the line's end
      ++at_;
      ++line_;
      line_start_ = at_;
    }
    if (!bad_ && !words.empty()) return true;
  }
  words.clear();
  return false;
}

}  // namespace adit::config::ipseckey
