// For tests: network namespaces of their own, so that nothing they do reaches the machine's. Needs root; a test that
// has it and cannot make one fails, one without root is skipped.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <string>

#include "linux/process/descriptor.h"

namespace adit::platform {

class OwnNamespace : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "making a network namespace needs root";
    home_ = here();
    ASSERT_NO_FATAL_FAILURE(make(near_));
    run("ip link set lo up");
  }
  void TearDown() override {
    if (home_.valid()) setns(home_.get(), CLONE_NEWNET);
  }

  // A second one, joined by a veth: near0 192.0.2.1/24 and 2001:db8::1/64 here, far0 with .2 and ::2 there.
  void make_far() {
    ASSERT_NO_FATAL_FAILURE(make(far_));
    run("ip link set lo up");
    go_near();
    run("ip link add near0 type veth peer name far0 netns /proc/self/fd/" + std::to_string(far_.get()));
    run("ip link set near0 up && ip addr add 192.0.2.1/24 dev near0 && ip addr add 2001:db8::1/64 dev near0 nodad");
    go_far();
    run("ip link set far0 up && ip addr add 192.0.2.2/24 dev far0 && ip addr add 2001:db8::2/64 dev far0 nodad");
    go_near();
  }
  void move_to_far(const std::string& device) {
    run("ip link set " + device + " netns /proc/self/fd/" + std::to_string(far_.get()));
  }
  void go_near() { ASSERT_EQ(setns(near_.get(), CLONE_NEWNET), 0); }
  void go_far() { ASSERT_EQ(setns(far_.get(), CLONE_NEWNET), 0); }

  static void run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }
  static bool holds(const std::string& command) {
    return std::system(("{ " + command + "; } >/dev/null 2>&1").c_str()) == 0;
  }
  static std::string output(const std::string& command) {
    std::string text;
    if (FILE* pipe = popen(command.c_str(), "r")) {
      for (int letter; (letter = fgetc(pipe)) != EOF;) text += static_cast<char>(letter);
      pclose(pipe);
    }
    return text;
  }

 private:
  static Descriptor here() { return Descriptor(open("/proc/self/ns/net", O_RDONLY)); }
  static void make(Descriptor& space) {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "root, and no network namespace: " << strerror(errno);
    space = here();
  }
  Descriptor home_, near_, far_;
};

}  // namespace adit::platform
