// Policy rules as the SPD holds them (RFC 4301 §4.4.1; facts: policy.md, pf_policy.md). Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/algorithm.h"
#include "net/address.h"

namespace adit::spd {

enum class Direction : uint8_t { in = 1, out = 2 };           // PF_POLICY rule flags
enum class Verb : uint8_t { drop = 1, pass = 2, ipsec = 3 };  // PF_POLICY action types
enum class Mode : uint8_t { none, tunnel, transport };        // negotiate; none: the host head

struct KeyBits {  // key length range; max 65535: open
  uint16_t min = 0, max = 65535;
  friend bool operator==(const KeyBits&, const KeyBits&) = default;
};
struct Cipher {  // encr_algs
  crypto::EncrAlg alg;
  KeyBits bits;
  friend bool operator==(const Cipher&, const Cipher&) = default;
};
struct Integrity {  // auth_algs, encr_auth_algs
  crypto::AuthAlg alg;
  KeyBits bits;
  friend bool operator==(const Integrity&, const Integrity&) = default;
};

// One alternative of a rule, "any" already expanded: an SA satisfies it when each part given is satisfied.
struct Action {
  Verb verb = Verb::drop;
  bool bypass = false;  // written bypass or pass: listing and priority class
  std::optional<Integrity> ah;
  std::optional<Cipher> encr;  // combined modes need no espa; decision 1: espa may be given, is not applied
  std::optional<Integrity> espa;
  bool unique = false;  // sa unique
  friend bool operator==(const Action&, const Action&) = default;
};

struct IcmpRange {
  uint8_t type = 0, type_end = 0;
  uint8_t code = 255, code_end = 255;  // 255: any
  friend bool operator==(const IcmpRange&, const IcmpRange&) = default;
};

// What a rule matches, as seen from here: local is the source of outbound and the destination of inbound packets.
struct Selector {
  std::optional<net::Prefix> local, remote;
  std::optional<uint8_t> protocol;
  std::optional<uint16_t> local_port, remote_port;  // host order
  std::optional<IcmpRange> icmp;
  friend bool operator==(const Selector&, const Selector&) = default;
};

struct Origin {  // where a rule came from; line 0: unknown
  std::string file;
  uint32_t line = 0;
};

// One SPD entry: one family, one direction. What an operator writes as one entry becomes up to four (policy.md §2.3).
struct Rule {
  uint64_t index = 0;     // per head, as listings show it
  uint32_t priority = 0;  // highest matching wins
  Direction direction = Direction::out;
  net::Family family = net::Family::v4;  // of the (inner) packets it matches
  Mode mode = Mode::none;
  Selector selector;
  std::vector<Action> actions;  // in order of preference; never empty
  std::string name_space;       // owner; empty: global
  // A name of its addresses that does not resolve: the rule stands, and matches nothing until it does. Empty: none.
  std::string waits_for;
  Origin origin;

  [[nodiscard]] bool waits() const { return !waits_for.empty(); }
};

// The same entry but for index, priority, owner, origin: adding it again to a namespace is EEXIST.
bool same_entry(const Rule& a, const Rule& b);
// Equal for the same entry, else most likely not.
size_t hash_entry(const Rule& rule);
// About what it takes where it is kept.
size_t memory_of(const Rule& rule);
// The same traffic: direction, family, selectors, whatever the actions. What DELETERULE by selectors finds.
bool same_traffic(const Rule& a, const Rule& b);

// An entry as an operator writes it and ADDRULE carries it, before it becomes SPD entries.
struct RuleSpec {
  uint32_t priority = 0;
  bool inbound = false, outbound = false;  // neither: nothing is installed (pf_policy.md §4)
  Mode mode = Mode::none;
  Selector selector;
  std::vector<Action> actions;
  std::string name_space;
  std::string waits_for;
  Origin origin;
};

// Its SPD entries, in the order that gives them their indexes: out v4, out v6, in v4, in v6; one family when an address
// fixes it (policy.md §2.3).
std::vector<Rule> expand(const RuleSpec& spec);

// Priority of the entry at `position` (0: the first) of a policy text: counts down from 0x000fffff, and the class of
// the actions above it: bypass, then ESP, then AH, then the rest (policy.md §2.4).
uint32_t priority_of(uint32_t position, std::span<const Action> actions);

// Replaces "any" (algorithm number 0 in ah, encr or espa) by one action for each algorithm of the table, in the table's
// order, and clips key lengths to what each algorithm has. "any" cipher leaves out those that do not encrypt (NULL,
// GMAC). EINVAL with the PF_POLICY diagnostic in `diagnostic`: unknown algorithm (30 AH, 31 ESP cipher, 32 ESP
// integrity), key length outside of the algorithm's range (33, 34, 35); E2BIG: more than kMaxActions.
constexpr size_t kMaxActions = 512;
struct ActionError {
  uint16_t diagnostic = 0;
  Error error;
};
std::expected<std::vector<Action>, ActionError> resolve_algorithms(std::span<const Action> actions,
                                                                   const crypto::AlgorithmTable& table);

// Whether a rule may stand in the head of that name ("": the host's). EINVAL: no action; tunnel or transport mode in
// the host head; no mode in a tunnel's; selectors in transport mode (diagnostic 45); unique in tunnel mode (diagnostic
// 10); a selector of another family. ENOTSUP: IPsec in the host head.
Result<> check_rule(std::string_view head, const Rule& rule);

}  // namespace adit::spd
