// How the MTU of a tunnel comes about (decision 6): a plain value that adds up.
#pragma once

#include <cstdint>

namespace adit::engine {

struct MtuSum {
  uint32_t path = 1500;   // bytes of the outer packet that fit: the underlay's MTU, or what was learned below it
  bool learned = false;   // from a router's answer
  uint32_t outer = 20;    // outer header
  uint32_t reserved = 0;  // for IPsec at its worst: 78 ESP, 44 AH
  bool pinned = false;    // the mtu property says it, whatever the sum
  uint32_t mtu = 1280;    // of the link; never below 1280
};

}  // namespace adit::engine
