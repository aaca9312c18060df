#include <gtest/gtest.h>

#include "linux/nft/nft_json.h"
#include "linux/nft/nft_render.h"

namespace adit::platform {
namespace {

nft::Json listing(const char* verdict, int handle, int packets) {
  return nft::Json::parse(fmt::format(
      R"({{"nftables":[{{"metainfo":{{"version":"1"}}}},{{"rule":{{"chain":"host_out","handle":{},"expr":[
         {{"counter":{{"packets":{},"bytes":9}}}},{{"{}":null}}]}}}}]}})",
      handle, packets, verdict));
}

TEST(TableContent, HandlesAndCountersDoNotCount) {
  EXPECT_EQ(table_content(listing("drop", 4, 1)), table_content(listing("drop", 9, 7)));
}

TEST(TableContent, ARuleOfTheSameNumberThatSaysSomethingElseIsSeen) {
  EXPECT_NE(table_content(listing("drop", 4, 1)), table_content(listing("accept", 4, 1)));
}

}  // namespace
}  // namespace adit::platform
