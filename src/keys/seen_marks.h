// What was accepted last, to the packet, while this boot lasts: a file of the run directory that is mapped, so that a
// worker's plain store outlives the daemon's kill. Beside it the limits on disk (sequence_store.h) tell less exactly
// what may have been accepted, and outlive a power cut too. Marks count only for the boot and for the file of limits
// that they were made beside. Engine thread, but for the stores through a mark.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace adit::engine {

class SeenMarks {
 public:
  using Mark = std::atomic<uint64_t>;
  using Name = std::pair<uint64_t, uint64_t>;  // whose it is

  explicit SeenMarks(std::string path) : path_(std::move(path)) {}
  ~SeenMarks();
  SeenMarks(const SeenMarks&) = delete;
  SeenMarks& operator=(const SeenMarks&) = delete;

  // What an earlier life of this boot left.
  struct Left {
    bool is_there = false;
    uint64_t beside = 0;  // the file of limits that they belong to
    std::map<Name, uint64_t> seen;
  };
  [[nodiscard]] Left read() const;

  // A new, empty file. Without one (no room in the run directory) take() gives none.
  Result<> begin(uint64_t beside);
  // nullptr: there is no room. It is that of `name` until it is given back, and begins at `seen`.
  Mark* take(const Name& name, uint64_t seen);
  // REQUIRES: nobody stores through it any more.
  void give_back(Mark* mark);

 private:
  struct Slot;
  bool add_piece();

  std::string path_;
  int fd_ = -1;
  std::vector<void*> pieces_;
  std::vector<Slot*> free_;
};

}  // namespace adit::engine
