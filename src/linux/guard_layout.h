// Which addresses are closed: networks that nest, laid out as disjoint ranges, each decided by the most specific
// network that covers it. One network more or less gives the few ranges that go and come. Pure; one thread.
#pragma once

#include <array>
#include <map>
#include <set>
#include <vector>

#include "net/address.h"

namespace adit::platform {

struct ClosedRange {
  net::Address first, last;  // inclusive
  net::Prefix network;       // whose closing it is
  friend auto operator<=>(const ClosedRange&, const ClosedRange&) = default;
};

// Ranges that are no more, and ranges that are new. None stands in both.
struct LayoutStep {
  std::set<ClosedRange> gone, come;
};

class GuardLayout {
 public:
  GuardLayout();

  // Networks are masked. Each call adds to `step` what it changed; one step may take many calls. Doing what is done
  // already changes nothing. Of equal length the closed network wins over the inside one.
  void close(const net::Prefix& network, LayoutStep& step) { mark(network, kClosed, true, step); }
  void open(const net::Prefix& network, LayoutStep& step) { mark(network, kClosed, false, step); }
  void add_inside(const net::Prefix& network, LayoutStep& step) { mark(network, kInside, true, step); }
  void remove_inside(const net::Prefix& network, LayoutStep& step) { mark(network, kInside, false, step); }

  [[nodiscard]] std::vector<ClosedRange> ranges(net::Family family) const;  // ascending

 private:
  using Wide = unsigned __int128;  // an address as a number; IPv4 in the low 32 bits
  enum Why : uint8_t { kClosed = 1, kInside = 2, kLink = 4 };
  struct Order {  // by start, the wider first
    bool operator()(const net::Prefix& a, const net::Prefix& b) const {
      return a.address() != b.address() ? a.address() < b.address() : a.length() < b.length();
    }
  };
  struct Piece {
    Wide last;
    net::Prefix network;
  };
  using Pieces = std::map<Wide, Piece>;  // by first
  struct Side {
    std::map<net::Prefix, uint8_t, Order> networks;  // Why, as bits
    Pieces pieces;
  };

  void mark(const net::Prefix& network, Why why, bool on, LayoutStep& step);
  void lay_again(const net::Prefix& network, LayoutStep& step);
  [[nodiscard]] Pieces laid(net::Family family, Wide first, Wide last) const;
  [[nodiscard]] Side& side(net::Family family) { return sides_[family == net::Family::v4 ? 0 : 1]; }
  [[nodiscard]] const Side& side(net::Family family) const { return sides_[family == net::Family::v4 ? 0 : 1]; }
  friend class LayoutWalk;

  std::array<Side, 2> sides_;
};

// Never closed by a wider network: loopback, the unspecified address, limited broadcast, and what never leaves a link.
// IPv4 link-local addresses and wider multicast are not among them: tunnels of cloud providers and routes for
// 239.0.0.0/8 are closed like any other.
const std::vector<net::Prefix>& link_networks(net::Family family);

// The address behind; nullopt: there is none.
std::optional<net::Address> address_behind(const net::Address& address);

}  // namespace adit::platform
