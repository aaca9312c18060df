// The text of a journal that changes are appended to: a first line that says whose it is and its version, then groups.
// What belongs together is one group, closed by a line with its checksum: a cut one never took effect.
#pragma once

#include <string>
#include <string_view>

namespace adit {

class JournalGroups {
 public:
  // `owner`: whose journals these are ("links").
  JournalGroups(std::string_view owner, std::string_view version);
  [[nodiscard]] const std::string& first_line() const { return first_line_; }
  // A first line that is cut says nothing, and none is of no other version: nobody wrote one without it.
  [[nodiscard]] bool is_of_another_version(std::string_view journal) const;

  // With its closing line. Lines of `group` end with a line feed.
  static std::string closed(std::string_view group);
  // The next one, which is taken off `rest`; empty: there is no whole one. `fits`: its checksum does.
  static std::string_view next(std::string_view& rest, bool& fits);

 private:
  std::string begin_, first_line_;
};

}  // namespace adit
