#include "tunnel/state.h"

#include <fmt/format.h>

namespace adit::tunnel {
namespace {

// The first fact that keeps the link closed, in the order in which an operator would mend them.
std::string why_closed(std::string_view name, const LinkFacts& facts) {
  if (!facts.exists) {
    return fmt::format(
        "{0} carries nothing: its network device is missing; it is made again at once, or by restarting aditd", name);
  }
  if (!facts.adopted) {
    return fmt::format(
        "{0} carries nothing: aditd has not finished loading its guard, policy and keys; it opens by itself "
        "when that is done",
        name);
  }
  if (!facts.bound) {
    return fmt::format(
        "{0} carries nothing: it lacks an outer address, or its local one is not this host's; give both with "
        "dladm modify-iptun -a local=ADDRESS,remote=ADDRESS {0}",
        name);
  }
  if (facts.secured && !facts.policy) {
    return fmt::format(
        "{0} carries nothing: it requires security and has no policy; load rules that name it, with "
        "ipsecconf -a FILE",
        name);
  }
  return fmt::format(
      "{0} carries nothing: no IP interface on it is up; give it an address with ipadm create-addr, or bring "
      "it up with ipadm enable-if -t {0}",
      name);
}

}  // namespace

bool link_usable(const LinkFacts& facts) {
  const bool allowed = facts.policy || !facts.secured;
  return facts.exists && facts.adopted && facts.bound && facts.admin_up && allowed;
}

LinkState link_state(std::string_view name, const LinkFacts& facts) {
  LinkState state;
  state.usable = link_usable(facts);
  state.carrier = state.usable;
  if (!state.usable) state.why_closed = why_closed(name, facts);
  return state;
}

}  // namespace adit::tunnel
