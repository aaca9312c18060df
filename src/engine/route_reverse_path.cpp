// A route into a tunnel that holds the tunnel's peer (a default route, most often): to the kernel the way back to the
// peer leads into the tunnel then, and strict reverse-path filtering drops what the peer sends over the underlay.
#include "engine/routes.h"
#include "linux/mark.h"

namespace adit::engine {
namespace {

constexpr const char* kStrict = "1";
constexpr const char* kLoose = "2";  // any way back will do

std::string setting(const std::string& interface) {
  return fmt::format("net/ipv4/conf/{}/rp_filter", interface);
}

bool is_strict(platform::Platform& platform, const std::string& interface) {
  const auto value = platform.sysctl(setting(interface));
  return value && value->starts_with(kStrict);
}

}  // namespace

// The stricter of `all` and the interface's own counts, and 2 is above 1.
void Routes::let_in_over(const std::string& interface, const std::string& tunnel) {
  platform::Platform& platform = context_.platform;
  const bool strict = is_strict(platform, interface);
  const auto own = platform.sysctl(setting(interface));
  if (!strict && !(is_strict(platform, "all") && own && own->starts_with('0'))) return;
  const auto set = platform.set_sysctl(setting(interface), kLoose);
  context_.events.add(
      Severity::warning, "route.reverse-path", interface,
      set ? fmt::format("rp_filter of {0} is 2 now: a route into {1} holds {1}'s peer, and 1 would drop what it sends",
                        interface, tunnel)
          : fmt::format("rp_filter of {0} drops what the peer of {1} sends, because a route into {1} holds it: 'sysctl "
                        "net.ipv4.conf.{0}.rp_filter=2' lets it in",
                        interface, tunnel));
}

void Routes::let_peers_in(const platform::Route& route) {
  if (route.destination.family() != net::Family::v4) return;  // IPv6 has no such filter
  for (const TunnelView& tunnel : links_.tunnels()) {
    if (!tunnel.remote || !route.destination.contains(*tunnel.remote)) continue;
    const auto outer = context_.platform.lookup_route(*tunnel.remote, platform::kOuterMark);
    if (outer && outer->interface_index != 0) let_in_over(interface_name(outer->interface_index), tunnel.name);
  }
}

}  // namespace adit::engine
