// One packet on its way: a window into a buffer that the worker owns, with room in front for headers and behind for a
// trailer.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/check.h"
#include "base/drop_reason.h"

namespace adit::net {

// Room that every buffer of the path keeps around an inner packet: outer IPv6 (40) + encapsulation limit (8) + UDP (8)
// + AH (12+32+pad) + ESP header and IV (8+16); trailer: padding, pad length, next header, ICV.
constexpr uint32_t kHeadroom = 192;
constexpr uint32_t kTailroom = 320;

struct Packet {
  uint8_t* data = nullptr;
  uint32_t length = 0;
  uint32_t headroom = 0;  // bytes before data that may be written
  uint32_t tailroom = 0;  // bytes behind data + length that may be written
  uint8_t protocol = 0;   // IP protocol number of what data holds: 4 IPv4, 41 IPv6, 50 ESP, 51 AH …
  DropReason drop = DropReason::none;
  uint64_t sequence = 0;  // the SA's 64-bit sequence number: given by seal, found by open

  [[nodiscard]] ByteSpan bytes() const { return {data, length}; }
  [[nodiscard]] MutByteSpan mutable_bytes() { return {data, length}; }
  // REQUIRES: the room is there.
  void prepend(uint32_t count) {
    CHECK(count <= headroom);
    data -= count;
    length += count;
    headroom -= count;
  }
  void append(uint32_t count) {
    CHECK(count <= tailroom);
    length += count;
    tailroom -= count;
  }
  void trim_front(uint32_t count) {
    CHECK(count <= length);
    data += count;
    length -= count;
    headroom += count;
  }
  void trim_back(uint32_t count) {
    CHECK(count <= length);
    length -= count;
    tailroom += count;
  }
};

}  // namespace adit::net
