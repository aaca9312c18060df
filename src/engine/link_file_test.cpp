#include "engine/link_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace adit::engine {
namespace {

class LinkFileTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kMany = 100;

  LinkFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "adit-links-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    path_ = folder_ + "/datalink.conf";
  }
  ~LinkFileTest() override { std::filesystem::remove_all(folder_); }

  static TunnelRecord record(uint32_t number, const char* remote = "5.6.7.8") {
    TunnelRecord one{tunnel::LinkId{number}, fmt::format("t{}", number), tunnel::Type::ipv4, "1.2.3.4", remote};
    one.properties.ipsec = "{encr_algs aes}\n";
    return one;
  }
  void put(LinkFile& file, uint32_t number, const char* remote = "5.6.7.8") {
    wanted_[fmt::format("t{}", number)] = record(number, remote);
    ASSERT_TRUE(file.change({{fmt::format("t{}", number), record(number, remote)}}, [this] { return whole(); }));
  }
  void remove(LinkFile& file, uint32_t number) {
    wanted_.erase(fmt::format("t{}", number));
    ASSERT_TRUE(file.change({{fmt::format("t{}", number), std::nullopt}}, [this] { return whole(); }));
  }
  DatalinkConf whole() const {
    DatalinkConf conf;
    for (const auto& [name, one] : wanted_) conf.tunnels.push_back(one);
    return conf;
  }
  static std::map<std::string, TunnelRecord> by_name(const DatalinkConf& conf) {
    std::map<std::string, TunnelRecord> all;
    for (const auto& one : conf.tunnels) all.emplace(one.name, one);
    return all;
  }
  std::map<std::string, TunnelRecord> loaded() {
    LinkFile again(path_, Lasting::disk, "test");
    const auto conf = again.load();
    return conf && conf->broken.empty() ? by_name(*conf) : std::map<std::string, TunnelRecord>{};
  }
  std::string text(const std::string& path) const {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  std::string journal() const { return path_ + ".journal"; }
  LinkFile with_many() {
    LinkFile file(path_, Lasting::disk, "test");
    for (uint32_t i = 1; i <= kMany; ++i) wanted_[fmt::format("t{}", i)] = record(i);
    EXPECT_TRUE(file.write(whole()));
    return file;
  }

  std::string folder_, path_;
  std::map<std::string, TunnelRecord> wanted_;
};

TEST_F(LinkFileTest, WhileThereAreFewTheFileIsAlwaysWhole) {
  LinkFile file(path_, Lasting::disk, "test");
  for (uint32_t i = 1; i < 10; ++i) put(file, i);
  EXPECT_FALSE(std::filesystem::exists(journal()));
  EXPECT_EQ(by_name(parse_datalink_conf(text(path_))), wanted_);
}

TEST_F(LinkFileTest, AChangeOfOneOfManyIsAppendedAndReadBack) {
  LinkFile file = with_many();
  const std::string before = text(path_);
  put(file, kMany + 1);
  put(file, 5, "9.9.9.9");
  put(file, 7);
  remove(file, 7);
  EXPECT_EQ(text(path_), before);
  EXPECT_LT(text(journal()).size(), before.size() / 10);
  EXPECT_EQ(loaded(), wanted_);
  EXPECT_TRUE(file.owes());
  ASSERT_TRUE(file.write(whole()));
  EXPECT_FALSE(file.owes());
  EXPECT_FALSE(std::filesystem::exists(journal()));
  EXPECT_EQ(loaded(), wanted_);
}

TEST_F(LinkFileTest, TheJournalDoesNotGrowWithoutBound) {
  LinkFile file = with_many();
  size_t longest = 0;
  for (int round = 0; round < 2000; ++round) {
    put(file, 3, round % 2 == 0 ? "9.9.9.9" : "8.8.8.8");
    if (std::filesystem::exists(journal())) longest = std::max<size_t>(longest, std::filesystem::file_size(journal()));
  }
  EXPECT_LT(longest, 100'000u);
  EXPECT_EQ(loaded(), wanted_);
}

TEST_F(LinkFileTest, ACutJournalSaysAllOfAChangeOrNothingAndGoesOn) {
  LinkFile file = with_many();
  put(file, 1, "9.9.9.9");
  const auto first = wanted_;
  const size_t end_of_first = text(journal()).size();
  for (const char* name : {"t2", "t3"}) wanted_.erase(name);
  ASSERT_TRUE(file.change({{"t2", std::nullopt}, {"t3", std::nullopt}}, [this] { return whole(); }));
  const auto second = wanted_;
  const std::string whole_journal = text(journal());
  for (size_t length = end_of_first; length <= whole_journal.size(); ++length) {
    write(journal(), whole_journal.substr(0, length));
    EXPECT_EQ(loaded(), length == whole_journal.size() ? second : first) << length;
  }
  write(journal(), whole_journal.substr(0, whole_journal.size() - 3));
  LinkFile again(path_, Lasting::disk, "test");
  ASSERT_TRUE(again.load());
  wanted_ = first;
  put(again, kMany + 1);
  EXPECT_EQ(loaded(), wanted_);
}

TEST_F(LinkFileTest, ADamagedChangeInTheMiddleIsBelievedOfNobody) {
  LinkFile file = with_many();
  put(file, 1, "9.9.9.9");
  put(file, 2, "8.8.8.8");
  std::string damaged = text(journal());
  damaged[damaged.find("9.9.9.9")] = '7';
  write(journal(), damaged);
  LinkFile again(path_, Lasting::disk, "test");
  const auto conf = again.load();
  ASSERT_TRUE(conf);
  ASSERT_EQ(conf->broken.size(), 1u);
  EXPECT_EQ(conf->broken[0].name, "t1");
  EXPECT_FALSE(by_name(*conf).contains("t1"));
  EXPECT_EQ(by_name(*conf).at("t2").remote, "8.8.8.8");
  EXPECT_TRUE(again.owes());
}

TEST_F(LinkFileTest, WhatCannotBeAppendedChangesNothing) {
  LinkFile file = with_many();
  std::filesystem::create_directory(journal());
  const auto before = wanted_;
  const auto refused = file.change({{"t1", std::nullopt}}, [this] { return whole(); });
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("nothing was changed"), std::string::npos) << refused.error().text;
  std::filesystem::remove(journal());
  EXPECT_EQ(loaded(), before);
  put(file, kMany + 1);
  EXPECT_EQ(loaded(), wanted_);
}

}  // namespace
}  // namespace adit::engine
