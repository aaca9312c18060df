#include "net/address.h"

#include <gtest/gtest.h>

namespace adit::net {
namespace {

TEST(Address, ParsesAndPrintsCanonically) {
  EXPECT_EQ(Address::parse("192.0.2.1")->str(), "192.0.2.1");
  EXPECT_EQ(Address::parse("2001:DB8:0:0::1")->str(), "2001:db8::1");
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "fe80::1%eth0", "alice", "1.2.3.4/24"})
    EXPECT_FALSE(Address::parse(bad)) << bad;
}

TEST(Prefix, MasksContainsAndRefuses) {
  const Prefix slip = *Prefix::parse("10.0.0.1/24");
  EXPECT_TRUE(slip.has_host_bits());
  EXPECT_EQ(slip.masked().str(), "10.0.0.0/24");
  EXPECT_TRUE(slip.contains(*Address::parse("10.0.0.255")));
  EXPECT_FALSE(slip.contains(*Address::parse("10.0.1.0")));
  EXPECT_FALSE(slip.contains(*Address::parse("::")));
  EXPECT_TRUE(Prefix::parse("2001:470:24:c66::/63")->contains(*Prefix::parse("2001:470:24:c67::/64")));
  EXPECT_EQ(Prefix::parse("1.2.3.4/33").error().text, "/33 prefix is too big!");
  EXPECT_EQ(Prefix::parse("1.2.3.4/x").error().text, "Unparseable prefix: 'x'.");
}

}  // namespace
}  // namespace adit::net
