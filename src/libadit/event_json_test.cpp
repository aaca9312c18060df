#include "libadit/event_json.h"

#include <gtest/gtest.h>

#include <string>

namespace {

constexpr const char* kEvent =
    R"({"continues":true,"parameters":{"event":{"kind":"link.state","list":[1,{"kind":"x"},[]],"sequence":42,)"
    R"("subject":"","text":"a \"q\" \\ \/ \u00e9 \ud83d\ude00\n","time":1700000000}}})";

struct Text {
  explicit Text(std::string from) : bytes(std::move(from)) {}
  [[nodiscard]] bool value(json* into) { return json_value(bytes.data(), bytes.size(), into) != 0; }
  std::string bytes;
};

TEST(EventJson, FindsWhatAnEventHas) {
  Text text(kEvent);
  json message{}, parameters{}, event{}, part{};
  ASSERT_TRUE(text.value(&message));
  ASSERT_TRUE(json_member(message, "continues", &part));
  EXPECT_TRUE(json_is_true(part));
  ASSERT_TRUE(json_member(message, "parameters", &parameters));
  ASSERT_TRUE(json_member(parameters, "event", &event));
  uint64_t number = 0;
  ASSERT_TRUE(json_member(event, "sequence", &part));
  ASSERT_TRUE(json_number(part, &number));
  EXPECT_EQ(number, 42u);
  EXPECT_FALSE(json_member(event, "nothing", &part));
  ASSERT_TRUE(json_member(event, "text", &part));
  EXPECT_STREQ(json_string(part), "a \"q\" \\ / \u00e9 \U0001F600\n");
}

TEST(EventJson, WhatIsCutAnywhereIsNoJson) {
  const std::string whole = kEvent;
  for (size_t length = 0; length < whole.size(); ++length) {
    Text text(whole.substr(0, length));
    json value{};
    EXPECT_FALSE(text.value(&value)) << length;
  }
}

TEST(EventJson, RefusesWhatIsNone) {
  for (const char* wrong : {"", " ", "{", "{}x", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[1,]", "[1 2]", "{1:2}", "\"",
                            "\"\\", "{\"a\":1 \"b\":2}", "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]"}) {
    Text text(wrong);
    json value{};
    EXPECT_FALSE(text.value(&value)) << wrong;
  }
}

TEST(EventJson, NumbersAndStringsThatAreNone) {
  for (const char* wrong : {"-1", "1.5", "1e3", "18446744073709551616", "true", "\"1\""}) {
    Text text(wrong);
    json value{};
    uint64_t number = 0;
    ASSERT_TRUE(text.value(&value)) << wrong;
    EXPECT_FALSE(json_number(value, &number)) << wrong;
  }
  for (const char* wrong : {R"("\u0000")", R"("\u12")", R"("\x")", R"("\u00g0")", "1"}) {
    Text text(wrong);
    json value{};
    ASSERT_TRUE(text.value(&value)) << wrong;
    EXPECT_EQ(json_string(value), nullptr) << wrong;
  }
  Text half(R"("\ud83d!")");
  json value{};
  ASSERT_TRUE(half.value(&value));
  EXPECT_STREQ(json_string(value), "\uFFFD!");
}

}  // namespace
