// Outbound fragments under a policy that looks at ports: the first fragment shows them, the later ones do not. They
// follow the first one's flow, which is remembered for a while (RFC 4301 §7.3). One that comes before its first waits
// for it: not decided, not let out. Bounded in number, of one link too, and in time. One worker's own.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "net/flow.h"
#include "net/ip_header.h"
#include "ports/ports.h"

namespace adit::datapath {

class FragmentMemo {
 public:
  static constexpr size_t kMostWaiting = 256, kMostOfLink = 64;
  static constexpr Seconds kLifetime{5};

  // A first fragment is remembered; a later one gets the first one's ports and ICMP type. False: the first was not
  // seen. REQUIRES: flow.fragment, and both read from the same packet.
  bool complete(tunnel::LinkId link, const net::IpHeader& header, net::Flow& flow, MonoTime now);

  // Keeps a copy of a later fragment until its first is there. False: the bound is reached, and it is not kept.
  // Memory is taken until each place has held the largest fragment, not per packet.
  bool keep(tunnel::LinkId link, const net::IpHeader& header, const net::Flow& flow, ByteSpan packet, MonoTime now);

  // Hands out those that waited for this first fragment, in the order in which they came: use(MutByteSpan).
  template <typename Use>
  void release(tunnel::LinkId link, const net::IpHeader& header, const net::Flow& flow, Use use) {
    if (waiting_ == 0) return;
    const Key key = key_of(link, header, flow);
    hand_out([&](const Waiting& one) { return one.key == key; }, [&](Waiting& one) { use(MutByteSpan{one.bytes}); });
  }

  // Those that waited too long: gone(LinkId, MutByteSpan).
  template <typename Gone>
  void expire(MonoTime now, Gone gone) {
    if (waiting_ == 0) return;
    hand_out([&](const Waiting& one) { return now >= one.until; },
             [&](Waiting& one) { gone(one.key.link, MutByteSpan{one.bytes}); });
  }
  [[nodiscard]] bool waiting() const { return waiting_ != 0; }

 private:
  struct Key {  // fragments of one datagram (IPv6: not the protocol, RFC 8200 §4.5)
    tunnel::LinkId link{};
    uint32_t identification = 0;
    net::Address source, destination;
    uint8_t protocol = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Seen {
    Key key;
    net::Flow flow;
    MonoTime until{};
  };
  struct Waiting {
    Key key;
    std::vector<uint8_t> bytes;
    MonoTime until{};
    uint64_t arrival = 0;  // 0: the place is free
  };

  static Key key_of(tunnel::LinkId link, const net::IpHeader& header, const net::Flow& flow);
  [[nodiscard]] Waiting* free_place(tunnel::LinkId link);

  // The places that `wanted` names, oldest first, each freed after its use.
  template <typename Wanted, typename Use>
  void hand_out(Wanted wanted, Use use) {
    for (;;) {
      Waiting* oldest = nullptr;
      for (Waiting& one : places_)
        if (one.arrival != 0 && wanted(one) && (oldest == nullptr || one.arrival < oldest->arrival)) oldest = &one;
      if (oldest == nullptr) return;
      oldest->arrival = 0;
      --waiting_;
      use(*oldest);
    }
  }

  static constexpr size_t kSeen = 256;
  std::array<Seen, kSeen> seen_;
  std::array<Waiting, kMostWaiting> places_;
  uint64_t arrivals_ = 0;
  size_t waiting_ = 0;
};

}  // namespace adit::datapath
