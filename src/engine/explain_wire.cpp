// Where engine/explain.cpp ends, the kernel goes on: the rules of others' firewalls, the outer packet's route and
// device, reverse-path filters, and what became of the packets sent lately. Each is asked as it stands now.
#include <algorithm>

#include "engine/explain.h"
#include "engine/explain_words.h"
#include "linux/nft/ruleset_walk.h"
#include "linux/platform/mark.h"
#include "net/ip_header.h"
#include "net/protocol.h"

namespace adit::engine {
namespace {

using platform::Hook;

// Adit's own: the guard's word about a packet comes from the guard.
bool is_own_table(std::string_view, std::string_view name) {
  return name == "adit" || name.starts_with("adit-") || name.starts_with("adit_");
}

platform::WalkedPacket inner_packet(const net::Flow& flow) {
  platform::WalkedPacket packet;
  packet.source = flow.source;
  packet.destination = flow.destination;
  packet.protocol = flow.protocol;
  if (flow.has_ports) {
    packet.source_port = flow.source_port;
    packet.destination_port = flow.destination_port;
  }
  if (flow.has_icmp) packet.icmp_type = flow.icmp_type;
  return packet;
}

// As the wire sees it: what the outermost SA makes of it.
platform::WalkedPacket outer_packet(const net::Address& source, const net::Address& destination, uint8_t protocol) {
  platform::WalkedPacket packet;
  packet.source = source;
  packet.destination = destination;
  packet.protocol = protocol;
  if (protocol == net::kProtoUdp) packet.source_port = packet.destination_port = net::kPortIkeNat;
  return packet;
}

uint8_t outer_protocol(const datapath::Way& way, const net::Flow& inner) {
  if (way.ah != nullptr) return net::kProtoAh;
  if (way.in_udp()) return net::kProtoUdp;
  if (way.esp != nullptr) return net::kProtoEsp;
  return inner.source.is_v4() ? net::kProtoIpv4 : net::kProtoIpv6;
}

std::string_view name_of_protocol(uint8_t protocol) {
  switch (protocol) {
    case net::kProtoAh:
      return "AH";
    case net::kProtoUdp:
      return "UDP 4500";
    case net::kProtoEsp:
      return "ESP";
    default:
      return "IP in IP";
  }
}

}  // namespace

// False: a rule stops it for certain. What may stop it is noted.
bool Explainer::firewall_passes(const platform::WalkedPacket& packet, const std::vector<Hook>& hooks,
                                std::string_view what, Explanation& about) {
  if (!ruleset_) ruleset_ = context_.platform.ruleset();
  if (!*ruleset_) {
    about.not_followed.push_back(fmt::format("the firewall's rules cannot be read ({})", ruleset_->error().text));
    return true;
  }
  for (const auto& finding : platform::walk_ruleset(**ruleset_, hooks, packet, is_own_table)) {
    if (finding.certain)
      return conclude(about, "firewall", fmt::format("{} is dropped by the firewall: {}.", what, finding.where));
    const std::string note = finding.where + " may drop it";
    if (std::ranges::find(about.not_followed, note) == about.not_followed.end()) about.not_followed.push_back(note);
  }
  return true;
}

// The inner packet on its way into `device`.
bool Explainer::reaches(const std::string& device, const net::Flow& flow, Explanation& about) {
  platform::WalkedPacket packet = inner_packet(flow);
  packet.out = device;
  if (about.own) return firewall_passes(packet, {Hook::output, Hook::postrouting, Hook::egress}, "It", about);
  if (const auto back = context_.platform.lookup_route(flow.source, 0))
    packet.in = interface_name(back->interface_index);
  packet.source_routed = packet.source_routed_in = !packet.in.empty();
  return firewall_passes(packet, {Hook::ingress, Hook::prerouting, Hook::forward, Hook::postrouting, Hook::egress},
                         "It", about);
}

// The outer packet, from the worker's socket to the underlay's device.
bool Explainer::leaves_host(const datapath::Way& way, const net::Flow& flow, Explanation& about) {
  const tunnel::Outer& outer = way.link->outer;
  const std::string& name = about.tunnel->name;
  const auto route = context_.platform.lookup_route(outer.remote, platform::kOuterMark);
  if (!route || route->interface_index == 0) {
    const std::string why = route ? "it is closed by a route of this host" : route.error().text;
    about.outer = ExplainedRoute{.error = why};
    return conclude(
        about, "no_outer_route",
        fmt::format("It does not leave: {0} protects it, and no route of the underlay leads to {1}: {2}; give "
                    "the underlay a route to {1}.",
                    name, outer.remote.str(), why));
  }
  about.outer = told_route(*route);
  if (!device_carries(*route, name, outer.remote, about)) return false;
  const uint8_t protocol = outer_protocol(way, flow);
  platform::WalkedPacket packet = outer_packet(outer.local, outer.remote, protocol);
  packet.out = about.outer->interface;
  packet.mark = platform::kOuterMark;
  const std::string what =
      fmt::format("Its outer packet ({} {} > {})", name_of_protocol(protocol), outer.local.str(), outer.remote.str());
  if (!firewall_passes(packet, {Hook::output, Hook::postrouting, Hook::egress}, what, about)) return false;
  const std::string trouble = links_.send_trouble(name);
  return trouble.empty() || conclude(about, "send_failed", fmt::format("It does not leave: {}.", trouble));
}

bool Explainer::device_carries(const platform::Route& route, const std::string& tunnel, const net::Address& remote,
                               Explanation& about) {
  const std::string& name = about.outer->interface;
  if (links_.tunnel(name))
    return conclude(
        about, "loop",
        fmt::format("It does not leave: the route to {}, the remote end of {}, leads into the tunnel {}; give "
                    "the underlay a route to it.",
                    remote.str(), tunnel, name));
  const auto device = context_.platform.interface(name);
  if (device && device->up && (device->carrier || device->loopback) && !route.linkdown) return true;
  return conclude(about, "no_outer_route",
                  fmt::format("It does not leave: the way to {} is over {}, which is {}.", remote.str(), name,
                              !device || !device->up ? "down" : "without a carrier"));
}

// ---- coming in

int Explainer::reverse_path_filter(const std::string& device) const {
  int strictest = 0;
  for (const std::string& scope : {std::string("all"), device}) {
    const auto value = context_.platform.sysctl("net/ipv4/conf/" + scope + "/rp_filter");
    if (value && !value->empty() && (*value)[0] >= '0' && (*value)[0] <= '2')
      strictest = std::max(strictest, (*value)[0] - '0');
  }
  return strictest;
}

// rp_filter(ip-sysctl): 1 strict, the way back must be over the device that it came by; 2 loose, any way back.
bool Explainer::reverse_path_passes(const platform::WalkedPacket& packet, std::string_view what, Explanation& about) {
  if (!packet.source.is_v4() || packet.in.empty()) return true;
  const int filter = reverse_path_filter(packet.in);
  if (filter == 0 || (filter == 2 ? packet.source_routed : packet.source_routed_in).value_or(true)) return true;
  return conclude(
      about, "rp_filter",
      fmt::format("{} is dropped by {}'s reverse-path filter (rp_filter={}): the way back to {} is not over {}; "
                  "give it a route there, or set net.ipv4.conf.{}.rp_filter to 0.",
                  what, packet.in, filter, packet.source.str(), filter == 2 ? "any device" : packet.in, packet.in));
}

void Explainer::know_way_back(platform::WalkedPacket& packet) const {
  const auto back = context_.platform.lookup_route(packet.source, 0);
  packet.source_routed = back.has_value() && back->interface_index != 0;
  packet.source_routed_in = *packet.source_routed && interface_name(back->interface_index) == packet.in;
}

std::string Explainer::device_of(const net::Address& own) const {
  const auto addresses = context_.platform.addresses();
  if (!addresses) return {};
  const auto found = std::ranges::find_if(*addresses, [&](const auto& info) { return info.local.address() == own; });
  return found == addresses->end() ? "" : interface_name(found->interface_index);
}

// The outer packet, from the underlay's device to the worker's socket.
bool Explainer::outer_arrives(const datapath::Link& link, uint8_t protocol, Explanation& about) {
  const tunnel::Outer& outer = link.outer;
  platform::WalkedPacket packet = outer_packet(outer.remote, outer.local, protocol);
  packet.in = device_of(outer.local);
  if (packet.in.empty())
    return conclude(about, "no_tunnel",
                    fmt::format("Its outer packet is not taken: {}, the local end of {}, is not an address "
                                "of this host now.",
                                outer.local.str(), link.name));
  const auto device = context_.platform.interface(packet.in);
  if (device && !device->up)
    return conclude(about, "link_down", fmt::format("Its outer packet cannot come: {} is down.", packet.in));
  know_way_back(packet);
  const std::string what =
      fmt::format("Its outer packet ({} {} > {})", name_of_protocol(protocol), outer.remote.str(), outer.local.str());
  return firewall_passes(packet, {Hook::ingress, Hook::prerouting, Hook::input}, what, about) &&
         (device && device->loopback ? true : reverse_path_passes(packet, what, about));
}

// What came out of the tunnel, on to where it goes.
bool Explainer::inner_arrives(const std::string& tunnel, const net::Flow& flow, Explanation& about) {
  platform::WalkedPacket packet = inner_packet(flow);
  packet.in = tunnel;
  know_way_back(packet);
  if (!reverse_path_passes(packet, "It", about)) return false;
  if (about.own) return firewall_passes(packet, {Hook::prerouting, Hook::input}, "It", about);
  const auto onward = context_.platform.lookup_route(flow.destination, 0);
  if (!onward || onward->interface_index == 0)
    return conclude(about, "no_route",
                    fmt::format("It comes out of {}, and no route leads to {}.", tunnel, flow.destination.str()));
  packet.out = interface_name(onward->interface_index);
  return firewall_passes(packet, {Hook::prerouting, Hook::forward, Hook::postrouting, Hook::egress}, "It", about);
}

// What nobody could follow, said with the verdict.
void Explainer::tell_not_followed(Explanation& about) {
  if (!about.passes || about.not_followed.empty()) return;
  std::string said;
  for (const auto& note : about.not_followed) said += (said.empty() ? "" : "; ") + note;
  if (about.verdict.ends_with('.')) about.verdict.pop_back();
  about.verdict += fmt::format(". Not followed: {}.", said);
}

}  // namespace adit::engine
