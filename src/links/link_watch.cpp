// What goes wrong with tunnels that are up, and how the operator hears of it.
#include "links/links.h"
#include "linux/platform/mark.h"

namespace adit::engine {

std::string Links::told(Trouble trouble, const Tunnel& tunnel) const {
  const auto text = [](const std::optional<net::Address>& address) { return address ? address->str() : "nowhere"; };
  return sentence_of(trouble, tunnel.trouble, tunnel.active.name, text(tunnel.ends.local), text(tunnel.ends.remote));
}

void Links::watch(Tunnel& tunnel, MonoTime now) {
  const Trouble begun = tunnel.trouble.tick(trouble_facts(tunnel.counters), now);
  if (begun == Trouble::none || !tunnel.usable) return;
  const std::string& name = tunnel.active.name;
  if (begun == Trouble::sending)
    context_.events.add(Severity::warning, EventKind::link_send_failed, name, told(begun, tunnel));
  else
    context_.events.add(Severity::warning, EventKind::link_peer_failed, name, told(begun, tunnel));
}

// "No route" is asked of the kernel again: it may have come while nothing was sent.
std::string Links::send_trouble(const Tunnel& tunnel) const {
  const Trouble trouble = tunnel.usable ? tunnel.trouble.sending(context_.clock.now()) : Trouble::none;
  if (trouble == Trouble::none || !tunnel.ends.remote) return {};
  if (tunnel.trouble.error() == ENETUNREACH &&
      context_.platform.lookup_route(*tunnel.ends.remote, platform::kOuterMark).has_value())
    return {};
  return told(trouble, tunnel);
}

std::string Links::peer_trouble(const Tunnel& tunnel) const {
  return tunnel.usable ? told(tunnel.trouble.peer(context_.clock.now()), tunnel) : std::string();
}

std::string Links::send_trouble(const std::string& name) const {
  const auto found = tunnels_.find(name);
  return found == tunnels_.end() ? std::string() : send_trouble(found->second);
}

std::string Links::peer_trouble(const std::string& name) const {
  const auto found = tunnels_.find(name);
  return found == tunnels_.end() ? std::string() : peer_trouble(found->second);
}

}  // namespace adit::engine
