// For tests: the known answers of tests/vectors/*.txt. Its README.md tells the format.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "crypto/transform.h"

namespace adit::crypto {

class VectorCase {
 public:
  void set(std::string field, std::string value) { fields_[std::move(field)] = std::move(value); }
  [[nodiscard]] bool empty() const { return fields_.empty(); }
  [[nodiscard]] bool has(const std::string& field) const { return fields_.contains(field); }
  [[nodiscard]] std::string text(const std::string& field) const { return has(field) ? fields_.at(field) : ""; }
  [[nodiscard]] uint64_t number(const std::string& field) const {
    return has(field) ? std::stoull(fields_.at(field)) : 0;
  }
  [[nodiscard]] std::vector<uint8_t> bytes(const std::string& field) const {
    const std::string digits = text(field);
    std::vector<uint8_t> result;
    for (size_t i = 0; i + 1 < digits.size(); i += 2) {
      result.push_back(static_cast<uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
    }
    return result;
  }
  [[nodiscard]] EncrAlg encr() const { return static_cast<EncrAlg>(find(AlgProto::esp, "encr")); }
  [[nodiscard]] AuthAlg auth() const { return static_cast<AuthAlg>(find(AlgProto::ah, "auth")); }

 private:
  [[nodiscard]] uint8_t find(AlgProto proto, const char* field) const {
    if (!has(field)) return 0;
    static const AlgorithmTable table = AlgorithmTable::builtin();
    const Algorithm* row = table.find(proto, text(field));
    EXPECT_NE(row, nullptr) << text(field);
    return row == nullptr ? 0 : row->number;
  }
  std::map<std::string, std::string> fields_;
};

inline std::vector<VectorCase> read_vectors(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::vector<VectorCase> cases;
  VectorCase current;
  const auto end_case = [&] {
    if (!current.empty()) cases.push_back(std::exchange(current, {}));
  };
  for (std::string line; std::getline(file, line);) {
    const size_t equals = line.find(" =");
    if (line.empty())
      end_case();
    else if (line[0] != '#' && equals != std::string::npos) {
      current.set(line.substr(0, equals), line.size() > equals + 3 ? line.substr(equals + 3) : "");
    }
  }
  end_case();
  return cases;
}

// Every case of every file that has this field; `source_dir` is ADIT_SOURCE_DIR.
inline std::vector<VectorCase> all_vectors(const std::string& source_dir, const std::string& field) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir + "/tests/vectors")) {
    if (entry.path().extension() == ".txt") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  std::vector<VectorCase> cases;
  for (const auto& path : paths) {
    for (VectorCase& c : read_vectors(path)) {
      if (c.has(field)) cases.push_back(std::move(c));
    }
  }
  return cases;
}

}  // namespace adit::crypto
