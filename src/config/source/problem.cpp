#include "config/source/problem.h"

#include <algorithm>

#include <fmt/format.h>

namespace adit::config {
namespace {

// Spaces and tabs up to the column, so that the caret stands under it however wide a tab is.
std::string caret_line(std::string_view source, uint32_t column) {
  std::string line;
  for (size_t at = 0; at + 1 < column && at < source.size(); ++at) {
    const auto byte = static_cast<unsigned char>(source[at]);
    if (byte >= 0x80 && byte < 0xc0) continue;  // the rest of a UTF-8 character takes no column
    line += byte == '\t' ? '\t' : ' ';
  }
  return line + '^';
}

}  // namespace

std::string Problem::headline() const {
  std::string place = file;
  if (line > 0) place += fmt::format(":{}", line);
  if (line > 0 && column > 0) place += fmt::format(":{}", column);
  return fmt::format("{}: {}: {}{}{}", place, severity == Severity::error ? "error" : "warning", text,
                     expected.empty() ? "" : "; ", expected);
}

std::string Problem::str() const {
  if (source.empty() || column == 0) return headline();
  return fmt::format("{}\n    {}\n    {}", headline(), source, caret_line(source, column));
}

size_t count_errors(std::span<const Problem> problems) {
  return static_cast<size_t>(std::ranges::count(problems, Severity::error, &Problem::severity));
}

}  // namespace adit::config
