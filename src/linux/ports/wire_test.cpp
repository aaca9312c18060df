#include "linux/ports/wire.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <map>
#include <set>

#include "linux/platform/mark.h"
#include "linux/process/testing/own_namespace.h"

namespace adit::platform {
namespace {

using datapath::WireError;
using datapath::WireKind;
using datapath::WirePort;
using datapath::WireReceived;
using datapath::WireSend;
using net::Address;

Address at(const char* text) {
  return *Address::parse(text);
}

struct Received {
  WireReceived item;
  std::vector<uint8_t> data;
};

class Wire : public OwnNamespace {
 protected:
  std::unique_ptr<WirePort> open(uint32_t worker = 0, uint32_t workers = 1) {
    std::vector<std::string> notices;
    auto wire = make_wire_port(worker, workers, kOuterMark, notices);
    EXPECT_TRUE(wire) << wire.error().text;
    EXPECT_TRUE(notices.empty()) << notices.front();
    return wire ? std::move(*wire) : nullptr;
  }
  std::vector<Received> receive(WirePort& wire, int patience_ms = 5000) {
    pollfd wait{wire.fds()[0], POLLIN, 0};
    poll(&wait, 1, patience_ms);
    std::array<WireReceived, 64> items;
    std::vector<uint8_t*> buffers;
    if (room_.empty()) room_.resize(64, std::vector<uint8_t>(datapath::kBufferBytes));
    for (auto& buffer : room_) buffers.push_back(buffer.data());
    const size_t count = wire.receive(buffers, items);
    std::vector<Received> all;
    for (size_t i = 0; i < count; ++i) {
      EXPECT_GE(items[i].data, buffers[i] + net::kHeadroom);
      all.push_back({items[i], {items[i].data, items[i].data + items[i].length}});
    }
    return all;
  }
  // By worker: until `count` packets have come to them together, and what comes right behind. The first may wait for an
  // answer to ARP.
  std::vector<std::vector<Received>> receive_by(const std::vector<std::unique_ptr<WirePort>>& workers, size_t count) {
    std::vector<std::vector<Received>> all(workers.size());
    size_t came = 0;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    for (bool last = false; !last;) {
      last = came >= count || std::chrono::steady_clock::now() > until;
      for (size_t i = 0; i < workers.size(); ++i)
        for (auto& one : receive(*workers[i], 20)) {
          all[i].push_back(std::move(one));
          ++came;
        }
    }
    return all;
  }
  static std::vector<int> send(WirePort& wire, const std::vector<WireSend>& items) {
    std::vector<datapath::WireResult> results(items.size(), datapath::WireResult{99});
    wire.send(items, results);
    std::vector<int> errors;
    for (const datapath::WireResult& result : results) errors.push_back(result.error);
    return errors;
  }
  static WireSend item(WireKind kind, const char* from, const char* to, ByteSpan payload) {
    WireSend one;
    one.kind = kind;
    one.source = at(from);
    one.destination = at(to);
    one.payload = payload;
    return one;
  }

