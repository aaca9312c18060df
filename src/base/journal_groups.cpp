#include "base/journal_groups.h"

#include <fmt/format.h>

#include "base/line_checksum.h"

namespace adit {
namespace {

constexpr std::string_view kEnd = "# end ";

}  // namespace

JournalGroups::JournalGroups(std::string_view owner, std::string_view version)
    : begin_(fmt::format("# adit {} journal ", owner)), first_line_(fmt::format("{}{}\n", begin_, version)) {}

bool JournalGroups::is_of_another_version(std::string_view journal) const {
  if (!journal.starts_with(begin_)) return false;
  const size_t end = journal.find('\n');
  return end != journal.npos && journal.substr(0, end + 1) != first_line_;
}

std::string JournalGroups::closed(std::string_view group) {
  return fmt::format("{}{}{:08x}\n", group, kEnd, line_checksum(group));
}

std::string_view JournalGroups::next(std::string_view& rest, bool& fits) {
  size_t line = 0;
  while (line < rest.size()) {
    const size_t end = rest.find('\n', line);
    if (end == rest.npos) break;
    const std::string_view one = rest.substr(line, end - line);
    if (one.starts_with(kEnd)) {
      const std::string_view group = rest.substr(0, line);
      fits = one.substr(kEnd.size()) == fmt::format("{:08x}", line_checksum(group));
      rest.remove_prefix(end + 1);
      return group;
    }
    line = end + 1;
  }
  return {};
}

}  // namespace adit
