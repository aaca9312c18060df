// What is wrong with, or worth saying about, a text that an operator wrote: where it stands, the line itself, what was
// expected.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace adit::config {

enum class Severity : uint8_t { error, warning };

struct Problem {
  Severity severity = Severity::error;
  std::string file;
  uint32_t line = 0, column = 0;  // from 1; columns are bytes; 0: the file as a whole
  std::string text;               // what is wrong
  std::string expected;           // what would be right; may be empty
  std::string source;             // the line, without its end

  // FILE:LINE:COLUMN: error: text; expected
  //     the line
  //         ^
  // No newline at the end.
  [[nodiscard]] std::string str() const;
  // The first of those lines only.
  [[nodiscard]] std::string headline() const;
};

size_t count_errors(std::span<const Problem> problems);

}  // namespace adit::config
