// Software GRO for packets that leave the tunnel: consecutive segments of one TCP flow (or equal datagrams of one UDP
// flow) become one super-packet for the TUN device, gathered by pieces; no payload is copied. Pure, bounded, nothing
// allocated.
//
// Order: packets of one flow leave in the order they came. Only what a receiver cannot tell apart after the device has
// cut it again is merged: same addresses, ports, TTL, traffic class, DF, flow label, TCP acknowledgment, window, flags
// and options, consecutive sequence numbers, equal sizes (the last may be shorter, and may carry PSH or FIN). SYN, RST,
// URG and CWR stay alone and end their flow's train; IPv4 options, IPv6 extension headers, fragments and other
// protocols stay alone and end every train between their two hosts.
//
// Checksums: a super-packet carries only its pseudo header's sum (needs_checksum), which tells the kernel that the data
// is right. So a segment is merged only when its own checksum was verified, or the caller states that all are right
// (Checksums::trusted). Lone packets go out exactly as they came and are not summed here: the kernel checks them.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "net/offload.h"

namespace adit::net {

enum class Checksums : uint8_t { verify, trusted };

struct CoalesceOptions {
  Checksums checksums = Checksums::verify;
  bool udp = false;  // UDP trains: the device must take GSO_UDP_L4 (Linux 6.2)
};

// One packet or super-packet, ready for TunPort::write.
struct Train {
  std::span<const ByteSpan> pieces;
  Offload offload;
  uint32_t packets = 0;
  uint32_t bytes = 0;
};

class Coalescer {
 public:
  static constexpr uint32_t kMaxPackets = 256;

  explicit Coalescer(CoalesceOptions options = {}) : options_(options) {}

  // Takes one inner packet. Its bytes must stay until clear(); the headers of merged ones are changed in place. Bytes
  // behind the packet's own length are cut. False: full, take the trains and clear first.
  bool add(MutByteSpan packet);

  // The trains in the order of their first packets: how many, and each ready to be written (the pieces stay valid until
  // the next call of anything here).
  [[nodiscard]] uint32_t trains() const { return train_count_; }
  Train train(uint32_t index);

  void clear();

 private:
  static constexpr uint16_t kNone = 0xffff;

  struct Segment {  // one packet that was added
    MutByteSpan bytes;
    uint16_t next = kNone;  // in its train
  };
  struct Line {                    // a train being made
    uint16_t first = 0, last = 0;  // segments
    uint16_t packets = 0;
    uint16_t segment_bytes = 0;
    uint32_t bytes = 0;  // of the super-packet
    uint32_t next_sequence = 0;
    uint8_t ip_header = 0, header = 0;  // bytes: IP; IP and transport
    uint8_t end_flags = 0;              // TCP: PSH and FIN of the last
    bool tcp = false;
    bool first_is_right = false;  // the first packet's checksum was verified
  };
  struct Open {  // a train that may take more
    uint32_t hash = 0;
    uint16_t line = 0;
  };
  struct Candidate;  // what coalesce.cpp reads of a packet

  Line& start(MutByteSpan packet);
  void open(MutByteSpan packet, const Candidate& candidate);
  void append(Line& line, MutByteSpan packet, const Candidate& candidate);
  bool joins(Line& line, ByteSpan packet, Candidate& candidate);
  bool all_right(Line& line, ByteSpan packet, Candidate& candidate);
  uint32_t find_open(ByteSpan packet, const Candidate& candidate) const;
  void close(uint32_t open_index);
  void close_between(ByteSpan packet);
  void finish(Line& line);

  CoalesceOptions options_;
  uint32_t segment_count_ = 0, train_count_ = 0, open_count_ = 0;
  std::array<Segment, kMaxPackets> segments_;
  std::array<Line, kMaxPackets> lines_;
  std::array<Open, kMaxPackets> open_;
  std::array<ByteSpan, kMaxPackets> pieces_;
};

}  // namespace adit::net
