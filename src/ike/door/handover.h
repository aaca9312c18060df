// How a key manager gets its sockets: it connects to <run directory>/ike.sock (SOCK_SEQPACKET), of which only root is a
// client, and aditd sends packets of four octets, each but a refusal with one descriptor (SCM_RIGHTS):
//
//   octet 0       version: 1
//         1       what it brings, below
//         2 .. 3  refused: the errno, network order; else 0
//
// One client at a time. What cannot be had yet, because another program has port 500, comes when it can. The client
// sends nothing. When either side closes the connection, the pair is closed, and port 500 hears nobody until the next
// client; that one gets a new pair. All descriptors are non-blocking.
#pragma once

#include <array>
#include <cstdint>

namespace adit::ike {

enum class Handed : uint8_t {
  refused = 0,
  udp500_v4 = 1,  // bound to port 500 of all addresses, marked as outer packets are; IP_PKTINFO on, DF off
  udp500_v6 = 2,  // likewise, for IPv6 alone
  pair = 3,       // one end of the pair for port 4500: ike/door/frame.h
};

constexpr uint8_t kHandoverVersion = 1;

constexpr std::array<uint8_t, 4> handover(Handed what, int error = 0) {
  return {kHandoverVersion, static_cast<uint8_t>(what), static_cast<uint8_t>(error >> 8), static_cast<uint8_t>(error)};
}

}  // namespace adit::ike
