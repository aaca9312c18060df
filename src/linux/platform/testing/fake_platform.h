// A whole operating system in memory for tests of the engine: it keeps the kernel's rules that matter for failing
// closed (LAB.md: link down loses routes, carrier off keeps them, a persistent device outlives its owner) and can be
// told to fail. The object is the machine: it outlives the engine that crashes on it. One thread.
#pragma once

#include <deque>
#include <map>

#include "linux/platform/platform.h"

namespace adit::platform {

// What a fake port exchanges with the test; the test may keep it after the port is gone.
struct FakeQueue {
  std::deque<std::vector<uint8_t>> to_read;   // TUN: packets that the host sends into the device
  std::vector<std::vector<uint8_t>> written;  // TUN: packets that came out of it
  struct Outer {
    datapath::WireKind kind;
    net::Address source, destination;
    std::vector<uint8_t> payload;
  };
  std::deque<Outer> to_receive;  // wire
  std::vector<Outer> sent;       // wire
  bool open = true;              // the port still exists
  int send_error = 0;            // wire: what every send fails with
  uint64_t overflow = 0;         // wire: what came while a socket was full
};

class FakePlatform final : public Platform {
 public:
  FakePlatform();  // with lo, up; the sysctls that Adit uses; no routes but lo's
  ~FakePlatform() override;

  // --- the world of the test
  int add_interface(const std::string& name, bool up = true);  // an Ethernet; returns its index
  // The nth call from now (1: the next) of that method ("add_route", "apply_firewall" …) fails with `code`, and does
  // nothing.
  void fail_call(const std::string& method, int nth, int code, std::string text = {});
  void fail_no_more() { planned_.clear(); }
  size_t listed = 0;  // entries that interfaces(), addresses() and routes() gave, all in all
  // Every changing call in order, as "method argument": "open_tun t0", "apply_firewall", "add_route 10.0.1.0/24 t0",
  // "add_route 10.0.1.0/24 unreachable", "set_carrier t0 on". Failed calls stand as "method argument !".
  std::vector<std::string> journal;
  // The owner is killed: carriers of our TUNs go off, everything else stays, queues are free.
  void crash();
  // Reboot: only what a disk would hold (nothing here) and the Ethernets remain.
  void reboot();
  // What others do; each is reported as a Change.
  void others_set_link(const std::string& name, bool up);
  void others_delete_link(const std::string& name);
  void others_change_group(const std::string& name);  // `ip link set NAME group 0`
  void others_add_route(const Route& route);
  void others_remove_route(const Route& route);
  void others_flush_nftables();  // the guardian's table stays: it is owned
  void others_remove_rule();     // `ip rule del`: the guard's routing rule
  void kill_guardian();
  void others_remove_address(const std::string& interface, const net::Prefix& local);

  // --- what stands
  struct Link {
    InterfaceInfo info;
    uint32_t gso_bytes = 65536, gso_segments = 65535;
    std::vector<std::shared_ptr<FakeQueue>> queues;  // of the present owner
  };
  std::map<std::string, Link> links;
  std::vector<AddressInfo> address_list;
  std::vector<Route> route_list;  // connected ones too, as the kernel makes them (protocol 2)
  std::optional<Firewall> firewall;
  // The guard: what its layers were last told, and which of them stand.
  std::optional<GuardPlan> guard;
  struct Layers {
    bool rule = false, lasting = false, owned = false;
  } layers;
  bool guardian = true;       // it can be reached, or started
  bool switched_off = false;  // adit.guard=off
  std::vector<LeakCount> leaks;
  std::string ruleset_json = R"({"nftables": []})";  // others' tables, as nft prints them
  std::map<std::string, std::string> sysctls;
  std::vector<std::shared_ptr<FakeQueue>> wires;  // by worker
  std::map<net::Address, uint32_t> path_mtus;     // by outer destination
  std::vector<std::string> notice_list, missing_wires;
  // IKE.
  std::map<net::Family, int> sockets_of_500;  // those that there are
  bool listens_on_500 = false;
  std::shared_ptr<ike::Port> ike_port;  // the pair's end here; null: none can be made
  int ike_far = 1000;                   // and the other

