// What follows -p of dladm: prop=value,prop=value, where a value in braces may hold commas.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace adit::cli {

struct LinkAssignments {
  nlohmann::json properties = nlohmann::json::object();  // name -> value
  std::string ipsec_source = "ipsec";                    // what errors call the text of ipsec
};

// Of all -p of one command. `ipsec=/path` is replaced by that file's text. EINVAL: no PROP=VALUE, or ipsec is neither a
// policy nor an absolute path; EPERM: others may write the file; other codes as the file gave them.
Result<LinkAssignments> read_link_assignments(const std::vector<std::string>& lists);

}  // namespace adit::cli
