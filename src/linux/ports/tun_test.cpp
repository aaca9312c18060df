#include "linux/ports/tun.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "linux/host/linux_platform.h"
#include "linux/process/testing/own_namespace.h"

namespace adit::platform {
namespace {

using datapath::Offload;

TEST(Offloads, HeaderLengthComesFromTcpNotFromTheKernelsHint) {
  std::vector<uint8_t> packet(100);
  packet[20 + 12] = 0x80;  // data offset 8 words
  VnetHeader header{.flags = VnetHeader::kNeedsChecksum,
                    .gso_type = VnetHeader::kTcp4 | VnetHeader::kEcn,
                    .header_length = 9999,
                    .segment_bytes = 1340,
                    .checksum_start = 20,
                    .checksum_offset = 16};
  const Offload offload = offload_of(header, packet);
  EXPECT_EQ(offload.kind, Offload::Kind::tcp4);
  EXPECT_TRUE(offload.ecn && offload.needs_checksum);
  EXPECT_EQ(offload.header_length, 52);
  EXPECT_EQ(offload.segment_bytes, 1340);
}

TEST(Offloads, AHeaderBehindThePacketsEndIsNotRead) {
  const std::vector<uint8_t> packet(10);
  const VnetHeader header{.gso_type = VnetHeader::kTcp6, .checksum_start = 40};
  EXPECT_EQ(offload_of(header, packet).header_length, 0);
}

TEST(Offloads, EveryKindSurvivesTheWayThereAndBack) {
  std::vector<uint8_t> packet(100);
  packet[40 + 12] = 0x50;
  for (const auto kind : {Offload::Kind::tcp4, Offload::Kind::tcp6, Offload::Kind::udp}) {
    Offload offload{.kind = kind,
                    .needs_checksum = true,
                    .header_length = 60,
                    .segment_bytes = 1000,
                    .checksum_start = 40,
                    .checksum_offset = 16};
    if (kind == Offload::Kind::udp) offload.header_length = 48;
    const Offload back = offload_of(header_of(offload), packet);
    EXPECT_EQ(back.kind, kind);
    EXPECT_EQ(back.header_length, offload.header_length);
    EXPECT_EQ(back.segment_bytes, 1000);
    EXPECT_EQ(back.checksum_start, 40);
  }
  EXPECT_EQ(header_of({}).gso_type, 0);
}

class Tun : public OwnNamespace {
 protected:
  void SetUp() override {
    OwnNamespace::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto made = make_linux_platform("", "/nonexistent");
    ASSERT_TRUE(made) << made.error().text;
    platform = std::move(*made);
  }
  bool carrier(const std::string& name) {
    const auto info = platform->interface(name);
    return info && info->carrier;
  }
  std::unique_ptr<Platform> platform;
};

TEST_F(Tun, IsBornPersistentDownAndWithoutCarrier) {
  auto ports = platform->open_tun("t0", 2, DeviceName::fresh);
  ASSERT_TRUE(ports) << ports.error().text;
  EXPECT_EQ(ports->size(), 2u);
  ASSERT_TRUE(platform->set_link_up("t0", true));
  EXPECT_FALSE(carrier("t0"));
  const auto info = platform->interface("t0");
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->ours && info->is_tun && info->point_to_point && info->up);
  EXPECT_EQ(output("ip -6 addr show dev t0"), "") << "no address that nobody asked for";
}

TEST_F(Tun, OwnersDeathLeavesDeviceAddressesAndRoutesWithCarrierOff) {
  {
    auto ports = platform->open_tun("t0", 2, DeviceName::fresh);
    ASSERT_TRUE(ports);
    ASSERT_TRUE(platform->set_link_up("t0", true));
    ASSERT_TRUE(platform->set_carrier("t0", true));
    run("ip addr add 10.0.0.1 peer 10.0.1.1 dev t0 && ip route add 10.0.1.0/24 dev t0");
    EXPECT_TRUE(carrier("t0"));
  }
  EXPECT_FALSE(carrier("t0"));
  EXPECT_TRUE(holds("ip route show 10.0.1.0/24 | grep -q 'dev t0.*linkdown'"));
  auto again = platform->open_tun("t0", 2, DeviceName::fresh);
  ASSERT_TRUE(again) << again.error().text;
  EXPECT_FALSE(carrier("t0")) << "adopted, and still closed";
  EXPECT_TRUE(holds("ip route show 10.0.1.0/24 | grep -q 'dev t0'"));
}

TEST_F(Tun, AnotherProcessKnowsTheDeviceAsOurs) {
  ASSERT_TRUE(platform->open_tun("t0", 1, DeviceName::fresh));
  auto second = make_linux_platform("", "/nonexistent");
  ASSERT_TRUE(second);
  const auto info = (*second)->interface("t0");
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->ours);
  EXPECT_TRUE((*second)->open_tun("t0", 1, DeviceName::fresh)) << "its queues are free";
}

