#include <gtest/gtest.h>

#include <sstream>

#include "cli/frame/options.h"
#include "cli/frame/table.h"

namespace adit::cli {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

const std::vector<Option> kKnown = {{'t', "temporary"}, {'S', ""}, {'a', "address", true}};

TEST(Options, TakesShortLongBundledAndOperandsInAnyOrder) {
  const auto options =
      Options::parse(Words{"-tS", "v4_bob0", "-alocal=1.2.3.4", "--address", "remote=5.6.7.8", "--", "-x"}, kKnown);
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->has('t'));
  EXPECT_TRUE(options->has('S'));
  EXPECT_EQ(options->all('a'), (Words{"local=1.2.3.4", "remote=5.6.7.8"}));
  EXPECT_EQ(options->operands(), (Words{"v4_bob0", "-x"}));
}

TEST(Options, NamesWhatItDoesNotKnowOrMisses) {
  EXPECT_EQ(Options::parse(Words{"-q"}, kKnown).error().text, "unrecognized option '-q'");
  EXPECT_EQ(Options::parse(Words{"-a"}, kKnown).error().text, "option '-a' requires a value");
  EXPECT_EQ(Options::parse(Words{"--temporary=1"}, kKnown).error().text, "option '--temporary' takes no value");
}

const std::vector<Column> kColumns = {{"link", 16}, {"type", 6}, {"flags", 7}, {"local", 20}, {"remote", 20}};
const json kRows = {{{"link", "v4_bob0"}, {"type", "ipv4"}, {"flags", "s-S"}, {"local", "1.2.3.4"}, {"remote", ""}}};

TEST(Table, AlignsAsTheGuideShows) {
  std::ostringstream out;
  ASSERT_TRUE(print_table(out, kColumns, kRows, {}));
  EXPECT_EQ(out.str(),
            "LINK            TYPE  FLAGS  LOCAL               REMOTE\n"
            "v4_bob0         ipv4  s-S    1.2.3.4             --\n");
}

TEST(Table, ParsableEscapesOnlyAmongSeveralFields) {
  std::ostringstream out;
  const json rows = {{{"link", "a:b"}, {"local", "2001:db8::1"}}};
  ASSERT_TRUE(print_table(out, kColumns, rows, {.parsable = true, .fields = "LINK,local,remote"}));
  ASSERT_TRUE(print_table(out, kColumns, rows, {.parsable = true, .fields = "local"}));
  EXPECT_EQ(out.str(), "a\\:b:2001\\:db8\\:\\:1:\n2001:db8::1\n");
}

TEST(Table, RefusesParsableWithoutFieldsAndUnknownFields) {
  std::ostringstream out;
  EXPECT_EQ(print_table(out, kColumns, kRows, {.parsable = true}).error().text, "-p requires -o");
  EXPECT_EQ(print_table(out, kColumns, kRows, {.fields = "link,size"}).error().text, "unknown output field 'size'");
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace adit::cli
