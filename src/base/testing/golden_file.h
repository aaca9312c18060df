// Golden message files (tests/vectors/pf_policy, pf_key): released bytes beside their meaning, as a conversation. A
// test replays it: what is asked must be read as it says and be written as it stands, and the answers must come as they
// stand.
//
//     > title          a request; with `>>` one that is not written in our own order of extensions
//     < title          an answer to the request above
//       01 02 00 00    its bytes
//     = meaning        what they say, for both directions
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "source_dir.h"

namespace adit::protocol {

struct GoldenMessage {
  std::string mark, title;  // mark: ">", ">>" or "<"
  std::vector<uint8_t> bytes;
  std::string meaning;
};

inline std::vector<GoldenMessage> read_golden(const std::string& name) {
  std::ifstream file(std::string(ADIT_SOURCE_DIR) + "/tests/vectors/" + name);
  EXPECT_TRUE(file.is_open()) << name;
  std::vector<GoldenMessage> messages;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('>') || line.starts_with('<')) {
      const size_t blank = line.find(' ');
      messages.push_back({line.substr(0, blank), line.substr(blank + 1), {}, {}});
    } else if (line.starts_with("  ") && !messages.empty()) {
      std::istringstream words(line);
      for (std::string word; words >> word;)
        messages.back().bytes.push_back(static_cast<uint8_t>(std::stoul(word, nullptr, 16)));
    } else if (line.starts_with("= ") && !messages.empty()) {
      messages.back().meaning += (messages.back().meaning.empty() ? "" : "\n") + line.substr(2);
    }
  }
  return messages;
}

// As the file has it: what a failed comparison prints, so that a new message can be written down from it.
inline std::string as_golden(std::span<const uint8_t> bytes, const std::string& meaning) {
  std::string text;
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (at % 16 == 0) text += at == 0 ? "  " : "\n  ";
    text += fmt::format("{}{:02x}", at % 16 == 0 ? "" : at % 8 == 0 ? "  " : " ", bytes[at]);
  }
  std::istringstream lines(meaning);
  for (std::string line; std::getline(lines, line);) text += "\n= " + line;
  return text;
}

}  // namespace adit::protocol