TEST_F(Tun, ADeviceInUseIsBusy) {
  auto held = platform->open_tun("t0", 1, DeviceName::fresh);
  ASSERT_TRUE(held);
  const auto second = platform->open_tun("t0", 1, DeviceName::fresh);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EBUSY);
}

TEST_F(Tun, ForeignDevicesOfTheNameAreRefusedAndUntouched) {
  run("ip link add d0 type veth peer name d1 && ip tuntap add dev f0 mode tun && ip tuntap add dev a0 mode tap");
  for (const char* name : {"d0", "f0", "a0", "lo"}) {
    const auto opened = platform->open_tun(name, 1, DeviceName::fresh);
    ASSERT_FALSE(opened) << name;
    EXPECT_EQ(opened.error().code, EEXIST) << name;
    const auto deleted = platform->delete_tun(name, DeviceName::fresh);
    ASSERT_FALSE(deleted) << name;
    EXPECT_TRUE(holds(std::string("ip link show ") + name));
  }
}

// Anybody with the right may put a device into another group; the file in which its name stands is not his.
TEST_F(Tun, ARecordedNameIsOursInWhateverGroupAndKeptInItsOwn) {
  ASSERT_TRUE(platform->open_tun("t0", 2, DeviceName::fresh));
  run("ip link set t0 group 0");
  auto next = std::move(*make_linux_platform("", "/nonexistent"));
  EXPECT_FALSE(next->interface("t0")->ours);
  EXPECT_EQ(next->open_tun("t0", 2, DeviceName::fresh).error().code, EEXIST);
  ASSERT_TRUE(next->change_fd());
  auto ports = next->open_tun("t0", 2, DeviceName::recorded);
  ASSERT_TRUE(ports) << ports.error().text;
  ASSERT_TRUE(next->set_link_up("t0", true));  // of a device that is down the kernel tells nothing
  EXPECT_TRUE(holds("ip link show dev t0 group 173 | grep -q t0"));
  (void)next->poll_changes();
  run("ip link set t0 group 0");
  EXPECT_TRUE(next->interface("t0")->ours) << "known by its index";
  (void)next->poll_changes();
  EXPECT_TRUE(holds("ip link show dev t0 group 173 | grep -q t0"));
}

TEST_F(Tun, ARecordedNameThatAUserMayOpenOrThatDoesNotLastIsNotOurs) {
  run("ip tuntap add dev u0 mode tun multi_queue user 65534 && ip tuntap add dev g0 mode tun multi_queue group 65534");
  for (const char* name : {"u0", "g0"}) {
    EXPECT_EQ(platform->open_tun(name, 1, DeviceName::recorded).error().code, EEXIST) << name;
    EXPECT_EQ(platform->delete_tun(name, DeviceName::recorded).error().code, EEXIST) << name;
    EXPECT_TRUE(holds(std::string("ip link show ") + name));
  }
}

TEST_F(Tun, ANameTooLongIsRefusedNotCut) {
  const auto opened = platform->open_tun("sixteen_letters0", 1, DeviceName::fresh);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, EINVAL);
  EXPECT_FALSE(holds("ip link show sixteen_letters"));
}

TEST_F(Tun, DeleteTakesItAwayAndIsContentWithNothing) {
  ASSERT_TRUE(platform->open_tun("t0", 1, DeviceName::fresh));
  EXPECT_TRUE(platform->delete_tun("t0", DeviceName::fresh));
  EXPECT_FALSE(holds("ip link show t0"));
  EXPECT_TRUE(platform->delete_tun("t0", DeviceName::fresh));
}

