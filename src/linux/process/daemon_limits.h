// What a daemon in its cage (cage.h) may still do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace adit::platform {

struct CageRules {
  enum class Calls : uint8_t { daemon, guardian };
  Calls calls = Calls::daemon;
  // Folders in which files may be made, changed, renamed and removed. What is not there when the cage closes cannot
  // be made later.
  std::vector<std::string> own;
  // Files, and files below folders, that may be written, while none is made: settings of the kernel, devices.
  std::vector<std::string> set;
  // What may be read beside those, files and folders; empty: what their modes allow.
  std::vector<std::string> read;
};

}  // namespace adit::platform
