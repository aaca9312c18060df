#include "base/unix_socket.h"

#include <gtest/gtest.h>

namespace adit {
namespace {

TEST(UnixSocket, WhoeverFindsNoDaemonHearsWhatToDo) {
  const auto none = connect_to_aditd("/nowhere/adit.sock", SOCK_STREAM);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ENOENT);
  EXPECT_EQ(none.error().text, "aditd is not running (no answer at /nowhere/adit.sock); start it with 'aditd'");
}

TEST(UnixSocket, APathThatTheKernelWouldCutOffIsRefused) {
  EXPECT_TRUE(unix_address("/" + std::string(106, 'x')));
  const auto longer = unix_address("/" + std::string(107, 'x'));
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, ENAMETOOLONG);
}

}  // namespace
}  // namespace adit
