// ipadm: address objects and the interfaces they stand on (links-and-addresses.md §2). Any interface of the host may
// carry them; on a tunnel they are point-to-point, and the guard hears of the peer before the kernel does (I7).
#pragma once

#include <map>
#include <memory>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

#include "base/line_file.h"
#include "control/seams.h"
#include "host/files/ipadm_conf.h"

namespace adit::engine {

// One address object. What the operator asked for, and where it is in the kernel.
struct AddressRecord {
  struct Placed {
    net::Prefix local;
    std::optional<net::Address> peer;
    friend bool operator==(const Placed&, const Placed&) = default;
  };
  std::string name, interface;
  bool addrconf = false;
  std::string local, remote;      // static: as typed (a host name is resolved again at each start)
  std::optional<uint8_t> prefix;  // static: typed behind local
  net::Family family = net::Family::v6;
  std::string interface_id = "::/0";  // addrconf: id/length; ::/0 means the default one
  bool persistent = false;            // in ipadm.conf
  bool active = true;                 // false: disabled until enable-addr or the next start
  bool up = true, persistent_up = true;
  std::optional<Placed> placed;  // in the kernel, by us
};

class Addresses final : public LinkUser {
 public:
  Addresses(const Context& context, const LinkView& links, GuardDoor& guard);

  // Start: reads ipadm.conf, puts in place what has an interface by now. Failures go to the event log.
  void restore();
  // Somebody changed addresses or links: puts back what is gone.
  void reassert();
  [[nodiscard]] bool owes() const { return owes_; }  // something could not be put back: reassert again by and by

  void tick();
  void write_stored();  // the files take up their journals
  // Put it on that link, whose tunnel stands.
  [[nodiscard]] bool wants(const std::string& link, const platform::AddressInfo& address) const;
  [[nodiscard]] bool wants(const std::string& link, const platform::Route& route) const;

  // ---- LinkUser. may_delete: EBUSY while the link has an address object.
  Result<> may_delete(const std::string& link) const override;
  [[nodiscard]] std::vector<Obstacle> standing_on(const std::string& link) const override;
  Result<> take_off(const std::string& link, Undo& undo) override;
  void link_ready(const std::string& link) override;
  void link_gone(const std::string& link) override;
  void link_renamed(const std::string& from, const std::string& to) override;

  // ---- ipadm. Texts are whole messages of links-and-addresses.md §2.4. All or nothing, the file included.
  // EINVAL, EEXIST, ENOENT (no such interface), EADDRINUSE, or what guard, kernel or disk said.
  Result<Outcome> create_address(const AddressRequest& request);
  Result<Outcome> delete_address(const std::string& object);
  Result<Outcome> set_address_up(const std::string& object, bool up, bool temporary);
  Result<Outcome> enable_address(const std::string& object, bool enable);  // until the next start
  Result<Outcome> refresh_address(const std::string& object);
  Result<Outcome> create_interface(const std::string& interface, bool temporary);
  Result<Outcome> delete_interface(const std::string& interface);
  Result<Outcome> enable_interface(const std::string& interface, bool enable);

  // filter: empty, `ifname/` or an object. ENOENT: no such object or interface.
  Result<std::vector<AddressObject>> list(const std::string& filter) const;
  Result<std::vector<IfInfo>> list_interfaces(const std::string& filter) const;

 private:
  struct Interface {
    bool persistent = false, active = true;
  };
  using Objects = std::map<std::string, AddressRecord>;
  // Those of a link: their names begin with its own and a slash, which '0' follows.
  auto on(const std::string& link) {
    return std::ranges::subrange(records_.lower_bound(link + "/"), records_.lower_bound(link + "0"));
  }
  [[nodiscard]] auto on(const std::string& link) const {
    return std::ranges::subrange(records_.lower_bound(link + "/"), records_.lower_bound(link + "0"));
  }

  Result<AddressRecord> checked(const AddressRequest& request) const;
  Result<> checked_static(const AddressRequest& request, bool point_to_point, AddressRecord& record) const;
  Result<> checked_addrconf(const AddressRequest& request, AddressRecord& record) const;
  Result<AddressRecord::Placed> target(const AddressRecord& record) const;
  // By a command: what it closed it may open again when the kernel refuses. Put back: nothing opens, whatever fails.
  enum class By : uint8_t { command, put_back };
  Result<> guard_and_place(AddressRecord& record, By by);  // guard, then kernel; nothing when it should not stand
  Result<> stands_on_its_own(const std::string& interface) const;  // ENODEV: its tunnel has no device, or another's
  Result<> put_in(const AddressRecord& record, const AddressRecord::Placed& wanted);
  [[nodiscard]] std::optional<platform::Route> peer_route(const std::string& interface,
                                                          const AddressRecord::Placed& placed) const;
  Result<> unplace(AddressRecord& record, Outcome& outcome);  // kernel, then guard
  Result<> take_out(AddressRecord& record);                   // kernel only
  Result<> take_address(const std::string& interface, const AddressRecord::Placed& placed);
  Result<> release(const std::string& interface, const std::optional<AddressRecord::Placed>& was,
                   Outcome& outcome);  // guard only
  void place_again(AddressRecord& record);
  void place_all();
  // What stands of addresses in a file: ipadm.conf, or that of the temporary ones in the run directory.
  struct Stored {
    LineFile file;
    bool persistent;
    std::map<std::string, LineFile::Lines> held;  // by link
  };
  Result<> save(const std::vector<std::string>& links);
  Result<> save(Stored& stored, const std::vector<std::string>& links);
  Result<LineFile::Lines> whole(const Stored& stored) const;
  void add_interface(IpadmConf& conf, const std::string& link, bool persistent) const;
  void add_objects(IpadmConf& conf, const std::string& link, bool persistent) const;
  void load(Stored& stored);
  void load_object(const std::string& object, const IpadmConf::Line& line, bool persistent);
  Result<AddressRecord*> find(const std::string& object, const char* what);
  [[nodiscard]] bool exists(const std::string& interface) const;
  [[nodiscard]] bool point_to_point(const std::string& interface) const;
  [[nodiscard]] std::optional<platform::InterfaceInfo> interface_info(const std::string& name) const;
  [[nodiscard]] AddressObject described(const AddressRecord& record, const platform::InterfaceInfo* interface,
                                        const platform::AddressInfo* kernel) const;
  [[nodiscard]] IfInfo described(const std::string& name, const platform::InterfaceInfo* info,
                                 const std::vector<platform::AddressInfo>& kernel) const;
  [[nodiscard]] bool passes(const platform::InterfaceInfo* interface) const;

  const Context& context_;
  const LinkView& links_;
  GuardDoor& guard_;
  std::map<std::string, Interface> interfaces_;  // those that create-if or create-addr plumbed
  Objects records_;                              // by name
  bool owes_ = false;
  Stored stored_, temporary_;
  MonoTime stored_at_{};
};

}  // namespace adit::engine
