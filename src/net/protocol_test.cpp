#include "net/protocol.h"

#include <gtest/gtest.h>

namespace adit::net {
namespace {

TEST(Protocol, EveryNameOfANumberLeadsToItAndTheFirstIsPrinted) {
  for (const std::string_view name : {"ipv6-icmp", "icmpv6", "icmp6"}) EXPECT_EQ(protocol_number(name), kProtoIcmp6);
  EXPECT_EQ(protocol_name(kProtoIcmp6), "ipv6-icmp");
  EXPECT_EQ(protocol_number("ipip"), kProtoIpv4);
  EXPECT_EQ(protocol_name(4), "ipencap");
  EXPECT_EQ(protocol_name(kProtoTcp), "tcp");
}

TEST(Protocol, WhatTheTableDoesNotHoldIsNotGuessed) {
  EXPECT_EQ(protocol_number("TCP"), std::nullopt);
  EXPECT_EQ(protocol_number(""), std::nullopt);
  EXPECT_EQ(protocol_name(253), "");
}

}  // namespace
}  // namespace adit::net
