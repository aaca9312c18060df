// ipsecpolicy.conf in the run directory: what ipsecconf itself added, as typed, each entry below its last index; and
// the lock that lets one ipsecconf at a time change it and the policy.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace adit::cli {

struct CachedEntry {
  std::string head;  // "": the host
  uint64_t index = 0;
  std::string text;
};

class PolicyCache {
 public:
  explicit PolicyCache(std::string path) : path_(std::move(path)) {}

  // Without the lines that begin with ';'. No file: nothing.
  Result<std::string> shown() const;
  Result<> append(const std::vector<CachedEntry>& entries) const;
  Result<> replace(const std::vector<CachedEntry>& entries) const;  // none: the file goes
  // The entry of that index; nothing happens when it is not there.
  Result<> remove(std::string_view head, uint64_t index) const;
  Result<> remove_head(std::string_view head) const;

  // What the cache becomes when the change of that generation is confirmed: kept beside it until then.
  Result<> hold(uint64_t generation, const std::vector<CachedEntry>& added, bool append) const;
  // The change of that generation stands; nullopt: it was undone. What is held of another one is forgotten.
  Result<> finish(std::optional<uint64_t> generation) const;

 private:
  Result<std::vector<CachedEntry>> read() const;
  Result<> write(const std::string& text) const;
  std::string path_;
};

// Held while it lives. EPERM: `Insufficient privilege to run ipsecconf.`; EINVAL: `Bad lock file`.
class PolicyLock {
 public:
  static Result<PolicyLock> take(const std::string& path);
  PolicyLock(PolicyLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  PolicyLock& operator=(PolicyLock&&) = delete;
  ~PolicyLock();

 private:
  explicit PolicyLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace adit::cli
