// What a worker needs of the operating system. src/linux/ implements these; tests use ports/testing/fake_ports.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "net/offload.h"
#include "net/packet.h"
#include "net/protocol.h"
#include "tunnel/link.h"

namespace adit::datapath {

using Offload = net::Offload;

// One queue of one TUN device. One worker's own; non-blocking.
class TunPort {
 public:
  virtual ~TunPort() = default;
  [[nodiscard]] virtual int fd() const = 0;  // to wait on; -1 for a fake
  // Up to buffer.size() bytes of one IP packet or super-packet. 0: nothing there now. <0: -errno (EIO: carrier off).
  virtual ssize_t read(MutByteSpan buffer, Offload& offload) = 0;
  // Writes one IP packet or super-packet whole, gathered from up to net::Coalescer::kMaxPackets `pieces`. 0, or -errno
  // (EAGAIN: full, EIO: link down).
  virtual int write(std::span<const ByteSpan> pieces, const Offload& offload) = 0;
};

enum class WireKind : uint8_t { ipip, ipv6_in, esp, ah, udp };  // protocols 4, 41, 50, 51 and UDP 4500

struct WireSend {  // one datagram, or with segment_bytes a train of equal ones (the last may be shorter)
  WireKind kind = WireKind::esp;
  net::Address source, destination;
  uint16_t destination_port = net::kPortIkeNat;  // UDP only
  uint16_t source_port = net::kPortIkeNat;
  uint8_t traffic_class = 0;
  uint8_t hoplimit = 64;
  uint8_t encaplimit = 0;       // IPv6 outer: destination option; 0: none, unless has_encaplimit
  bool has_encaplimit = false;  // IPv6 outer: the option is there even if its value is 0 (RFC 2473 §4.1.1)
  bool dont_fragment = true;
  ByteSpan payload;            // what follows the outer IP (and UDP) header
  uint16_t segment_bytes = 0;  // UDP GSO; 0: one datagram
  // kind ah over IPv4: the ICV covers identification 0 and the total length, so the port sends identification 0 with
  // DF.
};

struct WireReceived {
  WireKind kind = WireKind::esp;
  net::Address source, destination;
  uint16_t source_port = 0;
  uint8_t traffic_class = 0;
  uint8_t hoplimit = 0;
  uint8_t* data = nullptr;  // inside the buffer given; payload behind the outer headers
  uint32_t length = 0;
  uint16_t segment_bytes = 0;  // UDP GRO: a train of equal datagrams
  // The whole outer IP header, directly in front of `data`, when the system gave it (raw IPv4 sockets; AH needs it).
  // Null: not given; for AH the worker then rebuilds a plain IPv6 header from the fields above.
  uint8_t* outer_header = nullptr;
  uint32_t outer_header_bytes = 0;
};

// An ICMP error about an outer packet that this host sent (IP_RECVERR).
struct WireError {
  net::Address offender, source, destination;
  uint8_t icmp_type = 0, icmp_code = 0;
  bool is_v6 = false;
  WireKind kind = WireKind::esp;      // of the packet that it is about
  uint32_t mtu = 0;                   // packet too big: the next hop's MTU
  std::array<uint8_t, 128> quoted{};  // the beginning of the payload that is quoted (ESP: SPI, sequence)
  uint32_t quoted_length = 0;
};

struct WireResult {
  int error = 0;      // 0 or -errno (EMSGSIZE: path MTU; then path_mtu() tells)
  uint32_t left = 0;  // after an error: so many of a train's datagrams left all the same, the first ones
};

// One worker's sockets to the underlay: raw 4, 41, 50, 51 and UDP 4500, IPv4 and IPv6. The kernel makes and checks
// outer IP headers, fragments and reassembles; sends carry the mark that the guard and the routing rule know
// (linux/platform/mark.h).
class WirePort {
 public:
  virtual ~WirePort() = default;
  [[nodiscard]] virtual std::span<const int> fds() const = 0;  // readable: there is something to receive, or an error
  // Sends in as few system calls as it can. results[i] is items[i]'s.
  virtual void send(std::span<const WireSend> items, std::span<WireResult> results) = 0;
  // Fills up to items.size() entries; `buffers` (kBufferBytes each, with kHeadroom kept free in front) are given by the
  // caller, one an entry. Returns how many.
  virtual size_t receive(std::span<uint8_t* const> buffers, std::span<WireReceived> items) = 0;
  // ICMP errors that came; asked after each receive, so it must cost nothing when there are none.
  virtual size_t errors(std::span<WireError> items) = 0;
  // The kernel's path MTU to that destination from that source, 0: unknown.
  virtual uint32_t path_mtu(const net::Address& source, const net::Address& destination) = 0;
  // Packets that came while a socket was full, since the beginning; a train that the kernel had joined counts once.
  // Any thread.
  [[nodiscard]] virtual uint64_t overflow() const = 0;
};

// What UDP GSO takes in one send (RFC 768's length field; UDP_MAX_SEGMENTS), and the gso_max_size of a TUN that lets
// one TCP super-packet, sealed, be one such send: 45 segments of 1402 bytes grow to at most 1455 each.
constexpr uint32_t kTrainBytes = 65507, kTrainSegments = 64;
constexpr uint32_t kTunGsoMaxBytes = 62000;

constexpr uint32_t kBufferBytes = 65536 + net::kHeadroom + net::kTailroom;

}  // namespace adit::datapath