TEST_F(Tun, MtuGsoAndNameFollowOrders) {
  auto ports = platform->open_tun("t0", 1, DeviceName::fresh);
  ASSERT_TRUE(ports);
  EXPECT_TRUE(platform->set_mtu("t0", 1402));
  EXPECT_TRUE(platform->set_gso_max("t0", 62000, 44));
  EXPECT_TRUE(holds("ip -d link show t0 | grep -q 'mtu 1402.*'"));
  EXPECT_TRUE(holds("ip -d link show t0 | grep -q 'gso_max_size 62000 gso_max_segs 44'"));
  EXPECT_TRUE(platform->rename_link("t0", "u0"));
  EXPECT_TRUE(platform->interface("u0")->ours);
  const auto lost = platform->set_mtu("t0", 1300);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ENODEV);
}

// A host sends 8,000 bytes of UDP in one go with GSO into the tunnel: it arrives as one super-packet.
TEST_F(Tun, SuperPacketsComeWholeAndGoWhole) {
  auto ports = platform->open_tun("t0", 1, DeviceName::fresh);
  ASSERT_TRUE(ports);
  auto& port = *ports->front();
  ASSERT_TRUE(platform->set_link_up("t0", true));
  ASSERT_TRUE(platform->set_carrier("t0", true));
  run("ip addr add 10.0.0.1 peer 10.0.1.1 dev t0");
  const Descriptor sender(socket(AF_INET, SOCK_DGRAM, 0));
  const int segment = 1000;
  ASSERT_EQ(setsockopt(sender.get(), IPPROTO_UDP, 103 /* UDP_SEGMENT */, &segment, sizeof segment), 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);
  to.sin_addr.s_addr = htonl(0x0a000101);
  const std::vector<uint8_t> payload(8000, 7);
  ASSERT_EQ(sendto(sender.get(), payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 8000);
  std::vector<uint8_t> buffer(65536);
  Offload offload;
  ssize_t got = 0;
  do got = port.read(buffer, offload);
  while (got > 0 && buffer[9] != 17);  // multicast reports come first
  ASSERT_GT(got, 0);
  if (offload.kind == Offload::Kind::none) GTEST_SKIP() << "this kernel's TUN has no USO";
  EXPECT_EQ(got, 8028);
  EXPECT_EQ(offload.kind, Offload::Kind::udp);
  EXPECT_EQ(offload.segment_bytes, 1000);
  EXPECT_EQ(offload.header_length, 28);
  EXPECT_TRUE(offload.needs_checksum);

  // Back into the host: swapped addresses, and a socket there receives eight datagrams.
  const Descriptor receiver(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(9);
  ASSERT_EQ(bind(receiver.get(), reinterpret_cast<sockaddr*>(&here), sizeof here), 0);
  std::swap_ranges(buffer.begin() + 12, buffer.begin() + 16, buffer.begin() + 16);
  const std::array<ByteSpan, 2> pieces{ByteSpan(buffer.data(), 28),
                                       ByteSpan(buffer.data() + 28, static_cast<size_t>(got) - 28)};
  EXPECT_EQ(port.write(pieces, offload), 0);
  int datagrams = 0;
  pollfd wait{receiver.get(), POLLIN, 0};
  poll(&wait, 1, 1000);
  while (recv(receiver.get(), buffer.data(), buffer.size(), 0) == 1000) ++datagrams;
  EXPECT_EQ(datagrams, 8);
  EXPECT_EQ(port.read(buffer, offload), 0) << "nothing more";
}

TEST_F(Tun, WritingIntoADownOrLostDeviceSaysSo) {
  auto ports = platform->open_tun("t0", 1, DeviceName::fresh);
  ASSERT_TRUE(ports);
  const std::array<uint8_t, 20> packet{0x45};
  const std::array<ByteSpan, 1> pieces{ByteSpan(packet)};
  EXPECT_EQ(ports->front()->write(pieces, {}), -EIO);
  run("ip link del t0");
  std::vector<uint8_t> buffer(2000);
  Offload offload;
  EXPECT_LT(ports->front()->read(buffer, offload), 0);
  EXPECT_LT(ports->front()->write(pieces, {}), 0);
}

}  // namespace
}  // namespace adit::platform
