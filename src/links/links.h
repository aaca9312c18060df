// dladm: IP tunnel links (links-and-addresses.md §1). Owns the devices, decides their state (I2), publishes what
// packets see. Making: guard, device, up, disk, carrier. Unmaking: carrier, disk, device, guard
// (docs/model/tunnel.pml).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/consequences.h"
#include "control/seams.h"
#include "control/undo.h"
#include "datapath/events.h"
#include "guard/guard.h"
#include "links/endpoints.h"
#include "links/files/datalink_conf.h"
#include "links/files/link_file.h"
#include "links/link_trouble.h"
#include "links/mtu_sum.h"
#include "links/tunnel_policy.h"
#include "path/dataplane.h"
#include "tunnel/state.h"

namespace adit::engine {

using PropertyValues = std::map<std::string, std::string>;

class Links final : public LinkView {
 public:
  Links(const Context& context, Dataplane& dataplane, Guard& guard, TunnelPolicy& policy);
  void add_user(LinkUser& user) { users_.push_back(&user); }

  // ---- dladm. Each does all of it or nothing. Texts begin with the status of §1.8.
  // EINVAL: name, family, both addresses equal; EEXIST: name; EADDRNOTAVAIL: local not here, address no unicast;
  // EADDRINUSE: the pair; ELOOP: it would carry itself; ENOSPC, EROFS …: not saved; or what device and guard said.
  Result<Outcome> create(const IptunRequest& request) { return create_all({request}); }
  // All of them or none, as one transaction: one snapshot, one swap of policy, one write of each file. Errors name the
  // tunnel that is refused.
  Result<Outcome> create_all(const std::vector<IptunRequest>& requests);
  // Only what is given changes. ENOENT, and as create.
  Result<Outcome> modify(const std::string& name, const std::optional<std::string>& local,
                         const std::optional<std::string>& remote, bool temporary);
  // ENOENT; EBUSY: an address is on it, unless `recursive`, which takes what stands on it along; EINVAL: -t with -r.
  // The notes tell what is reachable in the clear from now on.
  Result<Outcome> remove(const std::string& name, bool temporary, bool keep_closed, bool recursive = false);
  // Its rules of every namespace go along. ENOENT, EINVAL, EEXIST; EBUSY: an address is on it, the rules under both
  // names cannot stand together, or an unsecured tunnel would lose those that files have for it. The notes name the
  // files that name the old one.
  Result<Outcome> rename(const std::string& name, const std::string& new_name);

  // Empty name: all. ENOENT. `persistent`: what the next boot makes (-P).
  Result<std::vector<IptunInfo>> show_iptun(const std::string& name, bool persistent) const;
  Result<std::vector<LinkInfo>> show_link(
      const std::string& name) const;  // other interfaces of the host too, class phys

  // hoplimit, encaplimit, mtu, mssclamp, ipsec. EINVAL: unknown property, value out of range, no policy; EBUSY, EPERM,
  // EDQUOT: the rules cannot be; all are set or none. `ipsec_source` is what messages call the text of ipsec.
  Result<Outcome> set_properties(const std::string& name, const PropertyValues& values, bool temporary,
                                 const std::string& ipsec_source = "ipsec");
  // None named: all but ipsec. EPERM: without its property the tunnel would pass clear text, and not `force`.
  Result<Outcome> reset_properties(const std::string& name, const std::vector<std::string>& properties, bool temporary,
                                   bool force = false);
  Result<std::vector<LinkProperty>> show_properties(const std::string& name, const std::vector<std::string>& properties,
                                                    bool persistent) const;

  // ---- svc:/network/iptun. Down: carriers off, devices and guard stay. Up also opens unsecured tunnels that lost
  // their rules.
  Result<Outcome> bring_up();
  Result<Outcome> take_down();

  // ---- LinkView
  [[nodiscard]] std::optional<TunnelView> tunnel(const std::string& name) const override;
  [[nodiscard]] std::vector<TunnelView> tunnels() const override;
  [[nodiscard]] std::string name_at(int device) const override;
  [[nodiscard]] bool up_with(const std::string& name, bool policy) const override;
  [[nodiscard]] std::string why_closed(const std::string& name) const;  // empty: usable, or not a tunnel of ours
  // It is up, and its outer packets do not leave at this moment, or what its peer sends cannot be opened: one sentence.
  // Empty: all is well, as far as anybody knows.
  [[nodiscard]] std::string send_trouble(const std::string& name) const;
  [[nodiscard]] std::string peer_trouble(const std::string& name) const;
  [[nodiscard]] std::optional<MtuSum> mtu_sum(const std::string& name) const;
  [[nodiscard]] std::string name_of(tunnel::LinkId id) const;  // empty: unknown
  [[nodiscard]] std::optional<tunnel::LinkId> id_of(const std::string& name) const;

