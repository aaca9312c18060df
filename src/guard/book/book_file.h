// A book on disk: a journal of lines of which the last about a network counts. A change is one append; the file is
// rewritten when most of its lines are old.
#pragma once

#include <sys/types.h>

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/store.h"
#include "guard/book/book.h"

namespace adit::guard {

// What one file says: the last line about each network and interface, gone ones too.
struct Lines {
  std::map<net::Prefix, Line> networks;
  std::map<std::string, Line> interfaces;
  uint64_t whole = 0;     // what has no line was gone by this generation; 0: of that the file says nothing
  bool temporary = true;  // of the holds of temporary tunnels too; else of those it says nothing

  [[nodiscard]] uint64_t generation() const;  // the highest
  // Of two lines about the same thing the newer counts; of equal age the one that closes.
  void take(const Line& line);
  [[nodiscard]] Book book() const;
};
// What files of one book say together. Of each network the newest word counts, and of equal age the one that closes:
// about the holds that last one of any file, about those of temporary tunnels one of a file that tells of them. Its
// generation: the highest.
Book book_of(const std::vector<Lines>& files);

class BookFile {
 public:
  // `point` names the crash points of its writes. One that lasts until the boot tells of temporary tunnels' holds too.
  BookFile(std::string path, Lasting lasting, std::string point)
      : path_(std::move(path)), lasting_(lasting), point_(std::move(point)) {}

  // nullopt: there is none, or it is empty. A last line that is cut is not counted: its change never took effect.
  // EINVAL: another line is broken, or it is no book; the text names path and line. Other codes as the system gave
  // them.
  Result<std::optional<Lines>> load();
  // Of a file that load() refuses, every line that can be read. For closing: what the others said nobody knows, and so
  // it is never whole.
  [[nodiscard]] Lines readable() const;
  // Appends; on failure the file says what it said. One that is gone, or is not as this left it, is written anew first,
  // as is one of which most lines are old. `before`: gives the whole book, with temporary holds, as it was without
  // these lines.
  Result<> append(const std::vector<Line>& lines, const std::function<const Book&()>& before);
  // The last append, which another file refused, never was.
  void take_back();
  Result<> rewrite(const Book& book);  // the whole one, with temporary holds
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Result<> add_text(const std::string& text);
  void know_file();

  std::string path_;
  Lasting lasting_;
  std::string point_;
  bool there_ = false;                      // with a header, and whole
  size_t lines_ = 0;                        // in the file
  off_t size_ = 0;                          // as this left it
  size_t last_bytes_ = 0, last_lines_ = 0;  // the last append; 0: there was none
  ino_t inode_ = 0;
  size_t living_ = 0;  // when it was last rewritten or loaded
};

// The files of one book, each with what the others have. On disk two, either of which is enough, and one until the
// boot.
struct BookFiles {
  BookFile disk, copy, run;
  BookFiles(const std::string& on_disk, const std::string& until_boot)
      : disk(on_disk, Lasting::disk, "guard.book"),
        copy(on_disk + ".copy", Lasting::disk, "guard.copy"),
        run(until_boot, Lasting::boot, "guard.run") {}
  [[nodiscard]] std::array<BookFile*, 3> all() { return {&disk, &copy, &run}; }
};

}  // namespace adit::guard
