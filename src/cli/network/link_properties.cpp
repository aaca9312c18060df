#include "cli/network/link_properties.h"

#include <algorithm>

#include "config/ipsecconf/policy_file.h"

namespace adit::cli {
namespace {

// "prop=" begins here.
bool begins_assignment(std::string_view text) {
  const size_t equals = text.find('=');
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  return equals != text.npos && equals > 0 && std::ranges::all_of(text.substr(0, equals), letter);
}

// At the commas outside of braces after which another property begins.
std::vector<std::string> assignments_in(const std::string& list) {
  std::vector<std::string> items;
  size_t start = 0;
  int depth = 0;
  for (size_t at = 0; at < list.size(); ++at) {
    depth += list[at] == '{' ? 1 : list[at] == '}' ? -1 : 0;
    if (list[at] != ',' || depth > 0 || !begins_assignment(std::string_view(list).substr(at + 1))) continue;
    items.push_back(list.substr(start, at - start));
    start = at + 1;
  }
  items.push_back(list.substr(start));
  return items;
}

Result<> read_policy(std::string& value, std::string& source) {
  const size_t first = value.find_first_not_of(" \t\r\n");
  if (first == value.npos || value[first] == '{') return {};
  if (value[first] != '/')
    return fail(EINVAL,
                "invalid value: ipsec must be a policy, which begins with '{{', or the absolute path of a file "
                "with one, not '{}'",
                value);
  source = value.substr(first);
  TRY_ASSIGN(value, config::read_trusted_policy_file(source));
  return {};
}

}  // namespace

Result<LinkAssignments> read_link_assignments(const std::vector<std::string>& lists) {
  LinkAssignments all;
  for (const std::string& list : lists) {
    for (const std::string& item : assignments_in(list)) {
      const size_t equals = item.find('=');
      if (equals == std::string::npos || equals == 0)
        return fail(EINVAL, "invalid property: '{}' is not PROP=VALUE", item);
      const std::string name = item.substr(0, equals);
      std::string value = item.substr(equals + 1);
      if (name == "ipsec") TRY(read_policy(value, all.ipsec_source));
      if (all.properties.contains(name)) return fail(EINVAL, "invalid property: {} is given twice", name);
      all.properties[name] = value;
    }
  }
  return all;
}

}  // namespace adit::cli
