// Bursts for sendmmsg and recvmmsg, their memory made once. wire_send.cpp and wire_receive.cpp.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <span>

#include "linux/ports/wire_socket.h"
#include "ports/ports.h"

namespace adit::platform {

constexpr size_t kBurst = 64;
constexpr size_t kControlBytes = 160;  // packet info, class, hops, a destination option, a segment size

struct WireBatch {
  std::array<mmsghdr, kBurst> messages;
  std::array<iovec, kBurst> parts;
  std::array<sockaddr_in6, kBurst> names;  // large enough for sockaddr_in too
  struct alignas(cmsghdr) Control {
    std::array<uint8_t, kControlBytes> bytes;
  };
  std::array<Control, kBurst> controls;
};

class WireSender {
 public:
  // In order, as few system calls as the socket's DF setting allows. REQUIRES: all items are the socket's, results as
  // long.
  void send(WireSocket& socket, std::span<const datapath::WireSend> items, std::span<datapath::WireResult> results);

 private:
  void send_run(WireSocket& socket, std::span<const datapath::WireSend> items, std::span<datapath::WireResult> results);
  void fill(size_t slot, const WireSocket& socket, const datapath::WireSend& item);
  datapath::WireResult send_one(WireSocket& socket, size_t slot, const datapath::WireSend& item);
  datapath::WireResult send_segments(WireSocket& socket, const datapath::WireSend& item);
  WireBatch batch_{};
  bool trains_ = true;  // the devices here take UDP GSO
};

class WireReceiver {
 public:
  // One recvmmsg; returns how many entries are filled. Packets that are no packets are left out.
  size_t receive(const WireSocket& socket, std::span<uint8_t* const> buffers, std::span<datapath::WireReceived> items);

 private:
  WireBatch batch_{};
};

}  // namespace adit::platform
