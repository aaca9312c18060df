// An error of a policy or key file names what it found there, and quotes it from the second line on. Who may not read
// the file hears where the error is.
#pragma once

#include <string>
#include <string_view>

namespace adit::protocol {

inline std::string without_quotes(const std::string& sentence) {
  constexpr std::string_view kWhat = ": error: ";
  const std::string line = sentence.substr(0, sentence.find('\n'));
  const size_t at = line.find(kWhat);
  return at == line.npos ? line : line.substr(0, at) + ": an error, which root is told";
}

}  // namespace adit::protocol
