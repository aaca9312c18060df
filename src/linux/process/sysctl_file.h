// Kernel settings below /proc/sys.
#pragma once

#include <string>

#include "base/result.h"

namespace adit::platform {

// `path` as "net/ipv4/ip_forward": relative, without "..": EINVAL. ENOENT: this kernel has no such setting. EPERM,
// EACCES, EROFS.
Result<std::string> read_sysctl(const std::string& path);  // without the newline
Result<> write_sysctl(const std::string& path, const std::string& value);

}  // namespace adit::platform
