#include "base/secret.h"

#include <gtest/gtest.h>

namespace adit {
namespace {

TEST(Secret, HexKeepsDigitsAndPadsAtTheLowEnd) {
  const auto even = Secret::from_hex("0x0fA0");
  ASSERT_TRUE(even);
  EXPECT_EQ(even->bytes()[0], 0x0f);
  EXPECT_EQ(even->bytes()[1], 0xa0);
  const auto odd = Secret::from_hex("123");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->bytes()[1], 0x30);
}

TEST(Secret, RefusesWhatIsNotHexAndSaysWhere) {
  const auto bad = Secret::from_hex("12g4");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().text, "character 3 of the key is not a hexadecimal digit");
}

TEST(Secret, MoveEmptiesTheSource) {
  Secret a(std::span<const uint8_t>(reinterpret_cast<const uint8_t*>("key"), 3));
  Secret b(std::move(a));
  EXPECT_TRUE(a.empty());
  EXPECT_EQ(b.size(), 3u);
  EXPECT_TRUE(b == b.copy());
}

}  // namespace
}  // namespace adit
