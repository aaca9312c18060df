#include "linux/guard/content/guard_routes.h"

#include <algorithm>

#include "base/check.h"

namespace adit::platform {
namespace {

using Kind = GuardRoute::Kind;

net::Prefix known(const char* text) {
  const auto prefix = net::Prefix::parse(text);
  CHECK(prefix.has_value());
  return *prefix;
}

// Routes to all of IPv6 must not reach the link: a blackhole there takes the packets of link-local addresses and of
// multicast, which table local does not always have.
const std::vector<net::Prefix>& link_of_ipv6() {
  static const std::vector<net::Prefix> link{known("fe80::/10"), known("ff00::/8")};
  return link;
}

// What a closed 0.0.0.0/0 leaves to the link. The rest of what it leaves is in table local.
const std::vector<net::Prefix>& link_of_ipv4() {
  static const std::vector<net::Prefix> link{known("224.0.0.0/24"), known("255.255.255.255/32")};
  return link;
}

std::vector<net::Prefix> strictly_within(const net::Prefix& network, const std::vector<net::Prefix>& some) {
  std::vector<net::Prefix> holes;
  std::ranges::copy_if(some, std::back_inserter(holes),
                       [&](const net::Prefix& one) { return one != network && network.contains(one); });
  return holes;
}

void cover(const net::Prefix& network, const std::vector<net::Prefix>& holes, std::vector<net::Prefix>& covered) {
  if (std::ranges::any_of(holes, [&](const net::Prefix& hole) { return hole.contains(network); })) return;
  if (std::ranges::none_of(holes, [&](const net::Prefix& hole) { return network.contains(hole); })) {
    covered.push_back(network);
    return;
  }
  const auto length = static_cast<uint8_t>(network.length() + 1);
  std::array<uint8_t, 16> upper{};
  std::ranges::copy(network.address().bytes(), upper.begin());
  upper[network.length() / 8] |= static_cast<uint8_t>(0x80 >> network.length() % 8);
  cover({network.address(), length}, holes, covered);
  cover({net::Address::from_bytes(network.family(), upper.data()), length}, holes, covered);
}

}  // namespace

std::vector<net::Prefix> without(const net::Prefix& network, const std::vector<net::Prefix>& holes) {
  std::vector<net::Prefix> covered;
  cover(network, holes, covered);
  return covered;
}

GuardRoutes::GuardRoutes(const GuardPlan& plan) {
  change({.generation = plan.generation,
          .close = plan.closed,
          .open = {},
          .inside = plan.inside,
          .not_inside = {},
          .flows = {},
          .not_flows = {},
          .peers = plan.peers,
          .not_peers = {}});
}

RouteStep GuardRoutes::change(const GuardChange& change) {
  RouteStep step;
  for (const auto& [network, devices] : change.close) close(network.masked(), true, step);
  for (const auto& network : change.open) close(network.masked(), false, step);
  for (const auto& network : change.inside) set_inside(network.masked(), true, step);
  for (const auto& network : change.not_inside) set_inside(network.masked(), false, step);
  for (const auto& peer : change.peers) set_peer(peer, true, step);
  for (const auto& peer : change.not_peers) set_peer(peer, false, step);
  return step;
}

void GuardRoutes::ask(const GuardRoute& route, bool on, RouteStep& step) {
  const auto at = routes_.try_emplace(route, 0).first;
  const bool stood = at->second > 0;
  at->second += on ? 1 : -1;
  CHECK(at->second >= 0);
  const bool stands = at->second > 0;
  if (!stands) routes_.erase(at);
  if (stood == stands) return;
  auto& here = stands ? step.come : step.gone;
  auto& other = stands ? step.gone : step.come;
  if (other.erase(route) == 0) here.insert(route);
}

// Not where the host's inside networks are: a look-up bound to a device does not see `throw` either.
void GuardRoutes::ask_blackholes(const net::Prefix& network, bool on, RouteStep& step) {
  auto holes = strictly_within(network, link_of_ipv6());
  for (const auto& one : strictly_within(network, {inside_.begin(), inside_.end()})) holes.push_back(one);
  for (const auto& piece : without(network, holes)) ask({piece, Kind::blackhole}, on, step);
}

void GuardRoutes::close(const net::Prefix& network, bool on, RouteStep& step) {
  if (closed_.contains(network) == on) return;
  const bool inside = inside_.contains(network);
  if (inside) ask({network, Kind::elsewhere}, !on, step);
  if (on)
    closed_.insert(network);
  else
    closed_.erase(network);
  if (network.family() == net::Family::v4) {
    ask({network, Kind::unreachable}, on, step);
    if (network.length() <= 1)
      for (const auto& link : link_of_ipv4()) ask({link, Kind::elsewhere}, on, step);
    return;
  }
  for (const auto& piece : without(network, strictly_within(network, link_of_ipv6())))
    ask({piece, Kind::unreachable}, on, step);
  ask_blackholes(network, on, step);
}

void GuardRoutes::set_inside(const net::Prefix& network, bool on, RouteStep& step) {
  if (inside_.contains(network) == on) return;
  const auto wider = network.family() == net::Family::v6 ? around(network) : std::vector<net::Prefix>();
  for (const auto& one : wider) ask_blackholes(one, false, step);
  if (on)
    inside_.insert(network);
  else
    inside_.erase(network);
  for (const auto& one : wider) ask_blackholes(one, true, step);
  if (!closed_.contains(network)) ask({network, Kind::elsewhere}, on, step);
}

void GuardRoutes::set_peer(const net::Address& peer, bool on, RouteStep& step) {
  if (peers_.contains(peer) == on) return;
  if (on)
    peers_.insert(peer);
  else
    peers_.erase(peer);
  ask({net::Prefix::host(peer), Kind::elsewhere}, on, step);
}

std::vector<net::Prefix> GuardRoutes::around(const net::Prefix& network) const {
  std::vector<net::Prefix> wider;
  for (uint8_t length = 0; length < network.length(); ++length)
    if (const auto at = closed_.find(net::Prefix(network.address(), length).masked()); at != closed_.end())
      wider.push_back(*at);
  return wider;
}

bool GuardRoutes::covers(const net::Prefix& network) const {
  return closed_.contains(network.masked()) || !around(network.masked()).empty();
}

bool GuardRoutes::overlaps(const net::Prefix& network) const {
  return covers(network) || std::ranges::any_of(closed_, [&](const net::Prefix& one) { return network.contains(one); });
}

}  // namespace adit::platform
