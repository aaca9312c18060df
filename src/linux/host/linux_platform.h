// The Platform of a daemon that has given up its rights: what the launcher does for it, and what it lacks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "linux/launcher/launcher.h"
#include "linux/platform/platform.h"
#include "linux/process/privileges.h"

namespace adit::platform {

struct PlatformSettings {
  std::string root, run_dir;           // as make_linux_platform has them
  std::shared_ptr<Launcher> launcher;  // none: this process may start programs, and open any device
  std::optional<uid_t> guardian_uid = platform::guardian_uid();
  std::vector<std::string> missing;  // of what the process should be: retry_wires() tells it too
};

// The guard's book lies under `root`; the guardian's socket is in `run_dir`, and it is started when it is first needed.
// EPROTONOSUPPORT, EPERM: no netlink here.
Result<std::unique_ptr<Platform>> make_linux_platform(const std::string& root, const std::string& run_dir);
Result<std::unique_ptr<Platform>> make_linux_platform(PlatformSettings settings);

}  // namespace adit::platform
