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

  // Makes the directory (0755) and takes DIR/aditd.lock (0600: whom it does not belong to can neither open nor hold
  // it), where our pid then stands. EBUSY: another aditd, its pid in the text.
  static Result<RunLock> take(const std::string& run_dir);

 private:
  explicit RunLock(int fd) : fd_(fd) {}
  static Result<RunLock> open(const std::string& path);
  static Result<RunLock> replace_loose(const std::string& path);
  [[nodiscard]] bool try_lock() const;
  [[nodiscard]] bool is_loose() const;                      // others may open it, or could once
  [[nodiscard]] bool is_at(const std::string& path) const;  // not put aside meanwhile
  [[nodiscard]] Result<> write_pid(const std::string& path) const;
  int fd_ = -1;
};

}  // namespace adit::engine
