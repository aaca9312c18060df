#include "links/files/datalink_conf.h"

#include <gtest/gtest.h>

namespace adit::engine {
namespace {

DatalinkConf sample() {
  DatalinkConf conf;
  conf.others = {"7\tname=string,net0;class=int,1;media=int,16777220;devname=string,e1000g0;"};
  TunnelRecord v4{tunnel::LinkId{1}, "v4_bob0", tunnel::Type::ipv4, "alice.example", "5.6.7.8"};
  v4.local_seen = *net::Address::parse("1.2.3.4");
  v4.remote_seen = *net::Address::parse("5.6.7.8");
  v4.secured = true;
  v4.properties.hoplimit = 9;
  v4.properties.mtu = 1300;
  v4.properties.mssclamp = false;
  v4.properties.ipsec = "# 100 %;\n{negotiate tunnel}\tipsec {encr_algs aes}\r\n";
  v4.serial = 7;
  TunnelRecord v6{tunnel::LinkId{2}, "v6_bob0", tunnel::Type::ipv6};
  v6.temporary = true;
  v6.deleting = v6.keep_closed = true;
  v6.properties.encaplimit = 0;
  conf.tunnels = {v4, v6};
  return conf;
}

TEST(DatalinkConf, ReadsBackWhatItWrote) {
  const auto read = parse_datalink_conf(format_datalink_conf(sample()));
  EXPECT_EQ(read.tunnels, sample().tunnels);
  EXPECT_EQ(read.others, sample().others);
  EXPECT_TRUE(read.broken.empty());
}

TEST(DatalinkConf, ALineHasTheReferencesForm) {
  const std::string text = format_datalink_conf(sample());
  EXPECT_NE(
      text.find("\n1\tname=string,v4_bob0;class=int,128;media=int,2147483649;type=int,1;laddr=string,alice.example;"),
      std::string::npos)
      << text;
}

TEST(DatalinkConf, ALineThatCannotBeReadIsKeptWithItsPlaceAndTheReason) {
  const auto refused = [](const std::string& line, const char* why, size_t column, const char* name = "t0") {
    const auto read = parse_datalink_conf("# comment\n" + line + "\n9\tname=string,t9;type=int,1;\n");
    ASSERT_EQ(read.broken.size(), 1u) << line;
    EXPECT_EQ(read.broken[0].line, 2u);
    EXPECT_EQ(read.broken[0].column, column) << line;
    EXPECT_EQ(read.broken[0].name, name) << line;
    EXPECT_NE(read.broken[0].why.find(why), std::string::npos) << read.broken[0].why;
    ASSERT_EQ(read.tunnels.size(), 1u) << "the others are read";
    EXPECT_NE(format_datalink_conf(read).find("\n" + line + "\n"), std::string::npos) << "as it was";
  };
  refused("name=string,t0;", "link id", 1);
  refused("0\tname=string,t0;type=int,1;", "link id", 1);
  refused("x\tname=string,t0;type=int,1;", "link id", 1);
  refused("1\tname=string,t0;type=int,3;", "type must be", 18);
  refused("1\tname=string,t0;", "type must be", 3);
  refused("1\tname=string,t0;type=int,1;type=int,1;", "twice", 29);
  refused("1\tname=string,t0;type=int,1;hoplimit=int,256;", "hoplimit", 29);
  refused("1\tname=string,t0;type=int,1;laddr_seen=string,1.2.3;", "1.2.3", 29);
  refused("1\tname=string,tunnel;type=int,1;", "tunnel", 3, "");
  refused("1\tname=string,t0;type=int,1;ipsec=string,%4;", "hexadecimal", 29);
  refused("1\tname=string,t0;type=int,1;ipsec=string,%zz;", "hexadecimal", 29);
  refused("1\tjunk", "junk", 3, "");
}

TEST(DatalinkConf, OfTwoLinesAboutOneNameNeitherIsBelieved) {
  const auto read = parse_datalink_conf(
      "1\tname=string,t0;type=int,1;\n2\tname=string,t1;type=int,1;\n3\tname=string,t0;type=int,2;\n"
      "4\tname=string,t0;type=int,2;\n");
  ASSERT_EQ(read.tunnels.size(), 1u);
  EXPECT_EQ(read.tunnels[0].name, "t1");
  ASSERT_EQ(read.broken.size(), 3u);
  EXPECT_EQ(read.broken[0].line, 1u);
  EXPECT_EQ(read.broken[0].why, "t0 is in line 3 too");
  EXPECT_EQ(read.broken[1].why, "t0 is in line 1 too");
}

TEST(DatalinkConf, OfTwoLinesWithOneIdTheFirstCounts) {
  const auto read = parse_datalink_conf("1\tname=string,t0;type=int,1;\n1\tname=string,t1;type=int,1;\n");
  ASSERT_EQ(read.tunnels.size(), 1u);
  EXPECT_EQ(read.tunnels[0].name, "t0");
  ASSERT_EQ(read.broken.size(), 1u);
  EXPECT_EQ(read.broken[0].name, "t1");
}

TEST(DatalinkConf, EveryTruncationIsReadWithoutHarm) {
  const std::string text = format_datalink_conf(sample());
  for (size_t length = 0; length < text.size(); ++length) {
    const auto read = parse_datalink_conf(std::string_view(text).substr(0, length));
    EXPECT_LE(read.tunnels.size() + read.broken.size(), 2u);
  }
}

}  // namespace
}  // namespace adit::engine
