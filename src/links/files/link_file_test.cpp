#include "links/files/link_file.h"

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

// Cut after each of its octets, the first line's too: what had taken effect counts, and the next change goes on from
// it.
TEST_F(LinkFileTest, ACutJournalSaysAllOfAChangeOrNothingAndGoesOn) {
  LinkFile file = with_many();
  std::map<size_t, std::map<std::string, TunnelRecord>> after{{0, wanted_}};
  const auto note = [&] { after.emplace(text(journal()).size(), wanted_); };
  put(file, 1, "9.9.9.9");
  note();
  put(file, kMany + 7);
  note();
  for (const char* name : {"t2", "t3"}) wanted_.erase(name);
  ASSERT_TRUE(file.change({{"t2", std::nullopt}, {"t3", std::nullopt}}, [this] { return whole(); }));
  note();
  put(file, 2, "8.8.8.8");
  note();
  const std::string whole_journal = text(journal()), whole_file = text(path_);
  ASSERT_TRUE(whole_journal.starts_with("# adit links journal 1\n"));
  for (size_t length = 0; length <= whole_journal.size(); ++length) {
    SCOPED_TRACE(length);
    wanted_ = std::prev(after.upper_bound(length))->second;
    write(path_, whole_file);
    write(journal(), whole_journal.substr(0, length));
    ASSERT_EQ(loaded(), wanted_);
    if (length % 7 != 0) continue;
    LinkFile again(path_, Lasting::disk, "test");
    ASSERT_TRUE(again.load());
    put(again, kMany + 1, "7.7.7.7");
    ASSERT_EQ(loaded(), wanted_);
  }
}

// A crash after the file was written and before its journal went.
TEST_F(LinkFileTest, AJournalThatTheFileHasTakenUpChangesNothing) {
  LinkFile file = with_many();
  put(file, 1, "9.9.9.9");
  remove(file, 2);
  put(file, kMany + 1);
  remove(file, kMany + 1);
  const std::string stale = text(journal());
  ASSERT_TRUE(file.write(whole()));
  write(journal(), stale);
  EXPECT_EQ(loaded(), wanted_);
  LinkFile again(path_, Lasting::disk, "test");
  ASSERT_TRUE(again.load());
  EXPECT_TRUE(again.owes());
  put(again, 2, "8.8.8.8");
  EXPECT_EQ(loaded(), wanted_);
}

TEST_F(LinkFileTest, AJournalOfAnotherVersionIsRefusedInASentence) {
  LinkFile file = with_many();
  put(file, 1, "9.9.9.9");
  const std::string good = text(journal());
  write(journal(), "# adit links journal 2\nwhatever\n");
  LinkFile again(path_, Lasting::disk, "test");
  const auto refused = again.load();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EPROTONOSUPPORT);
  EXPECT_NE(refused.error().text.find("another version of Adit"), std::string::npos) << refused.error().text;
  write(journal(), good);
  EXPECT_EQ(loaded(), wanted_);
}

TEST_F(LinkFileTest, ADamagedOctetOfAChangeIsNeverBelieved) {
  LinkFile file = with_many();
  const auto before = wanted_;
  put(file, 1, "9.9.9.9");
  const size_t end = text(journal()).size();
  put(file, 2, "8.8.8.8");
  const std::string good = text(journal());
  for (size_t at = std::string_view("# adit links journal 1\n").size(); at < end; ++at) {
    SCOPED_TRACE(at);
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    write(journal(), damaged);
    LinkFile again(path_, Lasting::disk, "test");
    const auto conf = again.load();
    ASSERT_TRUE(conf);
    const auto all = by_name(*conf);
    if (all.contains("t1")) {  // as before the change: where neither its name nor that it is a link can be read
      EXPECT_EQ(all.at("t1"), before.at("t1"));
    }
    ASSERT_TRUE(all.contains("t3"));
  }
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
