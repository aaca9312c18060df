// The options of one (sub)command, getopt style: -t, -o FIELDS, -oFIELDS, --long, --long=VALUE, bundled flags, -- ends
// them.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace adit::cli {

struct Option {
  char letter;                 // its key even when only the long form exists
  std::string_view long_name;  // without dashes; empty: none
  bool takes_value = false;
};

class Options {
 public:
  // EINVAL: "unrecognized option '-X'", "option '-X' requires a value". Operands may stand between options.
  static Result<Options> parse(std::span<const std::string> args, std::span<const Option> known);

  [[nodiscard]] bool has(char letter) const { return values_.contains(letter); }
  // The last value given; empty optional: not given.
  [[nodiscard]] std::optional<std::string> value(char letter) const;
  [[nodiscard]] std::vector<std::string> all(char letter) const;
  [[nodiscard]] const std::vector<std::string>& operands() const { return operands_; }

 private:
  std::map<char, std::vector<std::string>> values_;
  std::vector<std::string> operands_;
};

}  // namespace adit::cli
