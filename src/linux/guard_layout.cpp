#include "linux/guard_layout.h"

#include "base/check.h"

namespace adit::platform {
namespace {

using Wide = unsigned __int128;

Wide number(const net::Address& address) {
  Wide value = 0;
  for (const uint8_t byte : address.bytes()) value = value << 8 | byte;
  return value;
}

net::Address address(Wide value, net::Family family) {
  std::array<uint8_t, 16> bytes{};
  const size_t size = net::address_bytes(family);
  for (size_t i = 0; i < size; ++i) bytes[size - 1 - i] = static_cast<uint8_t>(value >> (8 * i));
  return net::Address::from_bytes(family, bytes.data());
}

Wide last_number(net::Family family) {
  return family == net::Family::v4 ? Wide{0xffffffff} : ~Wide{0};
}

Wide first_of(const net::Prefix& network) {
  return number(network.address());
}

Wide last_of(const net::Prefix& network) {
  const unsigned host_bits = net::address_bits(network.family()) - network.length();
  return first_of(network) + (host_bits == 128 ? ~Wide{0} : (Wide{1} << host_bits) - 1);
}

net::Prefix known(const char* text) {
  const auto prefix = net::Prefix::parse(text);
  CHECK(prefix.has_value());
  return *prefix;
}

// What a step has undone of itself is in neither of its halves.
void note(std::set<ClosedRange>& here, std::set<ClosedRange>& other, const ClosedRange& range) {
  if (other.erase(range) == 0) here.insert(range);
}

}  // namespace

// Walks networks in order of their start, the wider first. What lies between the end of an inner network and the end of
// its outer one is the outer's again.
class LayoutWalk {
 public:
  LayoutWalk(GuardLayout::Pieces& pieces, Wide first, Wide last) : pieces_(pieces), at_(first), end_(last) {}

  void enter(const net::Prefix& network, bool closed) {
    const Wide first = first_of(network);
    while (!open_.empty() && last_of(open_.back().network) < first) leave();
    if (first > at_) emit(first - 1);
    open_.push_back({network, closed});
  }
  void finish() {
    while (!open_.empty()) leave();
  }

 private:
  struct Open {
    net::Prefix network;
    bool closed;
  };
  void leave() {
    emit(last_of(open_.back().network));
    open_.pop_back();
  }
  // From at_ up to and with `last`: the innermost network's.
  void emit(Wide last) {
    if (done_ || last < at_) return;
    last = std::min(last, end_);
    if (!open_.empty() && open_.back().closed) pieces_.emplace(at_, GuardLayout::Piece{last, open_.back().network});
    done_ = last == end_;
    at_ = last + 1;
  }

  GuardLayout::Pieces& pieces_;
  std::vector<Open> open_;
  Wide at_, end_;
  bool done_ = false;
};

GuardLayout::GuardLayout() {
  LayoutStep nothing;
  for (const auto family : {net::Family::v4, net::Family::v6})
    for (const auto& network : link_networks(family)) mark(network, kLink, true, nothing);
}

void GuardLayout::mark(const net::Prefix& network, Why why, bool on, LayoutStep& step) {
  auto& networks = side(network.family()).networks;
  const auto [at, fresh] = networks.try_emplace(network, uint8_t{0});
  const uint8_t before = at->second;
  at->second = static_cast<uint8_t>(on ? before | why : before & ~why);
  const bool changed = fresh || before != at->second;
  if (at->second == 0) networks.erase(at);
  if (changed) lay_again(network, step);
}

// Only the network's own span can change, and pieces that reach over its ends or join there.
void GuardLayout::lay_again(const net::Prefix& network, LayoutStep& step) {
  const net::Family family = network.family();
  Pieces& pieces = side(family).pieces;
  Wide first = first_of(network), last = last_of(network);
  auto from = pieces.lower_bound(first);
  if (from != pieces.begin()) {
    const auto before = std::prev(from);  // starts before the network
    if (before->second.last >= first || before->second.last + 1 == first) {
      from = before;
      first = before->first;
    }
  }
  const auto until = pieces.upper_bound(last == last_number(family) ? last : last + 1);
  if (until != from) last = std::max(last, std::prev(until)->second.last);

  const auto range = [&](const Pieces::value_type& piece) {
    return ClosedRange{address(piece.first, family), address(piece.second.last, family), piece.second.network};
  };
  const Pieces fresh = laid(family, first, last);
  for (auto piece = from; piece != until; ++piece) note(step.gone, step.come, range(*piece));
  for (const auto& piece : fresh) note(step.come, step.gone, range(piece));
  pieces.erase(from, until);
  pieces.insert(fresh.begin(), fresh.end());
}

GuardLayout::Pieces GuardLayout::laid(net::Family family, Wide first, Wide last) const {
  const auto& networks = side(family).networks;
  const net::Address start = address(first, family);
  Pieces pieces;
  LayoutWalk walk(pieces, first, last);
  for (int length = 0; length <= net::address_bits(family); ++length) {  // those around the start
    const auto outer = networks.find(net::Prefix(start, static_cast<uint8_t>(length)).masked());
    if (outer != networks.end() && outer->first.address() != start) walk.enter(outer->first, outer->second & kClosed);
  }
  for (auto at = networks.lower_bound(net::Prefix(start, 0)); at != networks.end(); ++at) {
    if (first_of(at->first) > last) break;
    walk.enter(at->first, at->second & kClosed);
  }
  walk.finish();
  return pieces;
}

std::vector<ClosedRange> GuardLayout::ranges(net::Family family) const {
  std::vector<ClosedRange> all;
  for (const auto& [first, piece] : side(family).pieces)
    all.push_back({address(first, family), address(piece.last, family), piece.network});
  return all;
}

const std::vector<net::Prefix>& link_networks(net::Family family) {
  static const std::vector<net::Prefix> v4{known("0.0.0.0/8"), known("127.0.0.0/8"), known("224.0.0.0/24"),
                                           known("255.255.255.255/32")};
  static const std::vector<net::Prefix> v6{known("::/128"), known("::1/128"), known("fe80::/10"), known("ff01::/16"),
                                           known("ff02::/16")};
  return family == net::Family::v4 ? v4 : v6;
}

std::optional<net::Address> address_behind(const net::Address& value) {
  if (number(value) == last_number(value.family())) return std::nullopt;
  return address(number(value) + 1, value.family());
}

}  // namespace adit::platform
