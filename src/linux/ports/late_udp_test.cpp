#include "linux/ports/late_udp.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "linux/platform/mark.h"
#include "linux/ports/wire.h"
#include "linux/process/testing/own_namespace.h"
#include "net/protocol.h"

namespace adit::platform {
namespace {

Descriptor hold_port(int family) {
  Descriptor taken(socket(family, SOCK_DGRAM, 0));
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(net::kPortIkeNat);
  EXPECT_EQ(bind(taken.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof v4), 0);
  return taken;
}

class LateUdpTest : public OwnNamespace {};

TEST_F(LateUdpTest, TheSocketComesToItsWorkerWhenThePortIsFree) {
  run("ip addr add 192.0.2.1/24 dev lo");
  Descriptor taken = hold_port(AF_INET);
  std::vector<std::string> notices;
  LateUdp late;
  std::vector<std::unique_ptr<datapath::WirePort>> wires;
  for (uint32_t worker = 0; worker < 2; ++worker) {
    auto wire = make_wire_port(worker, 2, kOuterMark, notices, &late);
    ASSERT_TRUE(wire) << wire.error().text;
    wires.push_back(std::move(*wire));
  }
  EXPECT_TRUE(notices.empty()) << "it is tried again, and told by what is missing";
  const auto missing = late.retry(kOuterMark);
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_NE(missing[0].find("UDP port 4500 over IPv4"), std::string::npos) << missing[0];

  taken = Descriptor();
  EXPECT_TRUE(late.retry(kOuterMark).empty());
  const std::vector<uint8_t> payload(40);
  datapath::WireSend item{.kind = WireKind::udp, .payload = payload};
  item.source = item.destination = *net::Address::parse("192.0.2.1");
  for (auto& wire : wires) {
    pollfd ready{wire->fds()[0], POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 1000), 1) << "its worker is woken";
    (void)wire->receive({}, {});
    datapath::WireResult result{-1, 0};
    wire->send({&item, 1}, {&result, 1});
    EXPECT_EQ(result.error, 0);
  }
}

TEST_F(LateUdpTest, WhatNobodyHoldsIsNotMissing) {
  std::vector<std::string> notices;
  LateUdp late;
  ASSERT_TRUE(make_wire_port(0, 1, kOuterMark, notices, &late));
  EXPECT_TRUE(late.retry(kOuterMark).empty());
}

}  // namespace
}  // namespace adit::platform
