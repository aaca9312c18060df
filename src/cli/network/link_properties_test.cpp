#include "cli/network/link_properties.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace adit::cli {
namespace {

using nlohmann::json;

json read(const std::vector<std::string>& lists) {
  const auto assigned = read_link_assignments(lists);
  return assigned ? assigned->properties : json(assigned.error().text);
}

TEST(LinkAssignments, SplitAtCommasBeforeTheNextProperty) {
  EXPECT_EQ(read({"mtu=1400"}), (json{{"mtu", "1400"}}));
  EXPECT_EQ(read({"mtu=1400,hoplimit=9", "mssclamp=off"}),
            (json{{"mtu", "1400"}, {"hoplimit", "9"}, {"mssclamp", "off"}}));
  EXPECT_EQ(read({"ipsec={a b, c=d},mtu=1300"}), (json{{"ipsec", "{a b, c=d}"}, {"mtu", "1300"}}));
  EXPECT_EQ(read({"mtu=1300,ipsec={x} ipsec {y,z=1} or ipsec {v}"}),
            (json{{"mtu", "1300"}, {"ipsec", "{x} ipsec {y,z=1} or ipsec {v}"}}));
  EXPECT_EQ(read({"mtu=1,300"}), (json{{"mtu", "1,300"}})) << "the engine refuses it by name";
}

TEST(LinkAssignments, WhatIsNoneIsRefused) {
  for (const char* bad : {"", "mtu", "=1400", "mtu=1300,mtu=1400", "ipsec=aes"})
    EXPECT_FALSE(read_link_assignments({bad})) << bad;
}

TEST(LinkAssignments, AnyTextIsReadOrRefused) {
  const std::string text = "mtu=1400,ipsec={a, b=c} ipsec {{d},hoplimit=}9}";
  for (size_t length = 0; length <= text.size(); ++length) {
    const auto assigned = read_link_assignments({text.substr(0, length)});
    if (assigned) {
      EXPECT_LE(assigned->properties.size(), 3u);
    }
  }
}

TEST(LinkAssignments, AFileGivesItsTextUnlessOthersMayWriteIt) {
  std::string folder = (std::filesystem::temp_directory_path() / "adit-property-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/bob.policy";
  std::ofstream(path) << "# a comment\n{encr_algs aes}\n";
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  const auto assigned = read_link_assignments({"ipsec=" + path});
  ASSERT_TRUE(assigned) << assigned.error().text;
  EXPECT_EQ(assigned->properties["ipsec"], "# a comment\n{encr_algs aes}\n");
  EXPECT_EQ(assigned->ipsec_source, path);
  std::filesystem::permissions(path, std::filesystem::perms(0666));
  EXPECT_FALSE(read_link_assignments({"ipsec=" + path}));
  EXPECT_FALSE(read_link_assignments({"ipsec=" + path + ".none"}));
  EXPECT_FALSE(read_link_assignments({"ipsec=" + folder}));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace adit::cli
