// Whether packets that a route encapsulates (SRv6, MPLS …) still pass netfilter's hooks. A switch of the whole machine
// that cannot be turned back before a reboot: it is turned in the machine's own network namespace only, never by an
// Adit in a container.
#pragma once

#include <string>

namespace adit::platform {

struct LwtunnelHooks {
  bool on = false;
  std::string why_not;  // a sentence; empty: on, or the kernel has no such routes
};
LwtunnelHooks turn_on_lwtunnel_hooks();

}  // namespace adit::platform
