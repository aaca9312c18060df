#include "config/ipseckey/key_file.h"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "config/ipseckey/ipseckey.h"

namespace adit::config {
namespace {

class KeyFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/adit-key-file-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/ipseckeys";
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }
  void write(const std::string& text, mode_t mode) {
    std::ofstream(path_) << text;
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
  }
  std::string directory_, path_;
};

TEST_F(KeyFileTest, ReadsWhatOnlyItsOwnerMayRead) {
  for (const mode_t mode : {0600, 0400}) {
    ::unlink(path_.c_str());
    write("flush\n", mode);
    const auto text = read_key_file(path_);
    ASSERT_TRUE(text) << text.error().text;
    EXPECT_EQ(text_of(*text), "flush\n");
  }
  ::unlink(path_.c_str());
  write("", 0600);
  EXPECT_TRUE(text_of(*read_key_file(path_)).empty());
  ::unlink(path_.c_str());
  const std::string large(100'000, '#');
  write(large, 0600);
  EXPECT_EQ(text_of(*read_key_file(path_)), large);
}

TEST_F(KeyFileTest, RefusesLoosePermissionsWithTheRemedy) {
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0644, 0666, 0700 | 010}) {
    ::unlink(path_.c_str());
    write("flush\n", mode);
    const auto text = read_key_file(path_);
    ASSERT_FALSE(text) << std::oct << mode;
    EXPECT_EQ(text.error().code, EPERM);
    EXPECT_NE(text.error().text.find("chmod 600 " + path_), std::string::npos);
  }
}

TEST_F(KeyFileTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(read_key_file(directory_ + "/none").error().code, ENOENT);
  EXPECT_EQ(read_key_file(directory_).error().code, EINVAL);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(read_key_file(path_).error().code, EINVAL);
}

TEST_F(KeyFileTest, RefusesAHugeFileUnread) {
  write("", 0600);
  ASSERT_EQ(::truncate(path_.c_str(), 100'000'000), 0);
  EXPECT_EQ(read_key_file(path_).error().code, EFBIG);
}

}  // namespace
}  // namespace adit::config
