#include "linux/guard/layers/guard_switch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace adit::platform {
namespace {

TEST(GuardSwitch, OnlyTheWordItselfSwitchesOff) {
  const std::string path = std::filesystem::temp_directory_path() / ("adit-cmdline-" + std::to_string(::getpid()));
  const auto off = [&](const std::string& line) {
    std::ofstream(path) << line;
    return guard_switched_off(path);
  };
  EXPECT_TRUE(off("BOOT_IMAGE=/vmlinuz root=/dev/sda1 adit.guard=off quiet\n"));
  EXPECT_TRUE(off("adit.guard=off"));
  for (const char* line : {"", "quiet", "adit.guard=on", "adit.guard=offline", "xadit.guard=off", "adit.guard= off",
                           "\"x=adit.guard=off\""})
    EXPECT_FALSE(off(line)) << line;
  std::filesystem::remove(path);
  EXPECT_FALSE(guard_switched_off(path)) << "no such file";
}

}  // namespace
}  // namespace adit::platform
