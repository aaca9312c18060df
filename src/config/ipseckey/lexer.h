// An ipseckey text as commands of words, each with its place. Words may be keys: they are wiped when they go, and
// shown() is the text with everything that looks like one starred out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret_bytes.h"
#include "config/source/problem.h"

namespace adit::config::ipseckey {

bool is_binary(char c);  // no text holds it

struct Word {
  SecretString text;
  uint32_t line = 0, column = 0;  // from 1
  size_t offset = 0, length = 0;  // in the text, quotes included
};

using Words = std::vector<Word>;  // one command

class Lexer {
 public:
  // `text` outlives the lexer.
  Lexer(std::string_view text, std::string file);

  // The next command that has words; false: the end. Problems (a quote without end, bytes that are no text) are in
  // problems(), and their commands are left out.
  bool next(Words& words);

  [[nodiscard]] std::vector<Problem>& problems() { return problems_; }
  // The line, keys starred out.
  [[nodiscard]] std::string shown(uint32_t line) const;

 private:
  bool read_word(Word& word);
  bool skip_blanks();  // false: the command ends here
  void problem(uint32_t line, size_t line_start, size_t offset, std::string text, std::string expected);
  void star_keys();

  std::string_view text_;
  std::string file_;
  std::string shown_;
  size_t at_ = 0, line_start_ = 0;
  uint32_t line_ = 1;
  bool bad_ = false;
  std::vector<Problem> problems_;
  std::vector<size_t> line_starts_;
};

// Does the word look like a key: eight bytes or more of hexadecimal digits?
bool looks_like_key(std::string_view word);

}  // namespace adit::config::ipseckey
