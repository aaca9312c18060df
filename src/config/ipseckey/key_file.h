// Reading a file that holds keys: its text never leaves locked memory, and nobody else may be able to read it.
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"

namespace adit::config {

// EPERM: group or world may read or write it (`chmod 600 FILE`), or somebody else owns it. EFBIG, EINVAL (not a regular
// file), ENOENT, EACCES and so on, each with a sentence. "-": standard input, without these checks.
Result<Secret> read_key_file(const std::string& path);

inline std::string_view text_of(const Secret& secret) {
  return {reinterpret_cast<const char*>(secret.bytes().data()), secret.size()};
}

}  // namespace adit::config
