// For tests: whether the model allows the steps that an engine logged (docs/model/README.md).
#pragma once

#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "source_dir.h"

namespace adit::engine {

inline std::string trace_file(const std::string& name) {
  return (std::filesystem::temp_directory_path() / fmt::format("adit-steps-{}-{}", ::getpid(), name)).string();
}

// The refused steps, a line each, "FILE:LINE: rule: why"; empty: all is allowed.
inline std::string refused_by_model(const std::vector<std::string>& files) {
  std::string command = "/usr/bin/python3 -I " ADIT_SOURCE_DIR "/tests/model/trace_checker.py";
  for (const std::string& file : files) command += " " + file;
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "the checker cannot be run";
  std::string text;
  std::array<char, 4096> part{};
  for (size_t got = 0; (got = std::fread(part.data(), 1, part.size(), pipe)) > 0;) text.append(part.data(), got);
  const int status = ::pclose(pipe);
  return status != 0 && text.empty() ? fmt::format("the checker ended with {}", status) : text;
}

}  // namespace adit::engine
