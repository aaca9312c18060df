// /etc/inet/ipsecalgs, both ways (policy.md §5): which algorithms are there, by what names, with which key lengths.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/source/problem.h"
#include "crypto/algorithm.h"

namespace adit::config {

struct AlgorithmProtocol {
  uint8_t number = 0;  // 2 AH, 3 ESP
  std::string name;    // PROTO_IPSEC_AH
  bool async = false;  // kept, without effect: the packet path decides how it runs
};

struct AlgorithmText {
  std::vector<AlgorithmProtocol> protocols;
  crypto::AlgorithmTable table;   // the file's rows and no others, but for the rows of number 0
  std::vector<Problem> problems;  // errors: the table is not to be used; warnings: a row that no engine here knows

  [[nodiscard]] bool ok() const { return count_errors(problems) == 0; }
};

// The file that stands for the built-in table.
AlgorithmText builtin_algorithms();

AlgorithmText parse_algorithms(std::string_view text, const std::string& file);
std::string write_algorithms(const AlgorithmText& algorithms);

// A row may rename what the built-in table has, or narrow its key lengths. EINVAL: it is no algorithm of the built-in
// table, its keys are outside, or its names are none. The rest (IV, salt, ICV, weakness) is taken from the built-in
// row.
Result<crypto::Algorithm> fit_algorithm(crypto::Algorithm row);

// "128/128-256,64" or "160": default, range and increment; and back.
Result<> read_key_sizes(std::string_view text, crypto::Algorithm& row);
std::string key_sizes(const crypto::Algorithm& row);

}  // namespace adit::config
