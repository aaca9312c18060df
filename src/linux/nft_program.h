// Runs the `nft` program: a document in, its answer out. The engine's thread waits for it (a few milliseconds).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace adit::platform {

struct NftAnswer {
  std::string output;
  pid_t process = 0;  // also the netlink port of its transaction, by which the monitor knows it
};

// ENOENT: nft is not installed, or what the document speaks of is not there; EPERM; EINVAL with nft's own words.
Result<NftAnswer> run_nft(const std::vector<std::string>& arguments, const std::string& input);

}  // namespace adit::platform
