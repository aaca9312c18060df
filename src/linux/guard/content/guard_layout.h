// Which addresses are closed: each network as keys of few lengths, so that one look-up in a hash a length answers for a
// packet; the most specific network that covers an address decides. One network more or less gives the few keys that go
// and come, and never takes away what a wider one closes. Pure; one thread.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "net/address.h"

namespace adit::platform {

// Addresses that begin with `key` are closed by `network`, or (not closed) inside by it, unless a longer key says
// otherwise.
struct LaidKey {
  net::Prefix key, network;
  bool closed = true;
  friend auto operator<=>(const LaidKey&, const LaidKey&) = default;
};

// Networks are laid out as keys of the next length that four divides: up to eight keys each.
constexpr uint8_t laid_length(uint8_t length) {
  return static_cast<uint8_t>((length + 3) / 4 * 4);
}

// Keys that are no more, and keys that are new. None stands in both.
struct LayoutStep {
  std::set<LaidKey> gone, come;
};

class GuardLayout {
 public:
  // Networks are masked. Each call adds to `step` what it changed; one step may take many calls. Doing what is done
  // already changes nothing. Of equal length the closed network wins over the inside one, which has keys only while a
  // wider one is closed.
  void close(const net::Prefix& network, LayoutStep& step) { mark(network, kClosed, true, step); }
  void open(const net::Prefix& network, LayoutStep& step) { mark(network, kClosed, false, step); }
  void add_inside(const net::Prefix& network, LayoutStep& step) { mark(network, kInside, true, step); }
  void remove_inside(const net::Prefix& network, LayoutStep& step) { mark(network, kInside, false, step); }

  [[nodiscard]] std::set<LaidKey> keys() const;
  [[nodiscard]] std::set<LaidKey> keys(const net::Prefix& network) const;  // that this one decides

 private:
  enum Why : uint8_t { kClosed = 1, kInside = 2 };

  void mark(const net::Prefix& network, Why why, bool on, LayoutStep& step);
  void set(const net::Prefix& network, Why why, bool on);
  [[nodiscard]] bool has(const net::Prefix& network, Why why) const;
  [[nodiscard]] bool in_a_closed_one(const net::Prefix& network) const;
  [[nodiscard]] std::optional<LaidKey> decided(const net::Prefix& key) const;

  std::map<net::Prefix, uint8_t> networks_;  // Why, as bits
  std::set<net::Prefix> inside_;
  std::array<std::array<uint32_t, 129>, 2> closed_{};  // how many, by family and length
};

// Never closed by a wider network: loopback, the unspecified address, limited broadcast, and what never leaves a link.
// IPv4 link-local addresses and wider multicast are not among them: tunnels of cloud providers and routes for
// 239.0.0.0/8 are closed like any other.
const std::vector<net::Prefix>& link_networks(net::Family family);
// Whether one of them lies in this network, and is not all of it.
bool covers_link_network(const net::Prefix& network);

}  // namespace adit::platform
