// From a gateway to an interface, and the routes that are refused: slips that would send a host's own network away
// (decisions.md 7), and tunnels that would carry themselves.
#include <algorithm>
#include <set>

#include "host/routes.h"
#include "linux/platform/mark.h"

namespace adit::engine {
namespace {

using net::Address;
using net::Prefix;
using platform::AddressInfo;
using platform::Route;

// Below the kernel's own default of 1024, so that an operator's route wins over one that was learned; LAB: of equals
// the older.
constexpr uint32_t kMetricV6 = 512;

// "Bob" for v4_bob0: the guide names a tunnel by the outer family and by who is at its end. Empty: another kind of
// name.
std::string peer_named_by(const std::string& tunnel) {
  if (tunnel.size() < 5 || (!tunnel.starts_with("v4_") && !tunnel.starts_with("v6_"))) return {};
  std::string name = tunnel.substr(3);
  while (!name.empty() && name.back() >= '0' && name.back() <= '9') name.pop_back();
  if (name.empty() || !std::ranges::all_of(name, [](char c) { return c >= 'a' && c <= 'z'; })) return {};
  name.front() = static_cast<char>(name.front() - 'a' + 'A');
  return name;
}

}  // namespace

std::string Routes::interface_name(int index) const {
  if (index == 0) return {};
  if (std::string tunnel = links_.name_at(index); !tunnel.empty()) return tunnel;
  const auto found = context_.platform.interface(index);
  return found ? found->name : std::string();
}

// Those that say something about the way to a gateway: whose peer it is, and where it is nobody's, that are it, or
// whose network may hold it.
Result<std::vector<AddressInfo>> Routes::addresses_about(const Address& gateway, bool as_interface) const {
  std::vector<AddressInfo> found;
  if (!as_interface) {
    TRY_ASSIGN(found, context_.platform.addresses_with_peer(gateway));
    if (!found.empty()) return found;
  }
  TRY_ASSIGN(const auto own, context_.platform.addresses_like(gateway));
  TRY_ASSIGN(const auto around, context_.platform.addresses_in_networks());
  found.insert(found.end(), own.begin(), own.end());
  found.insert(found.end(), around.begin(), around.end());
  return found;
}

Result<std::string> Routes::interface_of_gateway(const RouteCommand& command) const {
  const auto named = [&](const std::string& name) -> Result<std::string> {
    if (context_.platform.interface(name)) return name;
    return fail(ENODEV, "there is no interface {}", name);
  };
  if (command.interface) return named(*command.interface);
  if (command.gateway_is_interface && !command.gateway) return named(command.gateway_text);
  TRY_ASSIGN(const auto addresses, addresses_about(*command.gateway, command.gateway_is_interface));
  // The remote address of a secured tunnel leads into that tunnel or nowhere: a lease may claim it while that is away.
  const bool kept_to_a_tunnel = guard_.guards(Prefix::host(*command.gateway));
  std::set<std::string> peers;
  std::optional<std::string> own, connected;
  uint8_t longest = 0;
  for (const AddressInfo& address : addresses) {
    if (kept_to_a_tunnel && links_.name_at(address.interface_index).empty()) continue;
    const std::string interface = interface_name(address.interface_index);
    if (interface.empty()) continue;
    if (address.peer == command.gateway) peers.insert(interface);
    if (address.local.address() == *command.gateway) own = interface;
    const bool nearer = !connected || address.local.length() > longest;
    if (address.peer || address.local.is_host() || !address.local.masked().contains(*command.gateway) || !nearer)
      continue;
    connected = interface;
    longest = address.local.length();
  }
  if (command.gateway_is_interface) {
    if (own) return *own;
    return fail(ENETUNREACH, "{} is not an address of this host, as -interface asks for", command.gateway_text);
  }
  if (peers.size() > 1)
    return fail(EINVAL, "{} is the remote address of {} and of {}: say which with -ifp", command.gateway_text,
                *peers.begin(), *peers.rbegin());
  if (!peers.empty()) return *peers.begin();
  if (kept_to_a_tunnel)
    return fail(ENETUNREACH, "Network is unreachable; {} is kept to a tunnel, and is the remote address of none now",
                command.gateway_text);
  if (command.gateway->is_link_local())
    return fail(ENETUNREACH,
                "Network is unreachable; {} is the remote address of no tunnel here: 'ipadm show-addr' shows those, "
                "-ifp names another interface",
                command.gateway_text);
  if (own)
    return fail(EINVAL, "{} is this host's own address on {}; the gateway is the other side's", command.gateway_text,
                *own);
  if (connected) return *connected;
  return fail(ENETUNREACH,
              "Network is unreachable; {} is neither the remote address of a tunnel nor on a network of this host",
              command.gateway_text);
}

// Ways into secured tunnels stand in the guard's table, which is asked before any other: more specific routes, later
// rules and other tables do not lead round them. An unsecured tunnel's stands there only where it holds the tunnel's
// own peer, which that table throws back, and never inside a closed network: it would open that layer.
bool Routes::stands_before_others(const std::string& interface, const Prefix& destination) const {
  const auto tunnel = links_.tunnel(interface);
  if (!tunnel) return false;
  if (tunnel->secured) return true;
  return tunnel->remote && destination.contains(*tunnel->remote) && !guard_.covers(destination);
}

Result<Route> Routes::resolve(const RouteCommand& command) const {
  Route route;
  route.destination = command.destination.masked();
  route.protocol = platform::kRouteProtocol;
  if (route.destination.family() == net::Family::v6) route.metric = kMetricV6;
  route.preferred_source = command.source;
  route.unreachable = command.reject;
  route.blackhole = command.blackhole && !command.reject;
  if (command.reject || command.blackhole) return route;
  TRY_ASSIGN(const std::string interface, interface_of_gateway(command));
  TRY_ASSIGN(const auto info, context_.platform.interface(interface));
  route.interface_index = info.index;
  if (stands_before_others(interface, route.destination)) route.table = platform::kGuardTable;
  if (!command.gateway_is_interface) route.gateway = command.gateway;
  return route;
}

// A network of this host, sent elsewhere: nearly always a slip of one digit, and it cuts off the hosts of that network.
Result<> Routes::refuse_slips(const RouteCommand& command, const Route& route) const {
  if (command.host || route.destination.length() == 0 || route.interface_index == 0) return {};
  TRY_ASSIGN(const auto addresses, context_.platform.addresses_in_networks());
  const bool slip = command.destination.has_host_bits();
  for (const AddressInfo& address : addresses) {
    const Prefix own = address.local.masked();
    if (address.peer || own.is_host() || address.interface_index == route.interface_index) continue;
    if (own != route.destination && !(slip && own.contains(route.destination))) continue;
    const std::string interface = interface_name(address.interface_index);
    if (interface.empty()) continue;
    std::string text = slip ? fmt::format("{} is {}, this host's own network on {}", command.destination.str(),
                                          route.destination.str(), interface)
                            : fmt::format("{} is this host's own network on {}", route.destination.str(), interface);
    const std::string peer = peer_named_by(interface_name(route.interface_index));
    const std::string whose = peer.empty() ? "the network of " + command.gateway_text : peer + "'s network";
    const Prefix meant = command.gateway ? Prefix(*command.gateway, route.destination.length()).masked() : own;
    if (meant.overlaps(own) || meant.address().is_link_local())
      text += fmt::format("; for {} say its own prefix", whose);
    else
      text += fmt::format("; for {} say {}", whose, meant.str());
    return fail(EINVAL, "{} (-f adds it as it stands)", text);
  }
  return {};
}

// Just the outer destination routed into its own tunnel. Wider networks that hold it are let in: the guard's table
// throws the peer back to the host's own routes.
Result<> Routes::refuse_self_carriage(const Route& route) const {
  const auto tunnel = links_.tunnel(interface_name(route.interface_index));
  if (!tunnel || !tunnel->remote || route.destination != Prefix::host(*tunnel->remote)) return {};
  return fail(
      ELOOP,
      "{} is the outer address of {}'s peer: the tunnel would carry itself; route the networks behind it instead",
      tunnel->remote->str(), tunnel->name);
}

// Asked once the route stands: does the tunnel's own outer packet take it after all?
Result<> Routes::carries_itself_now(const Route& route) const {
  const auto tunnel = links_.tunnel(interface_name(route.interface_index));
  if (!tunnel || !tunnel->remote || !route.destination.contains(*tunnel->remote)) return {};
  const auto way = context_.platform.lookup_route(*tunnel->remote, platform::kOuterMark);
  if (!way || way->interface_index != route.interface_index) return {};
  return fail(ELOOP, "{} would carry itself: its outer packets to {} would go into {}, and nothing else leads there",
              tunnel->name, tunnel->remote->str(), tunnel->name);
}

}  // namespace adit::engine
