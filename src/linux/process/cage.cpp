#include "linux/process/cage.h"

#include <sys/prctl.h>

#include <cstring>

#include "linux/process/call_filter.h"
#include "linux/process/file_rules.h"

namespace adit::platform {

std::vector<std::string> close_cage(const CageRules& rules) {
  const char* who = rules.calls == CageRules::Calls::daemon ? "aditd" : "adit-guard";
  std::vector<std::string> open;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    open.push_back(fmt::format("{}: no_new_privs cannot be set: {}", who, std::strerror(errno)));
  if (const auto files = restrict_files(rules); !files)
    open.push_back(
        fmt::format("{}: only the modes of files keep it from writing elsewhere: {}", who, files.error().text));
  if (const auto calls = filter_calls(rules.calls); !calls)
    open.push_back(fmt::format("{}: it may make any system call: {}", who, calls.error().text));
  return open;
}

}  // namespace adit::platform
