// What an operator is told of a tunnel's state: every change of it comes by here, whatever caused it, and goes into the
// event log and into the answer of the command that did it. The state itself is the packets' own decision.
#include "links/links.h"

namespace adit::engine {
namespace {

constexpr size_t kNamed = 3;  // networks in a sentence

std::string some_of(const std::vector<net::Prefix>& networks) {
  std::string text;
  for (size_t i = 0; i < std::min(networks.size(), kNamed); ++i) text += (i == 0 ? "" : ", ") + networks[i].str();
  return networks.size() > kNamed ? fmt::format("{} and {} more", text, networks.size() - kNamed) : text;
}

}  // namespace

Stand Links::stand_of(const Tunnel& tunnel) {
  const datapath::Link& link = *tunnel.published;
  if (datapath::passes_clear_text(link)) return Stand::open;
  if (link.up) return Stand::up;
  if (datapath::needs_no_policy(link)) return Stand::bare;
  const bool leaves = tunnel.active.deleting && !tunnel.active.secured;  // its deletion closed it: nothing went wrong
  return link.secured && !leaves ? Stand::shut : Stand::down;
}

std::string Links::down_sentence(const Tunnel& tunnel) const {
  const bool guarded = tunnel.active.secured && !guard_.switched_off();
  const auto networks = guarded ? guard_.networks_of(tunnel.active.name) : std::vector<net::Prefix>{};
  if (networks.empty()) return tunnel.why_closed;
  return fmt::format("{}; meanwhile {} {} closed", tunnel.why_closed, some_of(networks),
                     networks.size() == 1 ? "stays" : "stay");
}

std::string Links::words_for(const Tunnel& tunnel, Stand stand) const {
  const std::string& name = tunnel.active.name;
  switch (stand) {
    case Stand::open:
      return fmt::format(
          "{0} is OPEN: it is not secured (-S) and has no rule, so it passes clear text; rules that name it close it "
          "('ipsecconf -a FILE')",
          name);
    case Stand::bare:
      return fmt::format(
          "{0} is not secured (-S) and has no rule: it passes clear text as soon as it is up; rules that name it close "
          "it ('ipsecconf -a FILE')",
          name);
    case Stand::shut:
      return down_sentence(tunnel);
    default:
      return {};
  }
}

// During a start nothing is decided yet; after it, all that is open or shut is told, since nobody heard of it before.
// A tunnel that was just made is closed until it has all that it needs: nothing went down.
void Links::tell(Tunnel& tunnel) {
  if (!adopted_) return;
  const Stand before = tunnel.told, now = stand_of(tunnel);
  if (before == now) return;
  tunnel.told = now;
  const std::string& name = tunnel.active.name;
  const bool quiet = (before == Stand::born && (now == Stand::shut || now == Stand::down));
  const bool better = before == Stand::open && now == Stand::bare;
  const std::string sentence = quiet || better ? std::string() : words_for(tunnel, now);
  if (context_.told != nullptr) context_.told->note(name, before, now, sentence);
  if (!sentence.empty())
    context_.events.add(Severity::alert, now == Stand::shut ? EventKind::link_state : EventKind::link_open, name,
                        sentence);
  else if (now == Stand::up)
    context_.events.add(Severity::info, EventKind::link_state, name, fmt::format("{} is up", name));
  else if (!quiet)
    context_.events.add(Severity::info, EventKind::link_state, name, tunnel.why_closed);
}

}  // namespace adit::engine
