// What links ask of policy, and what a head means for a tunnel.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "guard/book/book.h"
#include "net/address.h"
#include "spd/head.h"

namespace adit::engine {

// Rules that come from the property `ipsec` of a tunnel belong to this namespace: no other service takes them away.
inline constexpr const char* kPropertyNamespace = "svc:/network/iptun:default";

struct PropertyRules {  // what one property says; each element of adds is one spd::Database::add
  std::vector<std::vector<spd::Rule>> adds;
  std::vector<std::string> warnings;
};

struct RuleOrigin {  // where rules of the global namespace for a tunnel are written
  std::string file;
  uint32_t line = 0;  // of the first of them
};

// Asked by Links; Policy implements it.
class TunnelPolicy {
 public:
  virtual ~TunnelPolicy() = default;
  [[nodiscard]] virtual std::shared_ptr<const spd::Head> head_of(const std::string& tunnel) const = 0;  // null: no rule
  // What rules of a head hold closed for its tunnel, each for the namespace of its rule; a delegated namespace closes
  // only inside the networks that are delegated to it. Null: nothing.
  [[nodiscard]] virtual std::vector<guard::Hold> holds_of(const std::string& tunnel, const spd::Head* head,
                                                          bool temporary) const = 0;
  virtual void tunnel_made(const std::string& tunnel) = 0;  // rules may be asked about though there are none yet
  virtual void tunnel_gone(const std::string& tunnel) = 0;  // its rules go with it, those of every namespace

  // ---- the property `ipsec`
  // Its text checked: an action block, or entries as in ipsecinit.d/tunnels/NAME.conf. EINVAL: every error with its
  // line and column within the text, which messages call `source`; EFBIG.
  [[nodiscard]] virtual Result<PropertyRules> read_property(const std::string& tunnel, std::string_view text,
                                                            const std::string& source) const = 0;
  // One swap: these instead of what the property gave before, which is returned. Empty: the property's rules go.
  // Guarded before, as every change of policy. EBUSY, EDQUOT, EPERM as spd::Database::flip; nothing changed.
  virtual Result<PropertyRules> put_property(const std::string& tunnel, const PropertyRules& rules) = 0;
  // The same for many tunnels, as one swap; what they had before is returned.
  virtual Result<std::map<std::string, PropertyRules>> put_properties(
      const std::map<std::string, PropertyRules>& rules) = 0;
  // A start: all of them at once, by tunnel. Returned: the tunnels whose rules are not in force, with the reason; they
  // must stay closed.
  virtual std::map<std::string, std::string> load_properties(const std::map<std::string, std::string>& texts) = 0;

  // ---- rename-link. EBUSY: the rules under both names cannot stand together.
  [[nodiscard]] virtual Result<> may_rename(const std::string& from, const std::string& to) const = 0;
  // The rules of every namespace go along, as one change. REQUIRES: may_rename, and what they protect is guarded.
  virtual void tunnel_renamed(const std::string& from, const std::string& to) = 0;
  // Files of the global namespace that give rules in force to this tunnel, each once.
  [[nodiscard]] virtual std::vector<RuleOrigin> files_naming(const std::string& tunnel) const = 0;
};

// What the rules of this head protect: the remote prefixes of their `ipsec` rules, masked, each once, sorted. The whole
// of a family (0.0.0.0/0) is not among them: only a route makes that closed. Null: nothing.
std::vector<net::Prefix> protected_networks(const spd::Head* head);

// The same with the namespaces of the rules.
std::set<std::pair<std::string, net::Prefix>> protected_networks_by_owner(const spd::Head* head);

// Bytes to reserve in the MTU: the worst case over the outbound rules (§1.6): AH 44, ESP 78. Null: 0.
uint32_t worst_overhead(const spd::Head* head);

}  // namespace adit::engine