 private:
  std::vector<std::vector<uint8_t>> room_;
};

constexpr std::array kKinds = {WireKind::ipip, WireKind::ipv6_in, WireKind::esp, WireKind::ah, WireKind::udp};

TEST_F(Wire, EveryKindArrivesOverBothFamiliesWithItsMarks) {
  make_far();
  const auto near = open();
  go_far();
  const auto far = open();
  const std::vector<uint8_t> payload{0, 0, 1, 1, 0, 0, 0, 1, 0xab};
  for (const bool v4 : {true, false})
    for (const WireKind kind : kKinds) {
      WireSend one =
          v4 ? item(kind, "192.0.2.1", "192.0.2.2", payload) : item(kind, "2001:db8::1", "2001:db8::2", payload);
      one.traffic_class = 0xb9;
      one.hoplimit = 33;
      one.has_encaplimit = !v4;
      one.encaplimit = 4;
      EXPECT_EQ(send(*near, {one}), std::vector<int>{0});
      const auto got = receive(*far);
      ASSERT_EQ(got.size(), 1u) << v4 << static_cast<int>(kind);
      EXPECT_EQ(got[0].data, payload);
      EXPECT_EQ(got[0].item.kind, kind);
      EXPECT_EQ(got[0].item.source, one.source);
      EXPECT_EQ(got[0].item.destination, one.destination);
      EXPECT_EQ(got[0].item.traffic_class, 0xb9);
      EXPECT_EQ(got[0].item.hoplimit, 33);
      EXPECT_EQ(got[0].item.source_port, kind == WireKind::udp ? 4500 : 0);
      EXPECT_EQ(got[0].item.outer_header != nullptr, v4 && kind != WireKind::udp);
    }
}

TEST_F(Wire, DontFragmentIsAsEachPacketSays) {
  run("ip addr add 192.0.2.1/24 dev lo");
  const auto wire = open();
  const std::vector<uint8_t> payload(64);
  std::vector<WireSend> items;
  for (const bool df : {true, false, false, true, false}) {
    items.push_back(item(WireKind::esp, "192.0.2.1", "192.0.2.1", payload));
    items.back().dont_fragment = df;
  }
  EXPECT_EQ(send(*wire, items), std::vector<int>(5, 0));
  const auto got = receive(*wire);
  ASSERT_EQ(got.size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ((got[i].item.outer_header[6] & 0x40) != 0, items[i].dont_fragment) << i;
}

TEST_F(Wire, TooBigIsRefusedOrFragmentedAndTheRestOfTheBurstGoes) {
  make_far();
  const auto near = open();
  go_far();
  const auto far = open();
  const std::vector<uint8_t> big(1600, 1), small(40, 2);
  for (const bool v4 : {true, false}) {
    const char* from = v4 ? "192.0.2.1" : "2001:db8::1";
    const char* to = v4 ? "192.0.2.2" : "2001:db8::2";
    std::vector<WireSend> items{item(WireKind::esp, from, to, small), item(WireKind::esp, from, to, big),
                                item(WireKind::esp, from, to, small), item(WireKind::esp, from, to, big)};
    items[3].dont_fragment = false;
    EXPECT_EQ(send(*near, items), (std::vector<int>{0, -EMSGSIZE, 0, 0}));
    const auto got = receive(*far);
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(got[2].data, big) << "reassembled by the kernel";
    std::array<WireError, 8> errors;
    receive(*near, 0);
    EXPECT_EQ(near->errors(errors), 0u) << "a local refusal is a result, not an ICMP error";
  }
}

TEST_F(Wire, UdpTrainsGoAndComeWhole) {
  make_far();
  const auto near = open();
  go_far();
  const auto far = open();
  std::vector<uint8_t> train(20 * 1400 + 300);
  for (size_t i = 0; i < train.size(); ++i) train[i] = static_cast<uint8_t>(i / 1400);
  WireSend one = item(WireKind::udp, "192.0.2.1", "192.0.2.2", train);
  one.segment_bytes = 1400;
  EXPECT_EQ(send(*near, {one}), std::vector<int>{0});
  std::vector<uint8_t> all;
  size_t entries = 0;
  while (all.size() < train.size()) {
    const auto got = receive(*far);
    ASSERT_FALSE(got.empty());
    for (const auto& part : got) {
      all.insert(all.end(), part.data.begin(), part.data.end());
      ++entries;
      if (part.data.size() > 1400) {
        EXPECT_EQ(part.item.segment_bytes, 1400);
      }
    }
  }
  EXPECT_EQ(all, train);
  EXPECT_LT(entries, 21u) << "at least some came as a train";
}

TEST_F(Wire, TrainOfDatagramsLargerThanThePathIsFragmentedWhereAllowed) {
  make_far();
  const auto near = open();
  go_far();
  const auto far = open();
  const std::vector<uint8_t> train(3 * 1600, 3);
  for (const bool v4 : {true, false}) {
    WireSend one = v4 ? item(WireKind::udp, "192.0.2.1", "192.0.2.2", train)
                      : item(WireKind::udp, "2001:db8::1", "2001:db8::2", train);
    one.segment_bytes = 1600;
    EXPECT_EQ(send(*near, {one}), std::vector<int>{-EMSGSIZE});
    one.dont_fragment = false;
    EXPECT_EQ(send(*near, {one}), std::vector<int>{0});
    const auto got = receive(*far);
    ASSERT_EQ(got.size(), 3u);
    for (const auto& part : got) EXPECT_EQ(part.data.size(), 1600u);
  }
}

TEST_F(Wire, IcmpErrorsNameTheirPacketAndTheMtu) {
  make_far();
  go_far();
  run("ip addr add 198.51.100.1/24 dev lo && ip link set far0 mtu 1400");
  run("ip addr add 203.0.113.1/24 dev far0 && ip route add blackhole 198.51.101.0/24 && ip route add unreachable "
      "198.51.102.0/24");
  run("echo 1 > /proc/sys/net/ipv4/ip_forward");
  go_near();
  run("ip route add 198.51.0.0/16 via 192.0.2.2");
  const auto near = open();
  const std::vector<uint8_t> payload{0, 0, 0x12, 0x34, 0, 0, 0, 9};
  EXPECT_EQ(send(*near, {item(WireKind::esp, "192.0.2.1", "198.51.102.7", payload)}), std::vector<int>{0});
  std::array<WireError, 8> errors;
  receive(*near);
  ASSERT_EQ(near->errors(errors), 1u);
  EXPECT_EQ(errors[0].kind, WireKind::esp);
  EXPECT_EQ(errors[0].icmp_type, 3);
  EXPECT_EQ(errors[0].icmp_code, 1);
  EXPECT_EQ(errors[0].offender, at("192.0.2.2"));
  EXPECT_EQ(errors[0].source, at("192.0.2.1"));
  EXPECT_EQ(errors[0].destination, at("198.51.102.7"));
  ASSERT_GE(errors[0].quoted_length, 8u);
  EXPECT_EQ(errors[0].quoted[2], 0x12);
  EXPECT_EQ(near->errors(errors), 0u);
  // The error does not fail the next packet, which has nothing to do with it.
  EXPECT_EQ(send(*near, {item(WireKind::esp, "192.0.2.1", "192.0.2.2", payload)}), std::vector<int>{0});
}

TEST_F(Wire, PathMtuIsLearntFromTooBig) {
  make_far();
  go_far();
  run("ip link add out0 type veth peer name out1 && ip addr add 198.51.100.1/24 dev out0 && ip link set out0 mtu 1300 "
      "up && "
      "ip link set out1 up && ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:01 dev out0 && echo 1 > "
      "/proc/sys/net/ipv4/ip_forward");
  go_near();
  run("ip route add 198.51.100.0/24 via 192.0.2.2");
  const auto near = open();
  EXPECT_EQ(near->path_mtu(at("192.0.2.1"), at("198.51.100.2")), 1500u);
  const std::vector<uint8_t> payload(1400);
  EXPECT_EQ(send(*near, {item(WireKind::esp, "192.0.2.1", "198.51.100.2", payload)}), std::vector<int>{0});
  receive(*near);
  std::array<WireError, 8> errors;
  ASSERT_EQ(near->errors(errors), 1u);
  EXPECT_EQ(errors[0].mtu, 1300u);
  EXPECT_EQ(near->path_mtu(at("192.0.2.1"), at("198.51.100.2")), 1300u);
  EXPECT_EQ(send(*near, {item(WireKind::esp, "192.0.2.1", "198.51.100.2", payload)}), std::vector<int>{-EMSGSIZE});
}

TEST_F(Wire, EachOfSeveralWorkersGetsItsShareOnce) {
  make_far();
  const auto near = open();
  go_far();
  std::vector<std::unique_ptr<WirePort>> workers;
  for (uint32_t i = 0; i < 3; ++i) workers.push_back(open(i, 3));
  for (const bool v4 : {true, false})
    for (const WireKind kind : kKinds) {
      std::map<uint8_t, std::set<size_t>> takers;  // packet number -> workers
      std::set<size_t> busy;
      for (uint8_t number = 0; number < 32; ++number) {
        std::vector<uint8_t> payload(24, number);
        payload[3] = payload[7] = number;  // SPI of ESP, of AH
        EXPECT_EQ(send(*near, {v4 ? item(kind, "192.0.2.1", "192.0.2.2", payload)
                                  : item(kind, "2001:db8::1", "2001:db8::2", payload)}),
                  std::vector<int>{0});
      }
      const auto came = receive_by(workers, 32);
      for (size_t worker = 0; worker < 3; ++worker)
        for (const auto& got : came[worker]) {
          takers[got.data[8]].insert(worker);
          busy.insert(worker);
        }
      EXPECT_EQ(takers.size(), 32u) << v4 << static_cast<int>(kind);
      for (const auto& [number, who] : takers) EXPECT_EQ(who.size(), 1u);
      if (kind == WireKind::esp || kind == WireKind::ah) {
        EXPECT_EQ(busy.size(), 3u) << "SPIs are spread";
      }
    }
}

TEST_F(Wire, WhatIsTooShortForAnSpiGetsToOneOfSeveralWorkers) {
  make_far();
  const auto near = open();
  go_far();
  std::vector<std::unique_ptr<WirePort>> workers;
  for (uint32_t i = 0; i < 3; ++i) workers.push_back(open(i, 3));
  for (const bool v4 : {true, false})
    for (const WireKind kind : {WireKind::esp, WireKind::ah}) {
      constexpr size_t kLengths = 8;
      for (size_t length = 0; length < kLengths; ++length) {
        const std::vector<uint8_t> payload(length);
        EXPECT_EQ(send(*near, {v4 ? item(kind, "192.0.2.1", "192.0.2.2", payload)
                                  : item(kind, "2001:db8::1", "2001:db8::2", payload)}),
                  std::vector<int>{0});
      }
      size_t taken = 0;
      for (const auto& came : receive_by(workers, kLengths)) taken += came.size();
      EXPECT_EQ(taken, kLengths) << v4 << static_cast<int>(kind);
    }
}

TEST_F(Wire, OuterPacketsCarryTheMark) {
  run("ip addr add 192.0.2.1/24 dev lo");
  run("nft add table inet t '{ chain c { type filter hook output priority 0; meta mark " + std::to_string(kOuterMark) +
      " counter accept; drop; }; }'");
  const auto wire = open();
  const std::vector<uint8_t> payload(40);
  for (const WireKind kind : kKinds)
    EXPECT_EQ(send(*wire, {item(kind, "192.0.2.1", "192.0.2.1", payload)}), std::vector<int>{0});
}

TEST_F(Wire, GoesOnWithoutATakenPortAndSaysSo) {
  run("ip addr add 192.0.2.1/24 dev lo");
  const Descriptor taken(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(4500);
  ASSERT_EQ(bind(taken.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  std::vector<std::string> notices;
  const auto wire = make_wire_port(0, 1, kOuterMark, notices);
  ASSERT_TRUE(wire);
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_EQ(notices[0], "no UDP port 4500 over IPv4: another program has the port; stop it (another IKE daemon?)");
  const std::vector<uint8_t> payload(40);
  EXPECT_EQ(send(**wire, {item(WireKind::udp, "192.0.2.1", "192.0.2.1", payload),
                          item(WireKind::esp, "192.0.2.1", "192.0.2.1", payload)}),
            (std::vector<int>{-EAFNOSUPPORT, 0}));
}

TEST_F(Wire, ASourceThatIsNotOursIsRefused) {
  run("ip addr add 192.0.2.1/24 dev lo");
  const auto wire = open();
  const std::vector<uint8_t> payload(40);
  const auto results = send(*wire, {item(WireKind::esp, "192.0.2.77", "203.0.113.1", payload)});
  EXPECT_LT(results[0], 0);
}

}  // namespace
}  // namespace adit::platform
