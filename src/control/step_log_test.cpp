#include "control/step_log.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "source_dir.h"

namespace adit::engine {
namespace {

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct StepLogTest : testing::Test {
  void TearDown() override { ::unlink(path.c_str()); }
  FakeClock clock;
  std::string path = testing::TempDir() + "steps." + std::to_string(::getpid());
  net::Prefix bob = *net::Prefix::parse("10.0.1.0/24"), delegated = *net::Prefix::parse("10.8.0.0/16");
};

// tests/model/test_trace_checker.py says that the model allows this file: so the words here are the words there.
TEST_F(StepLogTest, WritesTheExampleWordForWord) {
  StepLog log(path, "aditd", clock);
  log.start();
  log.book(BookState::intact);
  log.loaded(*net::Prefix::parse("10.0.9.0/24"), "v4_old0", "operator", "kept");
  log.started();
  log.layer_up(Layer::rule);
  log.layer_up(Layer::lasting);
  log.layer_up(Layer::owned);
  log.allowed("user:vpn", delegated);
  log.device_added("v4_bob0", 7, true);
  log.passes("v4_bob0", 7);
  log.policy("v4_bob0", true);
  log.carrier("v4_bob0", true);
  clock.advance(std::chrono::nanoseconds(1'000'000'005));
  log.book_added(*net::Prefix::parse("10.0.1.7/24"), "v4_bob0", "operator", "route");
  for (const Layer layer : {Layer::rule, Layer::lasting, Layer::owned}) log.layer_up(layer, bob);
  log.route_added(bob, "v4_bob0");
  log.book_added(*net::Prefix::parse("10.8.1.0/24"), "v4_bob0", "user:vpn", "policy", true);
  log.layer_down(Layer::lasting);
  log.layer_up(Layer::lasting);
  clock.advance(std::chrono::seconds(1));
  log.carrier("v4_bob0", false);
  log.policy("v4_bob0", false);
  log.route_removed(bob, "v4_bob0");
  log.record("17", Opening::release, bob, "v4_bob0", "operator", "route");
  for (const Layer layer : {Layer::rule, Layer::lasting, Layer::owned}) log.layer_opens(layer, bob);
  log.book_removed(bob, "v4_bob0", "operator", "route", "17");
  log.no_longer_allowed("user:vpn", delegated);
  log.passes_no_longer("v4_bob0", 7);
  log.device_removed("v4_bob0", 7);
  log.stop();
  EXPECT_EQ(content(path), content(ADIT_SOURCE_DIR "/docs/model/example.steps"));
}

TEST_F(StepLogTest, TwoDaemonsAppendWholeLines) {
  StepLog daemon(path, "aditd", clock), guardian(path, "guardian", clock);
  daemon.start();
  guardian.start();
  daemon.adopted(bob);
  EXPECT_EQ(content(path),
            "t=0.000000000 by=aditd start\nt=0.000000000 by=guardian start\n"
            "t=0.000000000 by=aditd adopted 10.0.1.0/24\n");
}

TEST_F(StepLogTest, AWordHasNoSpaceAndNoLineBreak) {
  StepLog log(path, "aditd", clock);
  log.record("1", Opening::open, bob, "", "user:a b\n%\xc3", "");
  log.policy("", true);
  EXPECT_EQ(content(path),
            "t=0.000000000 by=aditd record 1 open 10.0.1.0/24 * user:a%20b%0a%25%c3 *\n"
            "t=0.000000000 by=aditd policy - on\n");
}

TEST_F(StepLogTest, IsOffWithoutAFileAndByDefault) {
  ::unsetenv("ADIT_TRACE_STEPS");
  StepLog off, unnamed = StepLog::from_environment("aditd", clock), nowhere("/nonexistent/steps", "aditd", clock);
  for (StepLog* log : {&off, &unnamed, &nowhere}) {
    EXPECT_FALSE(log->on());
    log->start();
    log->book_removed(bob, "v4_bob0", "operator", "route", "1");
  }
}

TEST_F(StepLogTest, TheEnvironmentNamesTheFile) {
  ::setenv("ADIT_TRACE_STEPS", path.c_str(), 1);
  StepLog log = StepLog::from_environment("guardian", clock);
  ::unsetenv("ADIT_TRACE_STEPS");
  ASSERT_TRUE(log.on());
  log.stop();
  EXPECT_EQ(content(path), "t=0.000000000 by=guardian stop\n");
  struct stat file{};
  ASSERT_EQ(::stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
}

TEST_F(StepLogTest, FollowsNoLink) {
  const std::string link = path + ".link";
  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  EXPECT_FALSE(StepLog(link, "aditd", clock).on());
  ::unlink(link.c_str());
}

// A disk that fills up in the middle of a line, here by a limit of the file's size: the next line that fits tells how
// many are missing.
TEST_F(StepLogTest, TellsWhatAFullDiskSwallowed) {
  StepLog log(path, "aditd", clock);
  log.start();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 40;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  log.started();
  log.stop();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  log.start();
  log.stop();
  EXPECT_EQ(content(path),
            "t=0.000000000 by=aditd start\n"
            "t=0.0000000\n"
            "t=0.000000000 by=aditd lost 2\n"
            "t=0.000000000 by=aditd start\n"
            "t=0.000000000 by=aditd stop\n");
}

}  // namespace
}  // namespace adit::engine
