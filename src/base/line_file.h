// A file of lines and its journal (links/files/link_file.h does the same of links): a change costs itself, whatever the
// number of lines. What changed stands in the journal when the call returns; the file takes it up when the journal
// grows, or when its owner has a moment. While lines are few there is no journal.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/store.h"

namespace adit {

class LineFile {
 public:
  using Lines = std::vector<std::string>;  // without line feeds
  struct Change {
    Lines gone, come;
  };

  // `point` names the crash points: POINT:… of the file, POINT.journal:… of the journal.
  LineFile(std::string path, Lasting lasting, std::string point);

  // The file's lines with what the journal changes: what goes, goes wherever it stands; what comes, comes last. Of the
  // journal a last change that is cut does not count, nor one that is damaged: `damaged` says that there was one.
  // EPROTONOSUPPORT: a journal of another version.
  Result<Lines> load(bool* damaged = nullptr);
  // All of it or nothing. `whole`: gives every line, with the change; asked when the file is written anew.
  Result<> change(const Change& change, const std::function<Result<Lines>()>& whole);
  Result<> write(const Lines& whole);
  [[nodiscard]] bool owes() const { return in_journal_ > 0; }  // the file is older than the journal
  // Somebody else wrote the file since it was loaded or written here.
  [[nodiscard]] bool touched() const;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void look();

  std::string path_, journal_;
  Lasting lasting_;
  std::string point_, journal_point_;
  size_t in_file_ = 0, in_journal_ = 0;
  bool journal_whole_ = true;
  std::optional<struct stat> seen_;
};

}  // namespace adit
