// Platform on the real system: puts the parts together and says in which order a device becomes ours.
#include "linux/host/linux_platform.h"

#include <algorithm>
#include <memory>

#include "linux/guard/guardian/guardian_client.h"
#include "linux/guard/layers/guard_switch.h"
#include "linux/ike_door/pair.h"
#include "linux/ike_door/port_500.h"
#include "linux/netlink/address_book.h"
#include "linux/netlink/monitor.h"
#include "linux/netlink/netlink_addresses.h"
#include "linux/netlink/netlink_links.h"
#include "linux/netlink/netlink_routes.h"
#include "linux/nft/nft_apply.h"
#include "linux/nft/nft_program.h"
#include "linux/nft/nft_render.h"
#include "linux/ports/late_udp.h"
#include "linux/ports/tun.h"
#include "linux/ports/wire.h"
#include "linux/process/cage.h"
#include "linux/process/sysctl_file.h"

namespace adit::platform {
namespace {

constexpr uint32_t kQueuePackets = 1000;  // of the TUN; a burst of small packets while the worker is busy

class LinuxPlatform final : public Platform {
 public:
  explicit LinuxPlatform(PlatformSettings settings)
      : settings_(std::move(settings)),
        guardian_({.root = settings_.root,
                   .run = settings_.run_dir,
                   .launcher = settings_.launcher,
                   .guardian_uid = settings_.guardian_uid}) {}

  // --- devices
  Result<std::vector<std::unique_ptr<datapath::TunPort>>> open_tun(const std::string& name, uint32_t queues,
                                                                   DeviceName known) override;
  Result<> delete_tun(const std::string& name, DeviceName known) override;
  Result<> set_carrier(const std::string& name, bool on) override { return change(name, {.carrier = on}); }
  Result<> set_link_up(const std::string& name, bool up) override { return change(name, {.up = up}); }
  Result<> set_mtu(const std::string& name, uint32_t mtu) override { return change(name, {.mtu = mtu}); }
  Result<> set_gso_max(const std::string& name, uint32_t bytes, uint32_t segments) override {
    return change(name, {.gso_bytes = bytes, .gso_segments = segments});
  }
  Result<> rename_link(const std::string& name, const std::string& new_name) override {
    return change(name, {.name = new_name});
  }
  Result<std::unique_ptr<datapath::WirePort>> open_wire(uint32_t worker, uint32_t workers) override {
    return make_wire_port(worker, workers, kOuterMark, notices_, &late_udp_);
  }
  std::vector<std::string> notices() override { return std::exchange(notices_, {}); }
  std::vector<std::string> retry_wires() override;

  // --- IKE
  int socket_of_500(net::Family family) override { return port_500_.fd(family); }
  void listen_on_500(bool on) override { on ? port_500_.listen() : port_500_.stop_listening(); }
  Result<std::shared_ptr<ike::Port>> make_ike_pair(const HandIkePair& hand) override;

  // --- netlink
  Result<std::vector<InterfaceInfo>> interfaces() override;
  Result<InterfaceInfo> interface(const std::string& name) override;
  Result<InterfaceInfo> interface(int index) override;
  Result<std::vector<AddressInfo>> addresses() override { return list_addresses(*netlink_); }
  Result<std::vector<AddressInfo>> addresses_like(const net::Address& address) override;
  Result<std::vector<AddressInfo>> addresses_with_peer(const net::Address& peer) override;
  Result<std::vector<AddressInfo>> addresses_in_networks() override;
  Result<> add_address(const std::string& name, const net::Prefix& local, std::optional<net::Address> peer) override;
  Result<> remove_address(const std::string& name, const net::Prefix& local, std::optional<net::Address> peer) override;
  Result<std::vector<Route>> routes(net::Family family) override { return list_routes(*netlink_, family); }
  Result<> add_route(const Route& route) override {
    return platform::add_route(*netlink_, route, tunnels_.contains(route.interface_index));
  }
  Result<> remove_route(const Route& route) override { return platform::remove_route(*netlink_, route); }
  Result<Route> lookup_route(const net::Address& destination, uint32_t mark) override {
    return platform::lookup_route(*netlink_, destination, mark);
  }

