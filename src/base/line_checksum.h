// For lines of journals: against a cut or a slip, not against malice (the files are root's). FNV-1a.
#pragma once

#include <cstdint>
#include <string_view>

namespace adit {

inline uint32_t line_checksum(std::string_view text) {
  uint32_t sum = 2166136261u;
  for (const char c : text) sum = (sum ^ static_cast<uint8_t>(c)) * 16777619u;
  return sum;
}

}  // namespace adit
