#include "engine/guard_book.h"

#include <gtest/gtest.h>

namespace adit::engine {
namespace {

net::Prefix prefix(const char* text) {
  return *net::Prefix::parse(text);
}

GuardBook sample() {
  GuardBook book;
  book.add({prefix("10.0.1.0/24"), "t0", GuardSource::route, false});
  book.add({prefix("10.0.1.0/24"), "t0", GuardSource::policy, false});
  book.add({prefix("10.0.1.0/24"), "t1", GuardSource::seen, true});
  book.add({prefix("10.9.0.0/16"), "t1", GuardSource::route, true});
  book.add({prefix("2001:db8::/32"), "t0", GuardSource::kept, false});
  book.add({prefix("0.0.0.0/0"), "t0", GuardSource::address, false});
  book.set_except(prefix("10.9.0.0/16"), {prefix("10.9.1.0/24"), prefix("10.9.2.0/24")});
  return book;
}

TEST(GuardBook, TheTextReadsBackAsTheSameBook) {
  const auto read = GuardBook::parse(sample().text());
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(*read, sample());
}

TEST(GuardBook, TheTextHoldsARouteThatIpBatchLoadsForEachNetwork) {
  EXPECT_NE(sample().text().find("\nroute replace unreachable 10.0.1.0/24 proto 173 metric 4294967295\n"),
            std::string::npos);
  EXPECT_NE(sample().text().find("\nroute replace unreachable 2001:db8::/32 proto 173 metric 4294967295\n"),
            std::string::npos);
}

TEST(GuardBook, ANetworkOpensOnlyWhenNobodyHoldsItAnyMore) {
  GuardBook book = sample();
  EXPECT_TRUE(book.remove(prefix("10.0.1.0/24"), "t0", GuardSource::route));
  EXPECT_FALSE(book.remove(prefix("10.0.1.0/24"), "t0", GuardSource::route));
  EXPECT_TRUE(book.remove(prefix("10.0.1.0/24"), "t0", GuardSource::policy));
  EXPECT_TRUE(book.holds(prefix("10.0.1.0/24")));
  book.remove_tunnel("t1");
  EXPECT_FALSE(book.holds(prefix("10.0.1.0/24")));
}

TEST(GuardBook, WhatIsKeptOutlivesItsTunnelAndBoots) {
  GuardBook book = sample();
  book.keep_tunnel("t1");
  book.remove_tunnel("t1");
  EXPECT_TRUE(book.holds(prefix("10.9.0.0/16"), "t1", GuardSource::kept));
  EXPECT_TRUE(book.lasting().holds(prefix("10.9.0.0/16")));
}

TEST(GuardBook, TemporaryTunnelsAreNotForTheNextBoot) {
  const GuardBook lasting = sample().lasting();
  EXPECT_FALSE(lasting.holds(prefix("10.9.0.0/16")));
  EXPECT_TRUE(lasting.holds(prefix("10.0.1.0/24"), "t0"));
  EXPECT_FALSE(lasting.holds(prefix("10.0.1.0/24"), "t1"));
}

TEST(GuardBook, ACopyHoldsTheSameNetworksBesideTheFirst) {
  GuardBook book = sample();
  book.copy_tunnel("t0", "t5");
  EXPECT_EQ(book.networks_of("t0").size(), 3u);
  EXPECT_EQ(book.networks_of("t5").size(), 3u);
  EXPECT_TRUE(book.holds(prefix("10.0.1.0/24"), "t5", GuardSource::policy));
}

TEST(GuardBook, HostBitsDoNotMakeAnotherNetwork) {
  GuardBook book;
  book.add({prefix("10.0.1.7/24"), "t0", GuardSource::route, false});
  EXPECT_TRUE(book.holds(prefix("10.0.1.0/24")));
}

TEST(GuardBook, ABrokenLineIsNamed) {
  for (const char* text :
       {"#hold\n#hold 10.0.0.0/33 t0 lasting route\n", "\n#hold 10.0.0.0/8 t0 forever route\n",
        "\n#hold 10.0.0.0/8 t0 lasting\n", "\n#hold 10.0.0.0/8 t0 lasting whim\n", "\n#except 10.0.0.0/8 x\n"}) {
    const auto read = GuardBook::parse(text);
    ASSERT_FALSE(read) << text;
    EXPECT_TRUE(read.error().text.starts_with("line 2: ")) << read.error().text;
  }
}

TEST(GuardBook, EveryTruncationOfTheTextIsReadOrRefusedWithoutHarm) {
  const std::string text = sample().text();
  for (size_t length = 0; length < text.size(); ++length) {
    const auto read = GuardBook::parse(std::string_view(text).substr(0, length));
    if (read) EXPECT_LE(read->networks().size(), sample().networks().size());
  }
}

}  // namespace
}  // namespace adit::engine
