// One daemon a run directory: a lock that the kernel lets go when its holder dies, however it dies.
#pragma once

#include <string>

#include "base/result.h"

namespace adit::engine {

class RunLock {
 public:
  RunLock() = default;
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;
  ~RunLock();

  // Makes the directory (0755) and takes DIR/aditd.lock, where our pid then stands. EBUSY: another aditd, its pid in
  // the text.
  static Result<RunLock> take(const std::string& run_dir);

 private:
  explicit RunLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace adit::engine
