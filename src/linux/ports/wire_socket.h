// The sockets of a wire port: how each is opened and set up. wire_raw.cpp and wire_udp.cpp.
#pragma once

#include <array>
#include <cstdint>

#include "base/result.h"
#include "linux/process/descriptor.h"
#include "ports/ports.h"

namespace adit::platform {

using datapath::WireKind;
constexpr size_t kWireKinds = 5;
constexpr uint8_t kDefaultHops = 64;  // the socket's own; a packet with another says so itself

struct WireSocket {
  Descriptor fd;
  WireKind kind = WireKind::esp;
  net::Family family = net::Family::v4;
  bool may_fragment = false;  // IP_MTU_DISCOVER as it is set now
  [[nodiscard]] bool is_v4() const { return family == net::Family::v4; }
};

constexpr uint8_t protocol_of(WireKind kind) {
  constexpr std::array<uint8_t, kWireKinds> numbers{4, 41, 50, 51, 17};
  return numbers[static_cast<size_t>(kind)];
}

// Mark, buffers, error queue, DF, default hops, what is told of received packets. Errors are errno values with a
// reason.
Result<> set_up_socket(WireSocket& socket, uint32_t mark);
// A raw socket sees every packet of its protocol in the namespace; of several workers each keeps its share: ESP and AH
// by SPI, IP in IP by the outer addresses.
Result<WireSocket> open_raw_socket(WireKind kind, net::Family family, uint32_t worker, uint32_t workers, uint32_t mark);
// Of several workers each has a socket of its own on the port, and the kernel spreads flows.
Result<WireSocket> open_udp_socket(net::Family family, uint32_t workers, uint32_t mark);

// Whether packets larger than the path are fragmented here and on their way (DF clear), or refused with EMSGSIZE (DF
// set).
void allow_fragmenting(WireSocket& socket, bool allow);

// The next ICMP error of the socket's error queue. False: none left. Our own sends' local errors are passed over.
bool next_error(const WireSocket& socket, datapath::WireError& error);

}  // namespace adit::platform
