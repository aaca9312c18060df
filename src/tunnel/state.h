// One link's fail-closed state: may packets pass, and if not: what is closed, why, what opens it (invariants I1, I2,
// I4, I5). A pure function of facts, in step with docs/model/tunnel.pml: the carrier is on only while adopted, up and,
// when security is required, a policy is attached; whatever takes one of these away takes the carrier with it.
#pragma once

#include <string>
#include <string_view>

namespace adit::tunnel {

struct LinkFacts {
  bool exists = false;    // the TUN device is there
  bool adopted = false;   // this daemon has finished adopting what it found: guard, policy and keys are loaded
  bool admin_up = false;  // an IP interface is on it and it is up
  bool bound = false;     // both outer addresses are known, and the local one is this host's
  bool secured = false;   // -S
  bool policy = false;    // an active head (at least one rule) is attached to its name
};

struct LinkState {
  bool usable = false;     // packets may pass (each still by its rule)
  bool carrier = false;    // what the device must show; never on while not usable
  std::string why_closed;  // one sentence; empty when usable

  friend bool operator==(const LinkState&, const LinkState&) = default;
};

LinkState link_state(std::string_view name, const LinkFacts& facts);

// The same without the sentence: what the packet path publishes.
bool link_usable(const LinkFacts& facts);

}  // namespace adit::tunnel
