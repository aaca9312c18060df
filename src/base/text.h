// Lists in a text: taken apart, put together.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace adit {

// The parts between the separators, empty ones too; an empty text is one empty part. They point into `text`.
inline std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// text_of: a word as text; what the range holds is one already if it is left out.
template <typename Range, typename TextOf = std::identity>
std::string joined(const Range& words, std::string_view separator, TextOf text_of = {}) {
  std::string text;
  for (const auto& word : words) {
    if (!text.empty()) text += separator;
    text += std::invoke(text_of, word);
  }
  return text;
}

}  // namespace adit
