// The listings: an aligned table, or -p -o FIELDS (colon-separated, backslash-escaped), or --json.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace adit::cli {

struct Column {
  std::string_view field;  // for -o; case does not matter. The header is its upper case
  unsigned width;          // left-justified; a longer value pushes the rest on; the last column is not padded
  std::string_view key;    // of the JSON row; empty: the field
  bool by_default = true;
  std::string_view unset = "--";  // shown for an empty value in a table (empty in -p)
};

struct TableOptions {
  bool parsable = false;  // -p
  bool header = true;     // -H turns it off
  bool json = false;      // --json: the rows as they came
  std::string fields;     // -o a,b,…; "all"
};

// EINVAL: an unknown field (named), or -p without -o.
Result<> print_table(std::ostream& out, const std::vector<Column>& columns, const nlohmann::json& rows,
                     const TableOptions& options);

}  // namespace adit::cli
