// One link's fail-closed state: may packets pass, and if not: what is closed, why, what opens it (invariants I1, I2,
// I4, I5). A pure function of facts, in step with docs/model/tunnel.pml: the carrier is on only while adopted, in
// service and, when security is required, a policy is attached; whatever takes one of these away takes the carrier with
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace adit::tunnel {

struct LinkFacts {
  bool exists = false;   // the TUN device is there
  bool adopted = false;  // this daemon has finished adopting what it found: guard, policy and keys are loaded
  bool service = false;  // network/iptun is online
  bool bound = false;    // both outer addresses are known, and the local one is this host's
  bool secured = false;  // -S
  bool policy = false;   // an active head (at least one rule) is attached to its name

  bool half_deleted = false;    // a deletion has begun
  bool guard_off = false;       // no layer of the guard is raised in this boot
  std::string broken_policy;    // why the rules that are its property are not in force
  std::string broken_device;    // why there is no device
  std::string lost_policy;      // why the rules that it had are gone, although it is not secured
  std::string unresolved_name;  // of an outer address
};

// What keeps the link closed: closed.def.
enum class Closed : uint8_t {
#define ADIT_CLOSED(constant, sentence) constant,
#include "tunnel/closed.def"
#undef ADIT_CLOSED
};
[[nodiscard]] std::string_view name_of(Closed why);  // "no_policy"

// Without a rule it must not pass a packet: -S, or a state in which what protected it may be missing. What the packet
// path is told (datapath::Link::secured) and what the state is made from is this one answer.
[[nodiscard]] bool needs_policy(const LinkFacts& facts);

struct LinkState {
  bool usable = false;           // packets may pass (each still by its rule)
  bool carrier = false;          // what the device must show; never on while not usable
  std::optional<Closed> closed;  // nothing: usable
  std::string why_closed;        // one sentence; empty when usable

  friend bool operator==(const LinkState&, const LinkState&) = default;
};

[[nodiscard]] LinkState link_state(std::string_view name, const LinkFacts& facts);

// The same without the sentence.
[[nodiscard]] std::optional<Closed> closed_by(const LinkFacts& facts);

}  // namespace adit::tunnel
