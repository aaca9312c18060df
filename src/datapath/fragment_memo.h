// Outbound fragments under a policy that looks at ports: the first fragment shows them, the later ones do not. They
// follow the first one's flow, which is remembered for a while; without it they are not let out (RFC 4301 §7.3, fail
// closed).
#pragma once

#include <array>

#include "base/clock.h"
#include "net/flow.h"
#include "net/ip_header.h"
#include "tunnel/link.h"

namespace adit::datapath {

class FragmentMemo {
 public:
  // A first fragment is remembered; a later one gets the first one's ports and ICMP type. False: the first was not
  // seen. REQUIRES: flow.fragment, and both read from the same packet.
  bool complete(tunnel::LinkId link, const net::IpHeader& header, net::Flow& flow, MonoTime now) {
    Entry& entry = entries_[slot(header, flow)];
    if (!header.later_fragment()) {
      entry = {link, header.identification, flow, now + kLifetime};
      return true;
    }
    const bool known = entry.link == link && entry.identification == header.identification &&
                       entry.flow.source == flow.source && entry.flow.destination == flow.destination &&
                       entry.flow.protocol == flow.protocol && now < entry.until;
    if (!known) return false;
    const uint32_t payload_offset = flow.payload_offset;
    flow = entry.flow;
    flow.payload_offset = payload_offset;
    return true;
  }

 private:
  static constexpr Seconds kLifetime{5};
  struct Entry {
    tunnel::LinkId link{};
    uint32_t identification = 0;
    net::Flow flow;
    MonoTime until{};
  };
  static size_t slot(const net::IpHeader& header, const net::Flow& flow) {
    return net::hash_address(flow.source, net::hash_address(flow.destination, header.identification)) % kEntries;
  }

  static constexpr size_t kEntries = 256;
  std::array<Entry, kEntries> entries_;
};

}  // namespace adit::datapath
