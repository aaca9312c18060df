// Runs the `nft` program: a document in, its answer out. The engine's thread waits for it (a few milliseconds).
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace adit::platform {

struct NftAnswer {
  std::string output;
  pid_t process = 0;  // also the netlink port of its transaction, by which the monitor knows it
};

struct NftFiles {
  int in, out, errors;
};
struct NftEnd {
  pid_t process = 0;
  int status = 0;  // as waitpid gives it
};
// Runs nft with these three and waits for its end.
using NftRunner = std::function<Result<NftEnd>(const std::vector<std::string>& arguments, const NftFiles& files)>;

// As a child of this process.
Result<NftEnd> spawn_nft(const std::vector<std::string>& arguments, const NftFiles& files);

// ENOENT: nft is not installed, or what the document speaks of is not there; EPERM; EINVAL with nft's own words.
Result<NftAnswer> run_nft(const std::vector<std::string>& arguments, const std::string& input,
                          const NftRunner& run = spawn_nft);

bool has_nft();
std::unexpected<Error> no_nft();
// This process becomes nft; returns when it cannot.
void exec_nft(const std::vector<std::string>& arguments, const NftFiles& files);

}  // namespace adit::platform
