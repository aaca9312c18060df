#include "base/text.h"

#include <gtest/gtest.h>

namespace adit {
namespace {

using Parts = std::vector<std::string_view>;

TEST(Text, EmptyPartsAreParts) {
  EXPECT_EQ(split("a,,b,", ','), (Parts{"a", "", "b", ""}));
  EXPECT_EQ(split("", ','), Parts{""});
  EXPECT_EQ(split("whole", ','), Parts{"whole"});
}

TEST(Text, WordsAreJoinedAsTheyAreShown) {
  EXPECT_EQ(joined(std::vector<std::string>{"a", "b"}, " or "), "a or b");
  EXPECT_EQ(joined(std::vector<std::string>{}, ", "), "");
  EXPECT_EQ(joined(std::vector<int>{1, 2}, ",", [](int number) { return std::to_string(number); }), "1,2");
}

}  // namespace
}  // namespace adit