  // --- the guard
  Result<> replace_guard(const GuardPlan& plan) override { return guardian_.replace(plan); }
  Result<> change_guard(const GuardChange& change) override { return guardian_.change(change); }
  GuardState guard_state() override { return guardian_.state(); }
  bool guard_switched_off() override { return switched_off_; }
  std::vector<std::string> put_back_guard() override { return guardian_.tend(); }
  Result<std::optional<FoundGuard>> found_guard() override { return guardian_.found(); }

  // --- nftables
  Result<> apply_firewall(const Firewall& firewall) override;
  Result<> remove_firewall() override { return nftables_.remove(); }
  std::string render_firewall(const Firewall& firewall) override { return render_table(firewall); }
  Result<bool> firewall_stands() override { return nftables_.stands(); }
  Result<std::vector<LeakCount>> leak_counts() override { return guardian_.leak_counts(); }
  Result<std::string> ruleset() override;

  // --- settings
  Result<std::string> sysctl(const std::string& path) override { return read_sysctl(path); }
  Result<> set_sysctl(const std::string& path, const std::string& value) override { return write_sysctl(path, value); }

  // --- changes
  Result<int> change_fd() override;
  std::vector<Change> poll_changes() override;

  Result<> start();

 private:
  Result<> change(const std::string& name, const LinkChange& wanted) { return change_link(*netlink_, name, wanted); }
  [[nodiscard]] bool is_ours(const LinkDetail& link, DeviceName known) const;
  Result<std::optional<LinkDetail>> find_ours(const std::string& name, DeviceName known);
  Result<> make_ours(const Descriptor& queue, const std::string& name);
  std::optional<Change> follow(const nlmsghdr& notice);
  Change follow_link(const nlmsghdr& notice);
  [[nodiscard]] bool is_news(const Route& route) const;

  [[nodiscard]] Result<Descriptor> tun_device() const;
  [[nodiscard]] NftRunner nft_runner() const;

