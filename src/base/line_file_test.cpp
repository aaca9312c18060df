#include "base/line_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace adit {
namespace {

class LineFileTest : public ::testing::Test {
 protected:
  static constexpr int kMany = 100;

  LineFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "adit-lines-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    path_ = folder_ + "/lines";
  }
  ~LineFileTest() override { std::filesystem::remove_all(folder_); }

  void put(LineFile& file, const LineFile::Change& change) {
    for (const auto& line : change.gone) std::erase(wanted_, line);
    for (const auto& line : change.come) wanted_.push_back(line);
    ASSERT_TRUE(file.change(change, [this]() -> Result<LineFile::Lines> { return wanted_; }));
  }
  LineFile::Lines loaded(bool* damaged = nullptr) const {
    LineFile again(path_, Lasting::disk, "test");
    return again.load(damaged).value_or(LineFile::Lines{"nothing"});
  }
  static std::string text(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  static void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  [[nodiscard]] std::string journal() const { return path_ + ".journal"; }
  LineFile with_many() {
    LineFile file(path_, Lasting::disk, "test");
    wanted_ = {"# made by nobody", "", "a line of others"};
    for (int i = 1; i <= kMany; ++i) wanted_.push_back(fmt::format("line {}", i));
    EXPECT_TRUE(file.write(wanted_));
    return file;
  }

  std::string folder_, path_;
  LineFile::Lines wanted_;
};

TEST_F(LineFileTest, WhileThereAreFewTheFileIsAlwaysWhole) {
  LineFile file(path_, Lasting::disk, "test");
  ASSERT_TRUE(file.load());
  for (int i = 0; i < 10; ++i) put(file, {{}, {fmt::format("line {}", i)}});
  put(file, {{"line 3"}, {}});
  EXPECT_FALSE(std::filesystem::exists(journal()));
  EXPECT_EQ(loaded(), wanted_);
}

TEST_F(LineFileTest, AChangeAmongManyIsAppendedAndReadBack) {
  LineFile file = with_many();
  const std::string before = text(path_);
  put(file, {{}, {"one more", "and its second line"}});
  put(file, {{"line 5", "one more"}, {"one more"}});
  put(file, {{"line 7"}, {}});
  EXPECT_EQ(text(path_), before);
  EXPECT_LT(text(journal()).size(), 200u);
  EXPECT_EQ(loaded(), wanted_);
  EXPECT_TRUE(file.owes());
  ASSERT_TRUE(file.write(wanted_));
  EXPECT_FALSE(file.owes());
  EXPECT_FALSE(std::filesystem::exists(journal()));
  EXPECT_EQ(loaded(), wanted_);
}

// Died between the file and the end of its journal, which says the same again.
TEST_F(LineFileTest, AJournalThatTheFileTookUpSaysNothingNew) {
  LineFile file = with_many();
  put(file, {{"line 5"}, {"a", "b"}});
  put(file, {{"a"}, {"a", "c"}});
  const std::string said = text(journal());
  ASSERT_TRUE(file.write(wanted_));
  write(journal(), said);
  EXPECT_EQ(loaded(), wanted_);
}

TEST_F(LineFileTest, TheJournalDoesNotGrowWithoutBound) {
  LineFile file = with_many();
  size_t longest = 0;
  for (int round = 0; round < 2000; ++round) {
    put(file, {{fmt::format("round {}", round - 1)}, {fmt::format("round {}", round)}});
    if (std::filesystem::exists(journal())) longest = std::max<size_t>(longest, std::filesystem::file_size(journal()));
  }
  EXPECT_LT(longest, 30'000u);
  EXPECT_EQ(loaded(), wanted_);
}

// Cut after each of its octets: what had taken effect counts, and the next change goes on from it.
TEST_F(LineFileTest, ACutJournalSaysAllOfAChangeOrNothingAndGoesOn) {
  LineFile file = with_many();
  std::map<size_t, LineFile::Lines> after{{0, wanted_}};
  for (const LineFile::Change& change :
       {LineFile::Change{{"line 1"}, {"x 1", "x 2"}}, LineFile::Change{{"x 2"}, {}}, LineFile::Change{{}, {"x 3"}}}) {
    put(file, change);
    after.emplace(text(journal()).size(), wanted_);
  }
  const std::string all = text(journal()), whole_file = text(path_);
  for (size_t length = 0; length <= all.size(); ++length) {
    SCOPED_TRACE(length);
    write(path_, whole_file);
    write(journal(), all.substr(0, length));
    wanted_ = std::prev(after.upper_bound(length))->second;
    ASSERT_EQ(loaded(), wanted_);
    LineFile again(path_, Lasting::disk, "test");
    ASSERT_TRUE(again.load());
    put(again, {{}, {"later"}});
    ASSERT_EQ(loaded(), wanted_);
  }
}

TEST_F(LineFileTest, ADamagedChangeIsNotBelievedAndSaid) {
  LineFile file = with_many();
  put(file, {{}, {"x 1"}});
  auto wanted = wanted_;
  put(file, {{"line 1"}, {"x 2"}});
  put(file, {{}, {"x 3"}});
  wanted.push_back("x 3");
  std::string said = text(journal());
  said[said.find("x 2") + 2] = '4';
  write(journal(), said);
  bool damaged = false;
  EXPECT_EQ(loaded(&damaged), wanted);
  EXPECT_TRUE(damaged);
}

TEST_F(LineFileTest, AJournalOfAnotherVersionIsRefused) {
  LineFile file = with_many();
  write(journal(), "# adit lines journal 2\n+ x\n");
  const auto refused = file.load();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EPROTONOSUPPORT);
}

TEST_F(LineFileTest, WhatOthersWroteIsSeen) {
  LineFile file = with_many();
  EXPECT_FALSE(file.touched());
  put(file, {{}, {"x 1"}});
  EXPECT_FALSE(file.touched());
  std::ofstream(path_, std::ios::app) << "of others\n";
  EXPECT_TRUE(file.touched());
  ASSERT_TRUE(file.load());
  EXPECT_FALSE(file.touched());
  std::filesystem::remove(path_);
  EXPECT_TRUE(file.touched());
}

}  // namespace
}  // namespace adit
