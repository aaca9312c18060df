// /var/lib/adit/sequences: which numbers of which keys may have been used. A header, then a line a change, each with a
// checksum; the last word about a key counts. A line that a power cut cut off is the last one and says nothing; any
// other that does not fit its checksum means that numbers are not known any more. Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sad/database.h"

namespace adit::engine {

struct NumberRecord {
  sad::SaName name;
  uint64_t keys = 0;       // fingerprint of algorithms and keys
  uint64_t sent = 0;       // no number above it was sent
  uint64_t seen = 0;       // no number above it was accepted
  uint64_t gone = 0;       // wall seconds since when no SA has these keys; 0: one has
  std::string name_space;  // whose it is, or was
  [[nodiscard]] bool says_nothing() const { return gone != 0 && sent == 0 && seen == 0; }
};

class NumberJournal {
 public:
  explicit NumberJournal(std::string path) : path_(std::move(path)) {}
  ~NumberJournal();
  NumberJournal(const NumberJournal&) = delete;
  NumberJournal& operator=(const NumberJournal&) = delete;

  struct Content {
    std::vector<NumberRecord> records;  // in the order of the file: later ones replace earlier ones
    uint64_t id = 0;                    // as rewrite() gave it; 0: none
    std::string damage;                 // a sentence; empty: all of it could be read
    bool is_there = false;
  };
  [[nodiscard]] Content read() const;

  // One line, on disk when it returns (`sync`), or when the next such line is. After an error the file is as before,
  // or is written whole with the next change.
  Result<> append(std::span<const NumberRecord> records, bool sync);
  // The file anew, whole or not at all.
  Result<> rewrite(std::span<const NumberRecord> records, uint64_t id);
  // More has been appended than a fresh file would hold, the last append failed, or the file is another one.
  [[nodiscard]] bool wants_rewrite() const;

 private:
  Result<> open();
  [[nodiscard]] bool lost_its_file() const;

  std::string path_;
  int fd_ = -1;
  uint64_t whole_bytes_ = 0, appended_bytes_ = 0;
  bool broken_ = true;  // until it has been written whole
};

}  // namespace adit::engine