  // ---- life
  // Before the files of ipsec/policy are read: the rules of the properties ipsec. What gives none is reported, and its
  // tunnel stays closed. What it takes from unreadable files is nothing: restore() says so.
  void load_policies();
  // Makes or adopts what datalink.conf and the run directory say, every carrier off; undoes what is half made. A line
  // that cannot be read is told and kept; its tunnel is not there, and stays closed by the guard's book. EFBIG, EIO …:
  // a file cannot be read at all.
  Result<> restore();
  // After addresses and routes: deletions that a killed daemon had begun.
  void finish_removals();
  void adopted();  // policy, keys and addresses stand: states may rise
  void stop();     // every carrier off

  // ---- the world
  void policy_changed(const std::set<std::string>& heads);  // of these names: states, MTUs
  void names_changed();  // endpoints and properties whose names stand for something else
  // Before the head of an unsecured tunnel goes: it shall not pass clear text, but wait for rules, or for iptun's
  // restart, which also opens.
  void keep_closed(const std::string& name, const std::string& because);
  void handle(const datapath::PathMtuChanged& event);
  void reassert(bool links_changed, bool addresses_changed);
  // News of a tunnel's device that tells nothing but what was made, or taken away, so here.
  [[nodiscard]] bool is_as_wanted(const platform::Change& change) const;
  [[nodiscard]] bool took_away(int device) const { return taken_away_.contains(device); }
  void heard_gone(int device) { taken_away_.erase(device); }  // nothing more is told of it
  void notices_were_lost() { taken_away_.clear(); }
  // A route or an interface of the underlay changed: the MTUs towards the peers are what they are now.
  void underlay_changed();
  [[nodiscard]] bool is_underlay(int interface_index) const { return underlay_.contains(interface_index); }
  void tick();  // what failed is tried again, path MTUs age

 private:
  struct Tunnel {
    TunnelRecord active;
    std::optional<TunnelRecord> stored;  // in datalink.conf; nullopt: temporary
    Endpoints ends;
    bool local_here = false;
    // Not secured, but it had rules when the last daemon died and has none now: closed until it has, or iptun is
    // restarted.
    bool lost_policy = false;
    std::string lost_because;  // not by a daemon's death but by a change that had to open nothing; empty: by that
    // Why the rules of its property are not in force; closed until they are. Empty: they are, or it has none.
    std::string broken_policy;
    bool device = false;  // the TUN is there and our workers have its queues
    // Why there is none; tried again by tick() with growing patience, and at once when what was in the way goes.
    std::string broken_device;
    bool name_taken = false;
    Seconds patience{0};
    MonoTime try_again{};
    int index = 0;  // by which it is known, whatever its name or group: of the last one
    uint32_t underlay_mtu = 1500;
    uint32_t learned_mtu = 0;  // path MTU; 0: none learned
    MonoTime learned_at{};
    std::shared_ptr<const datapath::Link> published;
    std::vector<std::shared_ptr<datapath::LinkCounters>> counters;
    uint32_t device_mtu = 0;
    bool carrier = false;
    bool usable = false;
    std::optional<tunnel::Closed> closed;
    std::string why_closed;
    Stand told = Stand::born;  // what was told of it last
    LinkTrouble trouble;
    uint64_t lost_before = 0;  // what the device had lost when its queues were opened
  };

  // links.cpp
  Result<Tunnel*> find(const std::string& name);
  Result<const Tunnel*> find(const std::string& name) const;
  Result<> check_pair_free(const Endpoints& ends, const std::string& name) const;
  Result<> check_no_loop(const Endpoints& ends, const std::string& name, Outcome& outcome);
  Result<> check_ends(const Endpoints& ends, const std::string& name, Outcome& outcome);
  [[nodiscard]] tunnel::LinkId free_id();
  void set_ends(Tunnel& tunnel, const Endpoints& ends);
  void forget_pair(const Tunnel& tunnel);

