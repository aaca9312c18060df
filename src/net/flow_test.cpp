#include "net/flow.h"

#include <gtest/gtest.h>

#include "net/testing/made_packets.h"

namespace adit::net {
namespace {

using made::Bytes;
using made::operator+;

const Bytes kTcpStart{0x9c, 0x40, 0x00, 0x50, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0};

Bytes extension(uint8_t next, uint8_t eights = 1, uint8_t third = 0) {
  Bytes bytes(eights * 8u);
  bytes[0] = next;
  bytes[1] = static_cast<uint8_t>(eights - 1);
  bytes[2] = third;
  return bytes;
}

Bytes fragment_header(uint8_t next, uint16_t offset, bool more) {
  Bytes bytes{next, 0, 0, 0, 0, 0, 0, 7};
  store_be16(&bytes[2], static_cast<uint16_t>(offset | (more ? 1 : 0)));
  return bytes;
}

// Every shorter piece of the packet is refused as truncated; none crashes.
void expect_every_truncation_refused(const Bytes& packet) {
  for (size_t size = 0; size < packet.size(); ++size) {
    const Bytes shorter(packet.begin(),
                        packet.begin() + static_cast<ptrdiff_t>(size));  // its own heap block: ASan sees a read past it
    Flow flow;
    EXPECT_EQ(read_flow(shorter, flow), FlowError::truncated) << size << " of " << packet.size() << " bytes";
  }
}

TEST(Flow, TcpOverIpv4WithOptions) {
  made::Ip spec;
  spec.options = {0x94, 4, 0, 0};
  const Bytes packet = made::tcp(spec, {}, made::pattern(10));
  Flow flow;
  ASSERT_EQ(read_flow(packet, flow), FlowError::none);
  EXPECT_EQ(flow.source.str(), "10.0.0.2");
  EXPECT_EQ(flow.destination.str(), "10.0.1.2");
  EXPECT_EQ(flow.protocol, kProtoTcp);
  EXPECT_TRUE(flow.has_ports);
  EXPECT_EQ(flow.source_port, 40000);
  EXPECT_EQ(flow.destination_port, 80);
  EXPECT_EQ(flow.payload_offset, 24u);
  EXPECT_FALSE(flow.fragment);
  expect_every_truncation_refused(packet);
}

TEST(Flow, PortsOfEveryProtocolThatHasThem) {
  for (const uint8_t protocol : {kProtoTcp, kProtoUdp, kProtoSctp, kProtoUdpLite}) {
    made::Ip spec;
    spec.protocol = protocol;
    Flow flow;
    ASSERT_EQ(read_flow(made::ip(spec, kTcpStart), flow), FlowError::none);
    EXPECT_TRUE(flow.has_ports) << int{protocol};
    EXPECT_EQ(flow.destination_port, 80);
  }
}

TEST(Flow, OtherProtocolsHaveNoPorts) {
  for (const uint8_t protocol : {uint8_t{47}, kProtoEsp, kProtoAh, kProtoIpv4, kProtoIcmp6, uint8_t{255}}) {
    made::Ip spec;
    spec.protocol = protocol;
    Flow flow;
    ASSERT_EQ(read_flow(made::ip(spec, kTcpStart), flow), FlowError::none);
    EXPECT_EQ(flow.protocol, protocol);
    EXPECT_FALSE(flow.has_ports);
    EXPECT_FALSE(flow.has_icmp);
  }
}

TEST(Flow, IcmpTypeAndCode) {
  made::Ip spec;
  spec.protocol = kProtoIcmp;
  Flow flow;
  ASSERT_EQ(read_flow(made::ip(spec, {8, 1, 0, 0, 0, 0, 0, 0}), flow), FlowError::none);
  EXPECT_TRUE(flow.has_icmp);
  EXPECT_EQ(flow.icmp_type, 8);
  EXPECT_EQ(flow.icmp_code, 1);
  ASSERT_EQ(read_flow(made::ip(made::v6(kProtoIcmp6), {128, 0, 0, 0}), flow), FlowError::none);
  EXPECT_TRUE(flow.has_icmp);
  EXPECT_EQ(flow.icmp_type, 128);
  EXPECT_EQ(read_flow(made::ip(spec, {8}), flow), FlowError::truncated);
}

TEST(Flow, Ipv6WithEveryExtensionHeader) {
  Bytes authentication(12 + 12);  // (4 + 2) * 4
  authentication[0] = kNextFragment;
  authentication[1] = 4;
  const Bytes payload = extension(kNextDestination) + extension(kNextRouting, 2) + extension(kProtoAh, 3, 4) +
                        authentication + fragment_header(kNextDestination, 0, false) + extension(kProtoTcp) + kTcpStart;
  const Bytes packet = made::ip(made::v6(kNextHopByHop), payload);
  Flow flow;
  ASSERT_EQ(read_flow(packet, flow), FlowError::none);
  EXPECT_EQ(flow.protocol, kProtoTcp);
  EXPECT_EQ(flow.source_port, 40000);
  EXPECT_EQ(flow.payload_offset, packet.size() - kTcpStart.size());
  EXPECT_FALSE(flow.fragment) << "an atomic fragment is whole";
  expect_every_truncation_refused(packet);
}

TEST(Flow, MobilityAndNoNextHeaderAreUpperLayers) {
  for (const uint8_t protocol : {uint8_t{135}, kNextNone}) {
    Flow flow;
    ASSERT_EQ(read_flow(made::ip(made::v6(kNextDestination), extension(protocol) + extension(kNextNone)), flow),
              FlowError::none);
    EXPECT_EQ(flow.protocol, protocol);
    EXPECT_EQ(flow.payload_offset, 48u);
  }
}

TEST(Flow, FirstFragmentHasPortsLaterOnesDoNot) {
  made::Ip spec;
  spec.fragment = 0x2000;
  Flow flow;
  ASSERT_EQ(read_flow(made::ip(spec, kTcpStart), flow), FlowError::none);
  EXPECT_TRUE(flow.fragment);
  EXPECT_TRUE(flow.has_ports);
  spec.fragment = 0x2001;
  ASSERT_EQ(read_flow(made::ip(spec, kTcpStart), flow), FlowError::none);
  EXPECT_TRUE(flow.fragment);
  EXPECT_FALSE(flow.has_ports);

  const Bytes first = fragment_header(kProtoUdp, 0, true) + kTcpStart;
  ASSERT_EQ(read_flow(made::ip(made::v6(kNextFragment), first), flow), FlowError::none);
  EXPECT_TRUE(flow.fragment);
  EXPECT_TRUE(flow.has_ports);
  const Bytes later = fragment_header(kNextDestination, 8, false) + Bytes{0xff, 0xff, 0xff};
  ASSERT_EQ(read_flow(made::ip(made::v6(kNextFragment), later), flow), FlowError::none);
  EXPECT_TRUE(flow.fragment);
  EXPECT_FALSE(flow.has_ports);
  EXPECT_EQ(flow.protocol, kNextDestination) << "what a later fragment holds is not walked";
  EXPECT_EQ(flow.payload_offset, 48u);
}

TEST(Flow, TinyFirstFragmentWithoutPortsIsRefused) {
  Flow flow;
  const Bytes tiny = fragment_header(kNextDestination, 0, true) + extension(kProtoTcp);
  EXPECT_EQ(read_flow(made::ip(made::v6(kNextFragment), tiny), flow), FlowError::truncated);
}

TEST(Flow, PaddingBehindThePacketIsNotRead) {
  made::Ip spec;
  Flow flow;
  EXPECT_EQ(read_flow(made::ip(spec, {1, 2}) + Bytes{3, 4, 5, 6}, flow), FlowError::truncated);
  EXPECT_EQ(read_flow(made::ip(made::v6(), {1, 2}) + Bytes{3, 4, 5, 6}, flow), FlowError::truncated);
  ASSERT_EQ(read_flow(made::ip(spec, {1, 2, 3, 4}) + Bytes(40), flow), FlowError::none);
  EXPECT_EQ(flow.source_port, 0x0102);
}

TEST(Flow, MalformedHeadersAreRefused) {
  Flow flow;
  EXPECT_EQ(read_flow(Bytes{}, flow), FlowError::truncated);
  EXPECT_EQ(read_flow(Bytes(60, 0x50), flow), FlowError::bad_version);
  Bytes packet = made::tcp({}, {}, {});
  packet[0] = 0x44;
  EXPECT_EQ(read_flow(packet, flow), FlowError::bad_header) << "header length below 20";
  packet[0] = 0x45;
  store_be16(&packet[2], 19);
  EXPECT_EQ(read_flow(packet, flow), FlowError::bad_header) << "total length below the header";

  Bytes routing = extension(kProtoTcp);
  routing[3] = 1;
  EXPECT_EQ(read_flow(made::ip(made::v6(kNextRouting), routing + kTcpStart), flow), FlowError::bad_header)
      << "RFC 5095";
  const Bytes late = extension(kNextHopByHop) + extension(kProtoTcp) + kTcpStart;
  EXPECT_EQ(read_flow(made::ip(made::v6(kNextDestination), late), flow), FlowError::bad_header)
      << "hop-by-hop not first";
  const Bytes twice = fragment_header(kNextFragment, 0, true) + fragment_header(kProtoTcp, 0, true) + kTcpStart;
  EXPECT_EQ(read_flow(made::ip(made::v6(kNextFragment), twice), flow), FlowError::bad_header) << "two fragment headers";
}

TEST(Flow, ChainsOfExtensionHeadersAreBounded) {
  Bytes chain;
  for (uint32_t i = 1; i < kMaxExtensionHeaders; ++i) chain = chain + extension(kNextDestination);
  Flow flow;
  EXPECT_EQ(read_flow(made::ip(made::v6(kNextDestination), chain + extension(kProtoTcp) + kTcpStart), flow),
            FlowError::none);
  chain = chain + extension(kNextDestination);
  EXPECT_EQ(read_flow(made::ip(made::v6(kNextDestination), chain + extension(kProtoTcp) + kTcpStart), flow),
            FlowError::bad_header);
}

// An ICMP error from a router about `sent`, to its sender.
Bytes error_about(const Bytes& sent, uint8_t type, const char* router) {
  made::Ip spec;
  Flow flow;
  EXPECT_EQ(read_flow(sent, flow), FlowError::none);
  spec.source = made::address(router);
  spec.destination = flow.source;
  return made::icmp_error(spec, type, 0, sent);
}

TEST(EmbeddedFlow, IsThatOfThePacketSwapped) {
  const Bytes sent = made::tcp({}, {}, {});
  const Bytes quoted(sent.begin(), sent.begin() + 28);  // as much as RFC 792 asks for
  made::Ip spec;
  spec.source = made::address("10.0.1.1");
  spec.destination = made::address("10.0.0.2");
  const Bytes packet = made::icmp_error(spec, 3, 4, quoted);
  Flow outer, embedded;
  ASSERT_EQ(read_flow(packet, outer), FlowError::none);
  ASSERT_TRUE(read_embedded_flow(packet, outer, embedded));
  EXPECT_EQ(embedded.source.str(), "10.0.1.2");
  EXPECT_EQ(embedded.destination.str(), "10.0.0.2");
  EXPECT_EQ(embedded.protocol, kProtoTcp);
  EXPECT_EQ(embedded.source_port, 80);
  EXPECT_EQ(embedded.destination_port, 40000);
  EXPECT_TRUE(embedded.icmp_error);
  for (size_t size = outer.payload_offset; size < packet.size() - 4; ++size) {
    const Bytes shorter(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(read_embedded_flow(shorter, outer, embedded)) << size;
  }
}

TEST(EmbeddedFlow, Ipv6PacketTooBig) {
  const Bytes packet = error_about(made::udp(made::v6(), 5000, 53, made::pattern(30)), 2, "2001:db8:1::1");
  Flow outer, embedded;
  ASSERT_EQ(read_flow(packet, outer), FlowError::none);
  ASSERT_TRUE(read_embedded_flow(packet, outer, embedded));
  EXPECT_EQ(embedded.source.str(), "2001:db8:1::2");
  EXPECT_EQ(embedded.source_port, 53);
  EXPECT_EQ(embedded.destination_port, 5000);
}

TEST(EmbeddedFlow, OnlyErrorsHaveOne) {
  const Bytes sent = made::tcp({}, {}, {});
  Flow outer, embedded;
  for (const int type : {0, 8, 9, 13, 30}) {
    const Bytes packet = error_about(sent, static_cast<uint8_t>(type), "10.0.1.1");
    ASSERT_EQ(read_flow(packet, outer), FlowError::none);
    EXPECT_FALSE(read_embedded_flow(packet, outer, embedded)) << type;
  }
  for (const int type : {3, 4, 5, 11, 12}) {
    const Bytes packet = error_about(sent, static_cast<uint8_t>(type), "10.0.1.1");
    ASSERT_EQ(read_flow(packet, outer), FlowError::none);
    EXPECT_TRUE(read_embedded_flow(packet, outer, embedded)) << type;
  }
}

TEST(EmbeddedFlow, AnErrorToSomeoneElseThanTheSenderHasNone) {
  made::Ip spec;
  spec.source = made::address("10.0.1.1");
  spec.destination = made::address("10.0.0.99");
  const Bytes packet = made::icmp_error(spec, 3, 1, made::tcp({}, {}, {}));
  Flow outer, embedded;
  ASSERT_EQ(read_flow(packet, outer), FlowError::none);
  EXPECT_FALSE(read_embedded_flow(packet, outer, embedded));
}

}  // namespace
}  // namespace adit::net
