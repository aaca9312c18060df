#include "cli/frame/own_session.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

namespace adit::cli {
namespace {

TEST(OwnSessionAddress, TheClientsOfAnSshConnection) {
  EXPECT_EQ(client_of("203.0.113.9 50000 1.2.3.4 22"), "203.0.113.9");
  EXPECT_EQ(client_of("2001:db8::9 50000 2001:db8::1 22"), "2001:db8::9");
  EXPECT_EQ(client_of("fe80::9%eth0 50000 fe80::1%eth0 22"), "fe80::9");
  for (const char* text : {"", "UNKNOWN 65535 UNKNOWN 65535", "203.0.113"}) EXPECT_EQ(client_of(text), "") << text;
}

TEST(OwnSessionAddress, TheEnvironmentsWordComesFirst) {
  ::setenv("SSH_CONNECTION", "203.0.113.9 50000 1.2.3.4 22", 1);
  EXPECT_EQ(own_session_address(), "203.0.113.9");
  ::setenv("SSH_CONNECTION", "", 1);
  EXPECT_EQ(own_session_address(), "") << "said to be none";
}

// sudo cleans the environment: the shell above it still has it.
TEST(OwnSessionAddress, WhatWasCleanedAwayIsFoundInAnAncestor) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("SSH_CONNECTION", "203.0.113.7 50000 1.2.3.4 22", 1);
    ::execl("/proc/self/exe", "own_session", "--gtest_also_run_disabled_tests", "--gtest_brief=1",
            "--gtest_filter=*DISABLED_UnderAShell", nullptr);
    ::_exit(9);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// Run by the one above, in a process that was started with the variable: its child has none.
TEST(OwnSessionAddress, DISABLED_UnderAShell) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::unsetenv("SSH_CONNECTION");
    ::_exit(own_session_address() == "203.0.113.7" ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace adit::cli
