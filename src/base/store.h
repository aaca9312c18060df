// Files that survive: a reader sees the old text or the new one, whatever dies in between; a full disk leaves the old
// one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace adit {

enum class Lasting : uint8_t {
  disk,  // survives a power cut: written, fsynced, renamed, directory fsynced
  boot,  // survives the daemon, not the machine (run directory): renamed, not synced
};

// Replaces the file `path` (its directories are made, mode 0755). The error names the file, says that it stands
// unchanged and what to do; codes: ENOSPC, EROFS, EACCES, EIO … as the system gave them. Crash points: POINT:opened,
// POINT:written, POINT:synced, POINT:renamed.
Result<> replace_file(const std::string& path, std::string_view text, mode_t mode, Lasting lasting,
                      std::string_view point);

// How a journal is appended to. `make`: a file that is not there is made.
struct Journal {
  const std::string& path;
  mode_t mode;
  bool make;
  Lasting lasting;
  std::string_view point;  // crash points POINT:opened, POINT:written, POINT:synced
};
// Returned: how long the file is now. On failure it is as it was, or, where `whole` comes back false, nobody knows: it
// is to be written anew. Codes as replace_file's.
Result<off_t> append_to_file(const Journal& journal, std::string_view text, bool& whole);
bool cut_file(const std::string& path, off_t size, Lasting lasting);  // what was appended last is taken back

// nullopt: there is no such file. EFBIG: longer than 64 MB. Other codes as the system gave them.
Result<std::optional<std::string>> read_file(const std::string& path);

// Takes the file away; success when there was none. ENOSPC cannot happen.
Result<> remove_file(const std::string& path);

// A named place where a test kills the engine: aborts at once when the environment says ADIT_CRASH_AT=NAME.
void crash_point(std::string_view name);
// Unit tests: called instead of the environment's look-up (it throws); nullptr: back to the environment.
void set_crash_hook(void (*hook)(std::string_view name));

}  // namespace adit
