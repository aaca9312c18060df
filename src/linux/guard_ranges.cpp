#include "linux/guard_ranges.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/check.h"

namespace adit::platform {
namespace {

constexpr size_t kMostDifferences = 64;

using Wide = unsigned __int128;  // an address as a number; IPv4 in the low 32 bits

struct Claim {
  Wide first = 0, last = 0;
  const net::Prefix* network = nullptr;
  const std::set<std::string>* tunnels = nullptr;  // null: a local network
};

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

Wide span_of(const net::Prefix& prefix) {  // addresses in it, less one
  const unsigned host_bits = net::address_bits(prefix.family()) - prefix.length();
  return host_bits == 128 ? ~Wide{0} : (Wide{1} << host_bits) - 1;
}

// Walks claims that nest or are apart (prefixes never cross), ordered by start, the wider first. What lies between the
// end of an inner claim and the end of its outer one is the outer's again.
class Layout {
 public:
  explicit Layout(net::Family family) : family_(family) {}

  void add(const Claim& claim) {
    close_until(claim.first);
    if (!open_.empty()) emit(open_.back(), claim.first, false);
    at_ = claim.first;
    open_.push_back(claim);
  }
  std::vector<GuardRange> finish() {
    while (!open_.empty()) close_last();
    return std::move(ranges_);
  }

 private:
  void close_until(Wide start) {
    while (!open_.empty() && open_.back().last < start) close_last();
  }
  void close_last() {
    const Claim claim = open_.back();
    open_.pop_back();
    emit(claim, claim.last, true);
    exhausted_ = claim.last == ~Wide{0};
    at_ = claim.last + 1;
  }
  // From at_ up to `end`, with or without it.
  void emit(const Claim& claim, Wide end, bool with_end) {
    if (exhausted_ || (with_end ? at_ > end : at_ >= end) || claim.tunnels == nullptr) return;
    ranges_.push_back({address(at_, family_),
                       address(with_end ? end : end - 1, family_),
                       *claim.network,
                       {claim.tunnels->begin(), claim.tunnels->end()}});
  }

  net::Family family_;
  std::vector<Claim> open_;
  std::vector<GuardRange> ranges_;
  Wide at_ = 0;
  bool exhausted_ = false;  // at_ has passed the last address there is
};

net::Prefix known(const char* text) {
  const auto prefix = net::Prefix::parse(text);
  CHECK(prefix.has_value());
  return *prefix;
}

}  // namespace

const std::vector<net::Prefix>& link_scope_networks(net::Family family) {
  static const std::vector<net::Prefix> v4{known("0.0.0.0/8"), known("127.0.0.0/8"), known("169.254.0.0/16"),
                                           known("224.0.0.0/4"), known("255.255.255.255/32")};
  static const std::vector<net::Prefix> v6{known("::/128"), known("::1/128"), known("fe80::/10"), known("ff00::/8")};
  return family == net::Family::v4 ? v4 : v6;
}

std::optional<net::Address> next_address(const net::Address& value) {
  const Wide following = number(value) + 1;
  const bool none = following == 0 || (value.is_v4() && following >> 32 != 0);
  return none ? std::nullopt : std::optional(address(following, value.family()));
}

std::optional<GuardDifference> guard_difference(const std::vector<GuardRange>& before,
                                                const std::vector<GuardRange>& after) {
  const auto less = [](const GuardRange& a, const GuardRange& b) {
    return std::tie(a.first, a.last, a.network, a.tunnels) < std::tie(b.first, b.last, b.network, b.tunnels);
  };
  GuardDifference difference;
  std::ranges::set_difference(before, after, std::back_inserter(difference.gone), less);
  std::ranges::set_difference(after, before, std::back_inserter(difference.come), less);
  if (difference.gone.size() + difference.come.size() > kMostDifferences) return std::nullopt;
  for (const auto& range : difference.gone)
    if (std::ranges::any_of(after, [&](const GuardRange& there) { return there.network == range.network; }))
      return std::nullopt;
  return difference;
}

std::vector<GuardRange> guard_ranges(const Firewall& firewall, net::Family family) {
  std::map<net::Prefix, std::set<std::string>> guarded;
  for (const auto& one : firewall.guarded)
    if (one.network.family() == family) guarded[one.network.masked()].insert(one.tunnels.begin(), one.tunnels.end());
  if (guarded.empty()) return {};
  std::set<net::Prefix> local(link_scope_networks(family).begin(), link_scope_networks(family).end());
  for (const auto& network : firewall.local_networks)
    if (network.family() == family) local.insert(network.masked());

  std::vector<Claim> claims;
  const auto claim = [&](const net::Prefix& network, const std::set<std::string>* tunnels) {
    const Wide first = number(network.address());
    claims.push_back({first, first + span_of(network), &network, tunnels});
  };
  for (const auto& [network, tunnels] : guarded) claim(network, &tunnels);
  for (const auto& network : local)
    if (!guarded.contains(network)) claim(network, nullptr);
  std::ranges::sort(
      claims, [](const Claim& a, const Claim& b) { return a.first != b.first ? a.first < b.first : a.last > b.last; });
  Layout layout(family);
  for (const Claim& one : claims) layout.add(one);
  return layout.finish();
}

}  // namespace adit::platform
