// Invariant I7: for a secured tunnel, traffic to the networks routed over it leaves the host only through it, and
// traffic from them enters only through it. Two layers, because one ordinary command defeats each alone (docs/model):
// an unreachable route of the worst metric for each network, and one nftables table. Both stand before any route into
// the device, are on disk before the command returns, and outlive the daemon.
//
// Only secured (-S) tunnels are guarded: an unsecured tunnel makes no promise, its policy decides what passes through
// it, and nothing decides what leaves beside it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/guard_book.h"
#include "engine/seams.h"
#include "linux/guard_ranges.h"

namespace adit::engine {

struct GuardInfo {  // one guarded network, for status
  net::Prefix network;
  std::vector<std::string> tunnels;          // those that exist; empty: closed for good until the operator opens it
  std::vector<std::string> reasons;          // "v4_bob0 route"
  uint64_t stopped_out = 0, stopped_in = 0;  // packets that the nftables layer stopped (leak witness)
};

class Guard final : public GuardDoor, public FirewallDoor {
 public:
  Guard(const Context& context, const LinkView& links) : context_(context), links_(links) {}
  void add_part(const FirewallPart& part) { parts_.push_back(&part); }  // before restore

  // ---- start: the first thing. Reads the files and puts the unreachable routes in place. EINVAL, EIO …: a file is
  // unreadable; then what should be closed is not known, and the daemon does not start.
  Result<> restore();
  // Once policy and host models are loaded, before any tunnel: the table, whole. Until then an earlier daemon's stands,
  // host rules and all; parts that reapply() in between wait for this.
  Result<> assert_table();
  // The last thing at start: forgets what tunnels hold that no longer exist (a half-made or half-deleted one), takes
  // away stray unreachable routes of ours, and looks at the kernel's routes.
  void settle();

  // ---- GuardDoor, FirewallDoor
  Result<> protect(const net::Prefix& network, const std::string& tunnel, GuardSource source) override;
  Result<bool> release(const net::Prefix& network, const std::string& tunnel, GuardSource source) override;
  [[nodiscard]] bool guards(const net::Prefix& network) const override { return book_.holds(network); }
  Result<> reapply() override;

  // ---- for Links and Policy: many at once, one transaction
  Result<> hold(const std::vector<GuardHold>& holds);  // as protect, for any tunnel name
  struct Gone {
    net::Prefix network;
    std::string tunnel;
    GuardSource source;
  };
  Result<std::vector<net::Prefix>> drop(const std::vector<Gone>& holds);  // the networks that are open now
  Result<> keep(const std::string& tunnel);                               // delete-iptun -k, before the record goes
  Result<std::vector<net::Prefix>> forget(const std::string& tunnel);  // delete-iptun, after the device went; as drop
  // rename-link: both names hold all networks until the old one is forgotten, whenever the daemon dies.
  Result<> hold_also(const std::string& from, const std::string& to);
  [[nodiscard]] const GuardBook& book() const { return book_; }
  void put_back(const GuardBook& book);  // the way back of a command that failed
  [[nodiscard]] std::vector<net::Prefix> networks_of(const std::string& tunnel) const {
    return book_.networks_of(tunnel);
  }
  [[nodiscard]] std::vector<net::Prefix> networks_of(const std::string& tunnel, GuardSource source) const {
    return book_.networks_of(tunnel, source);
  }

  // ---- the operator opens what was kept, or left over. ENOENT: not guarded. EBUSY: a route or address still leads
  // there.
  Result<> open(const net::Prefix& network);
  [[nodiscard]] std::vector<GuardInfo> list() const;
  // The guarded network that an address is in, with the tunnels that may carry it; nullopt: the guard lets it be.
  [[nodiscard]] std::optional<platform::GuardRange> range_of(const net::Address& address) const;

  // ---- the world
  void reassert(bool routes_changed, bool nftables_changed);  // somebody changed the kernel: put back, raise an event
  void poll_leaks();                                          // the leak witness: events for what was stopped since

 private:
  Result<> close(GuardBook next);                          // more or the same networks; all or nothing
  Result<std::vector<net::Prefix>> relax(GuardBook next);  // fewer or the same networks; all or nothing
  Result<> place_routes(const GuardBook& next, std::vector<net::Prefix>& placed);
  void remove_routes(const GuardBook& before);
  Result<> save(const GuardBook& book);
  Result<> save_or_restore(const GuardBook& next);
  [[nodiscard]] platform::Firewall firewall(const GuardBook& book) const;
  Result<> apply(const GuardBook& book);
  Result<GuardBook> load(const std::string& path) const;
  [[nodiscard]] std::vector<net::Prefix> open_local_networks(const GuardBook& book) const;
  void freeze_exceptions(GuardBook& next) const;
  [[nodiscard]] std::vector<net::Prefix> newly_guarded(const GuardBook& next) const;
  void put_back_routes(const std::set<net::Prefix>& standing);
  void guard_seen_routes();

  const Context& context_;
  const LinkView& links_;
  std::vector<const FirewallPart*> parts_;
  GuardBook book_;
  bool starting_ = false;                             // between restore and assert_table
  bool table_stands_ = true;                          // or may, from an earlier daemon
  std::string saved_routes_, saved_run_, saved_nft_;  // what the files hold, to spare equal writes
  struct Leak {
    uint64_t total = 0, last_reading = 0;
  };
  std::map<std::pair<net::Prefix, bool>, Leak> leaks_;  // (network, outbound)
};

}  // namespace adit::engine