  PlatformSettings settings_;
  std::unique_ptr<Netlink> netlink_;
  GuardianClient guardian_;
  const bool switched_off_ = platform::guard_switched_off();
  Monitor monitor_;
  NftTable nftables_{[this](uint32_t port) { monitor_.ignore_port(port); }, nft_runner()};
  std::set<int> tunnels_;  // opened here, or left in our group by an earlier life
  std::set<int> up_;       // interfaces, by what was told of them
  std::vector<std::string> notices_;
  LateUdp late_udp_;
  Port500 port_500_;
  AddressBook addresses_;
};

// --- devices

bool LinuxPlatform::is_ours(const LinkDetail& link, DeviceName known) const {
  if (tunnels_.contains(link.info.index)) return true;
  return known == DeviceName::recorded && link.info.is_tun && link.persistent && !link.for_users;
}

// The device of that name; none is fine, somebody else's is not.
Result<std::optional<LinkDetail>> LinuxPlatform::find_ours(const std::string& name, DeviceName known) {
  const auto there = get_link(*netlink_, name);
  if (!there && there.error().code == ENODEV) return std::nullopt;
  if (!there) return std::unexpected(there.error());
  if (!is_ours(*there, known))
    return fail(EEXIST,
                "{}: there is an interface of that name that Adit did not make; delete it or choose another name",
                name);
  return *there;
}

Result<Descriptor> LinuxPlatform::tun_device() const {
  auto device = open_tun_device();
  return !device && device.error().code == EACCES && settings_.launcher ? settings_.launcher->open_tun()
                                                                        : std::move(device);
}

// In this order a crash between two steps leaves either no device or one that is known as ours.
Result<> LinuxPlatform::make_ours(const Descriptor& queue, const std::string& name) {
  TRY(change(name, {.group = kLinkGroup, .queue_packets = kQueuePackets}));
  TRY(set_tun_persistent(queue, name));
  (void)change(name, {.no_automatic_addresses = true});  // refused where IPv6 is off: nothing to stop there
  return {};
}

Result<std::vector<std::unique_ptr<datapath::TunPort>>> LinuxPlatform::open_tun(const std::string& name,
                                                                                uint32_t queues, DeviceName known) {
  TRY_ASSIGN(const auto there, find_ours(name, known));
  if (there && there->queues_in_use > 0)
    return fail(EBUSY, "{}: another process has this tunnel; is a second aditd running?", name);
  std::vector<std::unique_ptr<datapath::TunPort>> ports;
  for (uint32_t i = 0; i < queues; ++i) {
    TRY_ASSIGN(Descriptor device, tun_device());
    TRY_ASSIGN(Descriptor queue, attach_tun_queue(std::move(device), name));
    if (i == 0) TRY(make_ours(queue, name));
    TRY_ASSIGN(auto port, make_tun_port(std::move(queue), name));
    ports.push_back(std::move(port));
  }
  TRY_ASSIGN(const LinkDetail made, get_link(*netlink_, name));
  tunnels_.insert(made.info.index);
  (void)use_no_queue(*netlink_, made.info.index);  // refused by an old kernel: slower to make, not wrong
  return ports;
}

Result<> LinuxPlatform::delete_tun(const std::string& name, DeviceName known) {
  TRY_ASSIGN(const auto there, find_ours(name, known));
  if (!there) return {};
  if (known == DeviceName::recorded && !tunnels_.contains(there->info.index) && there->queues_in_use > 0)
    return fail(EBUSY, "{}: another process has this tunnel; is a second aditd running?", name);
  const auto gone = delete_link(*netlink_, name);
  if (gone || gone.error().code == ENODEV) return {};
  return gone;
}

// --- netlink

Result<std::vector<InterfaceInfo>> LinuxPlatform::interfaces() {
  TRY_ASSIGN(const auto links, list_links(*netlink_));
  std::vector<InterfaceInfo> all;
  for (const auto& link : links) {
    all.push_back(link.info);
    all.back().ours |= tunnels_.contains(link.info.index);
  }
  return all;
}

Result<InterfaceInfo> LinuxPlatform::interface(const std::string& name) {
  TRY_ASSIGN(LinkDetail link, get_link(*netlink_, name));
  link.info.ours |= tunnels_.contains(link.info.index);
  return link.info;
}

Result<InterfaceInfo> LinuxPlatform::interface(int index) {
  TRY_ASSIGN(LinkDetail link, get_link(*netlink_, index));
  link.info.ours |= tunnels_.contains(link.info.index);
  return link.info;
}

Result<std::vector<AddressInfo>> LinuxPlatform::addresses_like(const net::Address& address) {
  TRY(addresses_.catch_up(*netlink_));
  auto found = addresses_.of(address);
  if (!found.empty() || address.is_v4()) return found;
  TRY(addresses_.ask_again(*netlink_));  // of a new IPv6 address the kernel may tell a moment later
  return addresses_.of(address);
}

Result<std::vector<AddressInfo>> LinuxPlatform::addresses_with_peer(const net::Address& peer) {
  TRY(addresses_.catch_up(*netlink_));
  auto found = addresses_.with_peer(peer);
  if (!found.empty() || peer.is_v4()) return found;
  TRY(addresses_.ask_again(*netlink_));
  return addresses_.with_peer(peer);
}

Result<std::vector<AddressInfo>> LinuxPlatform::addresses_in_networks() {
  TRY(addresses_.catch_up(*netlink_));
  return addresses_.in_networks();
}

Result<> LinuxPlatform::add_address(const std::string& name, const net::Prefix& local,
                                    std::optional<net::Address> peer) {
  TRY_ASSIGN(const LinkDetail link, get_link(*netlink_, name));
  TRY(platform::add_address(*netlink_, link.info.index, local, peer));
  addresses_.expect({.interface_index = link.info.index, .local = local, .peer = peer});
  return {};
}

Result<> LinuxPlatform::remove_address(const std::string& name, const net::Prefix& local,
                                       std::optional<net::Address> peer) {
  const auto link = get_link(*netlink_, name);
  if (!link && link.error().code == ENODEV) return {};  // its addresses went with it
  if (!link) return std::unexpected(link.error());
  return platform::remove_address(*netlink_, link->info.index, local, peer);
}

// --- nftables

NftRunner LinuxPlatform::nft_runner() const {
  if (!settings_.launcher) return spawn_nft;
  return [launcher = settings_.launcher](const std::vector<std::string>& arguments, const NftFiles& files) {
    return launcher->run_nft(arguments, files);
  };
}

Result<> LinuxPlatform::apply_firewall(const Firewall& firewall) {
  if (!monitor_.start() || monitor_.table_touched()) nftables_.distrust();
  return nftables_.apply(firewall);
}

Result<std::string> LinuxPlatform::ruleset() {
  TRY_ASSIGN(NftAnswer answer, run_nft({"-j", "list", "ruleset"}, "", nft_runner()));
  return std::move(answer.output);
}

// --- what is missing

std::vector<std::string> LinuxPlatform::retry_wires() {
  for (auto& sentence : refused_calls()) settings_.missing.push_back(std::move(sentence));
  std::vector<std::string> all = settings_.missing;
  if (settings_.launcher && !settings_.launcher->lives())
    all.emplace_back(
        "aditd's launcher has ended: the host's own rules cannot change, no tunnel may be made and no guardian "
        "started; "
        "restart aditd");
  for (auto& sentence : late_udp_.retry(kOuterMark)) all.push_back(std::move(sentence));
  for (auto& sentence : port_500_.open(kOuterMark)) all.push_back(std::move(sentence));
  return all;
}

// --- IKE

Result<std::shared_ptr<ike::Port>> LinuxPlatform::make_ike_pair(const HandIkePair& hand) {
  TRY_ASSIGN(auto pair, platform::make_ike_pair());
  TRY(hand(pair.port, pair.far.get()));
  return std::move(pair.port);
}

// --- changes

Result<int> LinuxPlatform::change_fd() {
  TRY(monitor_.start());
  monitor_.watch_too(guardian_.fd());
  return monitor_.fd();
}

// The group of a device of ours says that it is for whoever looks, so it is put back at once.
Change LinuxPlatform::follow_link(const nlmsghdr& notice) {
  Change news{Change::What::link};
  auto link = parse_link(notice);
  if (!link) return news;
  const int index = news.interface_index = link->info.index;
  const bool there = notice.nlmsg_type != RTM_DELLINK;
  if (there && link->info.up)
    up_.insert(index);
  else
    news.fell = up_.erase(index) > 0;
  if (!there) {
    tunnels_.erase(index);
    news.gone = true;
    return news;
  }
  if (tunnels_.contains(index) && !link->info.ours) (void)change(link->info.name, {.group = kLinkGroup});
  news.link = std::move(link->info);
  return news;
}

// What the kernel routes by itself into a device of ours, for groups and broadcasts, comes with the device and is
// nobody's business; what the guard closes with is the guardian's.
bool LinuxPlatform::is_news(const Route& route) const {
  constexpr uint32_t kLocalTable = 255;
  const bool guards = route.table == kGuardTable && route.protocol == kKernelProtocol && route.interface_index == 0 &&
                      route.more_hops.empty();
  return !guards && !(route.table == kLocalTable && tunnels_.contains(route.interface_index));
}

std::optional<Change> LinuxPlatform::follow(const nlmsghdr& notice) {
  const uint16_t type = notice.nlmsg_type;
  if (type == RTM_NEWADDR || type == RTM_DELADDR) {
    Change change{Change::What::address};
    change.address = parse_address(notice);
    change.gone = type == RTM_DELADDR;
    if (change.address) change.interface_index = change.address->interface_index;
    return change;
  }
  if (type != RTM_NEWROUTE && type != RTM_DELROUTE) return follow_link(notice);
  Change change{Change::What::route};
  change.route = parse_route(notice);
  if (!change.route || !is_news(*change.route)) return std::nullopt;
  change.interface_index = change.route->more_hops.empty() ? change.route->interface_index : 0;
  change.gone = type == RTM_DELROUTE;
  return change;
}

std::vector<Change> LinuxPlatform::poll_changes() {
  if (monitor_.fd() < 0) return {};
  auto changes = monitor_.poll([this](const nlmsghdr& notice) { return follow(notice); });
  for (const Change& one : changes)
    if (one.what == Change::What::nftables) nftables_.distrust();
  return changes;
}

Result<> LinuxPlatform::start() {
  TRY_ASSIGN(Netlink netlink, Netlink::open(NETLINK_ROUTE));
  netlink_ = std::make_unique<Netlink>(std::move(netlink));
  TRY_ASSIGN(const auto links, list_links(*netlink_));
  for (const auto& link : links)
    if (link.info.ours) tunnels_.insert(link.info.index);
  return {};
}

}  // namespace

Result<std::unique_ptr<Platform>> make_linux_platform(PlatformSettings settings) {
  auto platform = std::make_unique<LinuxPlatform>(std::move(settings));
  TRY(platform->start());
  return platform;
}

Result<std::unique_ptr<Platform>> make_linux_platform(const std::string& root, const std::string& run_dir) {
  return make_linux_platform({.root = root, .run_dir = run_dir});
}

}  // namespace adit::platform
