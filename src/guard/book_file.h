// A book on disk: a journal of lines of which the last about a network counts. A change is one append; the file is
// rewritten when most of its lines are old.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/store.h"
#include "guard/book.h"

namespace adit::guard {

// The last line about each network and interface, gone ones too.
struct Lines {
  std::map<net::Prefix, Line> networks;
  std::map<std::string, Line> interfaces;
  [[nodiscard]] uint64_t generation() const;  // the highest
  // Of two lines about the same thing the newer counts; of equal age the one that is not gone.
  void take(const Line& line);
  [[nodiscard]] Book book() const;
};
Lines lines_of(const Book& book);  // each with the book's generation

class BookFile {
 public:
  // `point` names the crash points of its writes.
  BookFile(std::string path, Lasting lasting, std::string point)
      : path_(std::move(path)), lasting_(lasting), point_(std::move(point)) {}

  // nullopt: there is none, or it is empty. A last line that is cut is not counted: its change never took effect.
  // EINVAL: another line is broken, or it is no book; the text names path and line. Other codes as the system gave
  // them.
  Result<std::optional<Lines>> load();
  // Of a file that load() refuses, every line that can be read. For closing: what the others said nobody knows.
  [[nodiscard]] Lines readable() const;
  // Appends; on failure the file is as it was. A file that is gone, or is not as this left it, is written anew.
  // `whole`: gives the book with these changes; asked when the file is rewritten, which is when most of its lines are
  // old.
  Result<> append(const std::vector<Line>& lines, const std::function<const Book&()>& whole);
  // The last append, which another file refused, never was. A file that was written anew for it says nothing of what
  // it no longer has, and is written anew once more by the next.
  void take_back();
  Result<> rewrite(const Book& whole);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Result<> add_text(const std::string& text);
  void know_file();

  std::string path_;
  Lasting lasting_;
  std::string point_;
  bool there_ = false;     // with a header, and whole
  size_t lines_ = 0;       // in the file
  off_t size_ = 0;         // as this left it
  off_t size_before_ = 0;  // the last append; 0: there was none
  size_t lines_before_ = 0;
  ino_t inode_ = 0;
  size_t living_ = 0;  // when it was last rewritten or loaded
};

}  // namespace adit::guard
