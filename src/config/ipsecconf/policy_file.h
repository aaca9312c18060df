// Reading a policy file safely: a 100 MB file, a directory or a device is refused at once, with the limit named.
#pragma once

#include <string>

#include "base/result.h"

namespace adit::config {

// Every error begins with the path. The whole text. ENOENT (a link that leads nowhere says where to), EACCES and so on
// as open(2); EFBIG: above kMaxPolicyBytes; EINVAL: not a regular file; EAGAIN: grew meanwhile.
Result<std::string> read_policy_file(const std::string& path);

// For what a service loads by itself: a policy that others may write is theirs. As above, and EPERM: group or world may
// write the file or replace it in its directory (one that is sticky lets them not), or either belongs neither to root
// nor to the caller. Symbolic links are followed: it is the file at their end, and its directory, that count. The
// directory of the link itself is for check_policy_directory.
Result<std::string> read_trusted_policy_file(const std::string& path);

// A directory all of whose files count: EPERM when world may write it, or group and it is not sticky (as /etc/inet is
// for aditd's), or it belongs neither to root nor to the caller. ENOENT; ENOTDIR.
Result<> check_policy_directory(const std::string& path);

}  // namespace adit::config
