#include "namespaces/namespaces_file.h"

#include <gtest/gtest.h>

namespace adit::engine {
namespace {

std::vector<NamespaceRecord> two() {
  return {{.name = "svc:/site/vpn:default",
           .users = {990, 991},
           .tunnels = {"vpn*", "site[0-9]"},
           .rules = 500,
           .sas = 2000,
           .lease_seconds = 30,
           .bypass = true},
          {.name = "nfs"}};
}

TEST(NamespacesFile, WhatIsWrittenIsRead) {
  const auto read = parse_namespaces(format_namespaces(two()));
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(*read, two());
  EXPECT_TRUE(parse_namespaces("[]")->empty());
}

TEST(NamespacesFile, EveryTruncationIsRefused) {
  const std::string whole = format_namespaces(two());
  for (size_t length = 0; length + 1 < whole.size(); ++length)  // the last byte is a line's end
    EXPECT_FALSE(parse_namespaces(std::string_view(whole).substr(0, length))) << length;
}

TEST(NamespacesFile, RefusesWhatItDoesNotUnderstand) {
  const std::string good = R"({"name":"a","users":[],"tunnels":[],"rules":1,"sas":1,"lease":0,"bypass":false})";
  ASSERT_TRUE(parse_namespaces("[" + good + "]"));
  EXPECT_FALSE(parse_namespaces("[" + good + "," + good + "]")) << "twice";
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return parse_namespaces("[" + text + "]");
  };
  const std::pair<const char*, const char*> wrong[] = {
      {R"("a")", R"("")"},
      {R"("a")", R"("a b")"},
      {R"("a")", "7"},
      {R"("users":[])", R"("users":[-1])"},
      {R"("users":[])", R"("users":[4294967295])"},
      {R"("users":[])", R"("users":["vpn"])"},
      {R"("users":[])", R"("users":7)"},
      {R"("tunnels":[])", R"("tunnels":[""])"},
      {R"("tunnels":[])", R"("tunnels":["a/b"])"},
      {R"("tunnels":[])", R"("tunnels":[7])"},
      {R"("rules":1)", R"("rules":0)"},
      {R"("rules":1)", R"("rules":4294967296)"},
      {R"("sas":1)", R"("sas":"1")"},
      {R"("lease":0)", R"("lease":-1)"},
      {R"("bypass":false)", R"("bypass":0)"},
  };
  for (const auto& [from, to] : wrong) {
    const auto read = with(from, to);
    ASSERT_FALSE(read) << to;
    EXPECT_EQ(read.error().code, EINVAL);
    EXPECT_FALSE(read.error().text.empty());
  }
}

TEST(NamespacesFile, NamesAndPatterns) {
  EXPECT_TRUE(check_namespace_name("svc:/site/vpn:default"));
  EXPECT_TRUE(check_namespace_name(std::string(255, 'x')));
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a\n"), std::string("a,b"),
                                  std::string(256, 'x'), std::string("\xc3\xa4")})
    EXPECT_FALSE(check_namespace_name(name)) << name;
  for (const char* pattern : {"vpn*", "vpn0", "site[0-9]", "*", "a_b.c?"}) EXPECT_TRUE(check_tunnel_pattern(pattern));
  for (const char* pattern : {"", "a b", "a/b", "abcdefghijklmnopqrstuvwxyz0123456789"})
    EXPECT_FALSE(check_tunnel_pattern(pattern)) << pattern;
}

}  // namespace
}  // namespace adit::engine
