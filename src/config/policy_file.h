// Reading a policy file safely: a 100 MB file, a directory or a device is refused at once, with the limit named.
#pragma once

#include <string>

#include "base/result.h"

namespace adit::config {

// The whole text. ENOENT, EACCES and so on as open(2); EFBIG: above kMaxPolicyBytes; EINVAL: not a regular file.
Result<std::string> read_policy_file(const std::string& path);

// A policy that others may write is theirs: EPERM when group or world may write it, or when neither root nor the caller
// owns it. Follows symbolic links.
Result<> check_policy_file_mode(const std::string& path);

}  // namespace adit::config
