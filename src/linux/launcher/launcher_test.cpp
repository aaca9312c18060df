#include "linux/launcher/launcher.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "linux/process/testing/own_namespace.h"

namespace adit::platform {
namespace {

constexpr User kSomebody{65534, 65534};

class LauncherTest : public OwnNamespace {
 protected:
  void SetUp() override {
    OwnNamespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    std::array<char, 32> pattern{"/tmp/adit-launch-XXXXXX"};
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    top = pattern.data();
    start({"/bin/sh", "-c",
           "cat /proc/self/status >" + top + "/started.new; mv " + top + "/started.new " + top + "/started"});
  }
  void TearDown() override {
    launcher.reset();
    if (!top.empty()) std::filesystem::remove_all(top);
    OwnNamespace::TearDown();
  }
  void start(std::vector<std::string> guardian) {
    auto made = Launcher::start({.guardian = std::move(guardian), .nft_user = kSomebody});
    ASSERT_TRUE(made) << made.error().text;
    launcher = *made;
  }
  [[nodiscard]] NftRunner runner() const {
    return [this](const std::vector<std::string>& arguments, const NftFiles& files) {
      return launcher->run_nft(arguments, files);
    };
  }
  std::shared_ptr<Launcher> launcher;
  std::string top;
};

TEST_F(LauncherTest, RunsNftInTheThreeWaysOfAditdAndNoOther) {
  const auto listed = run_nft({"-j", "list", "ruleset"}, "", runner());
  ASSERT_TRUE(listed) << listed.error().text;
  EXPECT_NE(listed->output.find("\"nftables\""), std::string::npos);
  EXPECT_GT(listed->process, 0);
  const auto made =
      run_nft({"-j", "-f", "-"}, R"({"nftables": [{"add": {"table": {"family": "inet", "name": "adit"}}}]})", runner());
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_TRUE(run_nft({"-j", "list", "table", "inet", "adit"}, "", runner()));
  const auto wrong = run_nft({"-j", "-f", "-"}, "rubbish", runner());
  ASSERT_FALSE(wrong);
  EXPECT_TRUE(wrong.error().text.starts_with("nft refuses: ")) << wrong.error().text;
  const auto other = run_nft({"-f", "/etc/shadow"}, "", runner());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, EINVAL);
}

TEST_F(LauncherTest, OpensTheTunDevice) {
  const auto device = launcher->open_tun();
  ASSERT_TRUE(device) << device.error().text;
  struct stat info{};
  ASSERT_EQ(fstat(device->get(), &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode));
}

TEST_F(LauncherTest, StartsTheGuardianWithWhatItsStartNeedsAndNoMore) {
  ASSERT_TRUE(launcher->start_guardian());
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!std::filesystem::exists(top + "/started") && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::ifstream status(top + "/started");
  uint64_t effective = 0;
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapEff:")) effective = std::stoull(line.substr(7), nullptr, 16);
  // chown, setgid, setuid, setpcap, net admin
  EXPECT_EQ(effective, 1ull << 0 | 1ull << 6 | 1ull << 7 | 1ull << 8 | 1ull << 12);
  start({"/nonexistent/adit-guard"});
  const auto none = launcher->start_guardian();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ENOENT);
}

TEST_F(LauncherTest, ItsEndIsSeenAndOurEndIsItsEnd) {
  EXPECT_TRUE(launcher->lives());
  launcher.reset();
  // The only child that there is, since a guardian is nobody's.
  int status = 1;
  EXPECT_GT(waitpid(-1, &status, 0), 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace adit::platform