  // link_creation.cpp
  struct Birth {
    const IptunRequest* request = nullptr;
    Endpoints ends;
    LinkProperties properties;
    Tunnel* tunnel = nullptr;
    std::vector<std::unique_ptr<datapath::TunPort>> ports;
  };
  Result<std::vector<Birth>> check_births(const std::vector<IptunRequest>& requests, Outcome& outcome);
  Result<> take_policies(const std::vector<Birth>& births, Undo& undo, Outcome& outcome);
  void enter(std::vector<Birth>& births, Undo& undo);
  Result<> guard_births(const std::vector<Birth>& births, Undo& undo);
  Result<> make_devices(std::vector<Birth>& births, Undo& undo);
  Result<> open_born(Birth& birth, Undo& undo);
  Result<> store_births(const std::vector<Birth>& births, Undo& undo);
  void tell_guard_gone(const std::vector<Birth>& births);

  // link_removal.cpp
  [[nodiscard]] std::vector<LinkUser::Obstacle> obstacles(const std::string& name) const;
  Result<> may_delete(const std::string& name) const;
  Result<> close_carrier(Tunnel& tunnel, Undo& undo);
  Result<> mark_deleting(Tunnel& tunnel, bool keep_closed, Undo& undo);
  Result<> take_mark_away(Tunnel& tunnel);
  Result<> take_off_all(Tunnel& tunnel, bool keep_closed, Undo& undo);
  Result<> unstore(Tunnel& tunnel, Undo& undo);
  void unmake(Tunnel& tunnel);
  Result<Outcome> remove_broken(const std::string& name);
  void open_networks(const std::string& name, const std::vector<net::Prefix>& guarded, Outcome& outcome);

  // link_rename.cpp
  Result<> check_rename(const Tunnel& tunnel, const std::string& new_name) const;
  Result<> guard_both(const std::string& name, const std::string& new_name, Undo& undo);
  Result<> rename_device(const std::string& name, const std::string& new_name, Undo& undo);
  void change_name(const std::string& from, const std::string& to);
  Outcome policy_goes_along(const std::string& name, const std::string& new_name);

  // link_properties.cpp
  struct PropertyChange {
    std::function<Result<>(LinkProperties&, tunnel::Type)> apply;
    bool temporary = false;
    bool force = false;  // even where clear text passes then
    std::string ipsec_source = "ipsec";
  };
  Result<Outcome> change_properties(const std::string& name, const PropertyChange& change);
  static Result<LinkProperties> properties_of(const IptunRequest& request);

  // link_policy.cpp
  Result<> take_property(const std::string& name, const std::optional<std::string>& text, const std::string& source,
                         Undo& undo, Outcome& outcome);
  Result<> may_lose_property(const Tunnel& tunnel) const;
  void read_broken_again();

  // link_files.cpp
  [[nodiscard]] std::optional<TunnelRecord> stored_record(const std::string& name) const;
  [[nodiscard]] std::optional<TunnelRecord> active_record(const std::string& name) const;
  [[nodiscard]] DatalinkConf stored_conf() const;
  [[nodiscard]] DatalinkConf active_conf() const;
  Result<> save_stored(const std::vector<std::string>& names);  // what became of these; datalink.conf
  Result<> save_active(const std::vector<std::string>& names);  // the run directory's
  void write_stored();
  Result<> save_changed(Tunnel& tunnel, bool persistent);
  struct Remembered {
    std::vector<std::pair<TunnelRecord, std::optional<TunnelRecord>>> tunnels;  // as now; as in datalink.conf
    std::vector<TunnelRecord> half_made;
    std::vector<TunnelRecord> aside;  // as aside_
    std::vector<std::string> foreign_lines;
    std::vector<BrokenLine> broken_lines;  // of datalink.conf
    std::vector<BrokenLine> lost;          // of the run directory's file
  };
  Result<Remembered> remembered();
  void tell_broken(const std::string& path, const std::vector<BrokenLine>& lines) const;
  [[nodiscard]] const BrokenLine* broken_line_of(const std::string& name) const;  // nullptr: none

  // link_device.cpp
  Result<> guard_rules(const Tunnel& tunnel, Undo& undo);
  void fit_super_packets(const Tunnel& tunnel);
  [[nodiscard]] uint32_t underlay_mtu(const Endpoints& ends);
  const UnderlayInterfaces& underlay();
  Result<> check_local(const net::Address& local);
  void begin_losses(Tunnel& tunnel);
  bool know_underlay(const std::vector<platform::InterfaceInfo>& interfaces);  // true: an MTU is another

