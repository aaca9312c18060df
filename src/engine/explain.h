// Why a packet would leave this host, or be let in, or not: what kernel, guard and packet path would do with it now,
// step by step, each asked of who decides it. Changes nothing, sends nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "datapath/decide.h"
#include "guard/guard.h"
#include "keys/keys.h"
#include "links/links.h"
#include "linux/nft/ruleset_walk.h"
#include "path/dataplane.h"
#include "policy/policy.h"

namespace adit::engine {

struct ExplainRequest {
  net::Flow flow;                     // the packet: its own source and destination
  std::optional<std::string> tunnel;  // as if it were routed there; nullopt: ask the kernel's routes
};

struct ExplainedRoute {
  std::string destination, gateway, interface;  // interface empty: none leads there
  std::string error;                            // what the kernel says then
};
struct ExplainedSa {
  uint32_t spi = 0;
  bool ah = false;
  std::string algorithms, state, name_space;
  std::string why_not;    // empty: it would carry the packet
  uint32_t overhead = 0;  // bytes that it adds to the largest packet; only of one that would carry it
};

struct Explanation {
  bool own = true;  // this host's own: the source going out, the destination coming in; else it would be forwarded
  std::optional<ExplainedRoute> route;  // coming in: the way back, which says through which tunnel it should come
  std::optional<GuardVerdict> guard;    // the guarded network that the far address is in
  std::optional<spd::Rule> host_rule;   // of the host's policy: it looks at own packets before any tunnel
  std::optional<TunnelView> tunnel;
  std::string why_down;  // of the tunnel: what is closed, why, what opens it
  bool policy = false;   // the tunnel has rules
  std::optional<spd::Rule> rule;
  std::vector<ExplainedSa> sas;  // those that would carry it; where the rule asks for one and none would: those between
                                 // the tunnel's ends, and why not
  bool acquiring = false;        // a key manager has been asked for one and may answer yet
  std::optional<ExplainedRoute> outer;    // going out: the outer packet's way over the underlay
  std::vector<std::string> not_followed;  // what may drop it on this host and cannot be told from here: rules of others
  std::optional<MtuSum> mtu;
  uint32_t largest = 0;  // bytes of the largest packet that goes whole this way; 0: none goes

  bool passes = false, clear = false;  // it leaves, or is let in; clear: readable on its way
  // When it does not: a drop reason's name, or guard, no_route, forwarding, host_rule, firewall, no_outer_route,
  // rp_filter.
  std::string reason;
  std::string verdict;  // one sentence
};

class Explainer {
 public:
  Explainer(const Context& context, Dataplane& dataplane, const Links& links, const Guard& guard, const Policy& policy,
            Keys& keys)
      : context_(context), dataplane_(dataplane), links_(links), guard_(guard), policy_(policy), keys_(keys) {}

  // ENOENT: no such tunnel. EINVAL: addresses of two families.
  Result<Explanation> explain(const ExplainRequest& request);
  Result<Explanation> explain_inbound(const ExplainRequest& request);

 private:
  Result<Explanation> begin(const ExplainRequest& request, const net::Address& near, const net::Address& far);
  // Each says whether the packet goes on; if not, reason and verdict stand.
  bool forwarded(const net::Address& near, Explanation& about);
  bool routed(const net::Flow& flow, Explanation& about);
  bool unguarded(Explanation& about);
  bool host_allows(const net::Flow& flow, spd::Direction direction, Explanation& about);

  // What is known of the tunnel; null: the packet ends there, and reason and verdict stand.
  const datapath::Link* tell_tunnel(const std::string& name, spd::Direction direction, const net::Flow& flow,
                                    const datapath::Snapshot* snapshot, Explanation& about);
  void through_tunnel(const std::string& name, const net::Flow& flow, Explanation& about);
  void tell_sas(const datapath::Decision& decision, const datapath::Link& link, Explanation& about);
  void tell_verdict(const datapath::Decision& decision, Explanation& about);
  void in_through_tunnel(const std::string& name, const net::Flow& flow, Explanation& about);
  void tell_inbound_verdict(Explanation& about);

  // explain_wire.cpp: each false when it ends there, and reason and verdict stand
  bool firewall_passes(const platform::WalkedPacket& packet, const std::vector<platform::Hook>& hooks,
                       std::string_view what, Explanation& about);
  bool reaches(const std::string& device, const net::Flow& flow, Explanation& about);
  bool leaves_host(const datapath::Way& way, const net::Flow& flow, Explanation& about);
  bool device_carries(const platform::Route& route, const std::string& tunnel, const net::Address& remote,
                      Explanation& about);
  bool outer_arrives(const datapath::Link& link, uint8_t protocol, Explanation& about);
  bool inner_arrives(const std::string& tunnel, const net::Flow& flow, Explanation& about);
  bool reverse_path_passes(const platform::WalkedPacket& packet, std::string_view what, Explanation& about);
  [[nodiscard]] int reverse_path_filter(const std::string& device) const;
  void know_way_back(platform::WalkedPacket& packet) const;
  [[nodiscard]] std::string device_of(const net::Address& own) const;
  static void tell_not_followed(Explanation& about);

  [[nodiscard]] bool is_own(const net::Address& address) const;
  [[nodiscard]] std::string interface_name(int index) const;
  [[nodiscard]] ExplainedRoute told_route(const platform::Route& route) const;
  [[nodiscard]] std::string what_opens(const GuardVerdict& guard) const;
  [[nodiscard]] ExplainedSa described(const sad::Sa& sa) const;

  const Context& context_;
  Dataplane& dataplane_;
  const Links& links_;
  const Guard& guard_;
  const Policy& policy_;
  Keys& keys_;
  std::optional<Result<std::string>> ruleset_;  // read once for each question
};

}  // namespace adit::engine