  // --- Platform
  Result<std::vector<std::unique_ptr<datapath::TunPort>>> open_tun(const std::string& name, uint32_t queues,
                                                                   DeviceName known) override;
  Result<> delete_tun(const std::string& name, DeviceName known) override;
  Result<> set_carrier(const std::string& name, bool on) override;
  Result<> set_link_up(const std::string& name, bool up) override;
  Result<> set_mtu(const std::string& name, uint32_t mtu) override;
  Result<> set_gso_max(const std::string& name, uint32_t bytes, uint32_t segments) override;
  Result<> rename_link(const std::string& name, const std::string& new_name) override;
  Result<std::unique_ptr<datapath::WirePort>> open_wire(uint32_t worker, uint32_t workers) override;
  std::vector<std::string> notices() override;
  std::vector<std::string> retry_wires() override { return missing_wires; }
  int socket_of_500(net::Family family) override {
    const auto found = sockets_of_500.find(family);
    return found == sockets_of_500.end() ? -1 : found->second;
  }
  void listen_on_500(bool on) override { listens_on_500 = on; }
  Result<std::shared_ptr<ike::Port>> make_ike_pair(const HandIkePair& hand) override {
    if (ike_port == nullptr) return fail(EMFILE, "no descriptor is free");
    TRY(hand(ike_port, ike_far));
    return ike_port;
  }
  Result<std::vector<InterfaceInfo>> interfaces() override;
  Result<InterfaceInfo> interface(const std::string& name) override;
  Result<InterfaceInfo> interface(int index) override;
  Result<std::vector<AddressInfo>> addresses() override;
  Result<std::vector<AddressInfo>> addresses_like(const net::Address& address) override;
  Result<std::vector<AddressInfo>> addresses_with_peer(const net::Address& peer) override;
  Result<std::vector<AddressInfo>> addresses_in_networks() override;
  Result<> add_address(const std::string& interface, const net::Prefix& local,
                       std::optional<net::Address> peer) override;
  Result<> remove_address(const std::string& interface, const net::Prefix& local,
                          std::optional<net::Address> peer) override;
  Result<std::vector<Route>> routes(net::Family family) override;
  Result<> add_route(const Route& route) override;
  Result<> remove_route(const Route& route) override;
  Result<Route> lookup_route(const net::Address& destination, uint32_t mark) override;
  Result<> replace_guard(const GuardPlan& plan) override;
  Result<> change_guard(const GuardChange& change) override;
  GuardState guard_state() override;
  bool guard_switched_off() override { return switched_off; }
  std::vector<std::string> put_back_guard() override;
  Result<std::optional<FoundGuard>> found_guard() override;
  Result<> apply_firewall(const Firewall& firewall) override;
  Result<> remove_firewall() override;
  std::string render_firewall(const Firewall& firewall) override;
  Result<bool> firewall_stands() override;
  Result<std::vector<LeakCount>> leak_counts() override;
  Result<std::string> ruleset() override { return ruleset_json; }
  Result<std::string> sysctl(const std::string& path) override;
  Result<> set_sysctl(const std::string& path, const std::string& value) override;
  Result<int> change_fd() override;
  std::vector<Change> poll_changes() override;

 private:
  struct Planned {
    int left = 0;
    Error error;
  };
  // Journals the call; the planned error when this one is to fail.
  Result<> call(const std::string& method, const std::string& argument);
  Result<Link*> find(const std::string& name);
  void changed(Change::What what, int index = 0);
  void report(Change change);
  void link_changed(const InterfaceInfo& info, bool fell = false);
  void address_changed(const AddressInfo& address, bool gone);
  void route_changed(const Route& route, bool gone);
  void erase_routes(const std::function<bool(const Route&)>& which);
  void link_state(Link& link, bool up);
  void drop_link(const std::string& name);
  void forget_routes_of(int index);
  void forget_routes_without_address(int index);
  void connect_routes(const AddressInfo& address);
  [[nodiscard]] std::string describe(const Route& route) const;

  std::map<std::string, std::vector<Planned>> planned_;
  std::vector<Change> changes_;
  int next_index_ = 1;
  int event_fd_ = -1;
};

}  // namespace adit::platform