  // link_state.cpp
  [[nodiscard]] tunnel::LinkFacts facts_of(const Tunnel& tunnel) const;
  [[nodiscard]] tunnel::LinkState state_of(const Tunnel& tunnel) const;
  [[nodiscard]] MtuSum mtu_of(const Tunnel& tunnel, const spd::Head* head) const;
  [[nodiscard]] static tunnel::Outer outer_of(const Tunnel& tunnel);
  [[nodiscard]] std::shared_ptr<const datapath::Link> link_for_packets(const Tunnel& tunnel, bool usable) const;
  Result<> refresh(const std::vector<Tunnel*>& tunnels);  // closes, publishes, opens: in this order
  Result<> refresh(Tunnel& tunnel) { return refresh(std::vector<Tunnel*>{&tunnel}); }
  void refresh_all();
  void remember_policies(const std::vector<Tunnel*>& tunnels);
  [[nodiscard]] TunnelView view_of(const Tunnel& tunnel) const;

  // link_told.cpp
  [[nodiscard]] static Stand stand_of(const Tunnel& tunnel);
  [[nodiscard]] std::string words_for(const Tunnel& tunnel, Stand stand) const;
  [[nodiscard]] std::string down_sentence(const Tunnel& tunnel) const;
  void tell(Tunnel& tunnel);

  // link_listing.cpp
  LinkInfo info_of(const Tunnel& tunnel, const platform::InterfaceInfo* device) const;

  // link_watch.cpp
  void watch(Tunnel& tunnel, MonoTime now);
  [[nodiscard]] std::string told(Trouble trouble, const Tunnel& tunnel) const;
  [[nodiscard]] std::string send_trouble(const Tunnel& tunnel) const;
  [[nodiscard]] std::string peer_trouble(const Tunnel& tunnel) const;

  // link_adoption.cpp
  void adopt(TunnelRecord active, std::optional<TunnelRecord> stored);
  void undo_half_made(const TunnelRecord& record);
  void left_over(const TunnelRecord& record, const Error& error);
  // link_names.cpp
  void ask_names(const std::vector<TunnelRecord>& records);
  [[nodiscard]] Endpoints known_ends(const TunnelRecord& record);
  void bind(Tunnel& tunnel, Endpoints ends);
  [[nodiscard]] std::string unresolved(const Tunnel& tunnel) const;
  [[nodiscard]] std::string waiting_note(const IptunRequest& request, const Endpoints& ends) const;
  void had_device(Tunnel& tunnel, int index);
  void put_device_back(Tunnel& tunnel);
  Result<> open_device(Tunnel& tunnel);
  void dress_device(const Tunnel& tunnel);
  void device_failed(Tunnel& tunnel, const Error& error);
  void lose_device(Tunnel& tunnel);
  bool look_at_device(Tunnel& tunnel, const platform::InterfaceInfo* device);
  [[nodiscard]] bool device_is_due(const Tunnel& tunnel, MonoTime now) const;
  void look_for_local_addresses();

  const Context& context_;
  Dataplane& dataplane_;
  Guard& guard_;
  TunnelPolicy& policy_;
  LinkFile stored_file_, active_file_;
  MonoTime stored_at_{};
  std::vector<LinkUser*> users_;
  std::map<std::string, Tunnel> tunnels_;
  std::unordered_map<uint32_t, std::string> names_;  // by id
  std::unordered_map<int, tunnel::LinkId> devices_;  // by index, those that were had
  std::set<int> taken_away_;                         // devices that were deleted here and not yet told so
  // Who took a pair of outer addresses last: the only one who may have it.
  std::map<std::pair<net::Address, net::Address>, std::string> pairs_;
  std::vector<std::string> foreign_lines_;  // of datalink.conf
  std::vector<BrokenLine> broken_lines_;    // of datalink.conf, kept as they are
  std::vector<TunnelRecord> aside_;  // what was known of the tunnels of broken lines, for when these are repaired
  std::map<std::string, TunnelRecord> resting_;  // deleted with -t: in datalink.conf, back at the next start
  // A tunnel that is not yet made (or renamed) whole stands in the run directory as a persistent one: a daemon that
  // finds it there and not in datalink.conf undoes it.
  std::map<std::string, TunnelRecord> half_made_;
  // Devices of ours without a tunnel, which could not be deleted; they stand in the run directory like half-made ones.
  std::map<std::string, TunnelRecord> left_over_;
  uint32_t next_id_ = 1;
  std::map<std::string, std::string> broken_at_start_;  // by tunnel: why its property gave no rules
  UnderlayInterfaces underlay_;                         // as of the last look; empty: look
  bool adopted_ = false;
  bool service_up_ = false;
};

}  // namespace adit::engine
