#include "linux/platform/testing/fake_platform.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace adit::platform {
namespace {

constexpr uint8_t kProtocolKernel = 2;  // RTPROT_KERNEL

class FakeTun final : public datapath::TunPort {
 public:
  explicit FakeTun(std::shared_ptr<FakeQueue> queue) : queue_(std::move(queue)) {}
  ~FakeTun() override { queue_->open = false; }
  int fd() const override { return -1; }
  ssize_t read(MutByteSpan buffer, datapath::Offload& offload) override {
    offload = {};
    if (queue_->to_read.empty()) return 0;
    const auto packet = std::move(queue_->to_read.front());
    queue_->to_read.pop_front();
    const size_t size = std::min(packet.size(), buffer.size());
    std::memcpy(buffer.data(), packet.data(), size);
    return static_cast<ssize_t>(size);
  }
  int write(std::span<const ByteSpan> pieces, const datapath::Offload&) override {
    auto& packet = queue_->written.emplace_back();
    for (const ByteSpan piece : pieces) packet.insert(packet.end(), piece.begin(), piece.end());
    return 0;
  }

 private:
  std::shared_ptr<FakeQueue> queue_;
};

class FakeWire final : public datapath::WirePort {
 public:
  FakeWire(std::shared_ptr<FakeQueue> queue, const std::map<net::Address, uint32_t>& path_mtus)
      : queue_(std::move(queue)), path_mtus_(path_mtus) {}
  ~FakeWire() override { queue_->open = false; }
  std::span<const int> fds() const override { return {}; }
  void send(std::span<const datapath::WireSend> items, std::span<datapath::WireResult> results) override {
    for (size_t i = 0; i < items.size(); ++i) {
      const auto& item = items[i];
      results[i] = {-queue_->send_error};
      if (queue_->send_error != 0) continue;
      queue_->sent.push_back({item.kind, item.source, item.destination, {item.payload.begin(), item.payload.end()}});
    }
  }
  size_t receive(std::span<uint8_t* const> buffers, std::span<datapath::WireReceived> items) override {
    size_t count = 0;
    while (count < items.size() && !queue_->to_receive.empty()) {
      const auto outer = std::move(queue_->to_receive.front());
      queue_->to_receive.pop_front();
      auto& item = items[count] = {};
      item.kind = outer.kind;
      item.source = outer.source;
      item.destination = outer.destination;
      item.data = buffers[count] + net::kHeadroom;
      item.length = static_cast<uint32_t>(outer.payload.size());
      std::memcpy(item.data, outer.payload.data(), outer.payload.size());
      ++count;
    }
    return count;
  }
  size_t errors(std::span<datapath::WireError>) override { return 0; }
  uint64_t overflow() const override { return queue_->overflow; }
  uint32_t path_mtu(const net::Address&, const net::Address& destination) override {
    const auto found = path_mtus_.find(destination);
    return found == path_mtus_.end() ? 0 : found->second;
  }

 private:
  std::shared_ptr<FakeQueue> queue_;
  const std::map<net::Address, uint32_t>& path_mtus_;
};

bool is_ours(const InterfaceInfo& device, DeviceName known) {
  return device.ours || (known == DeviceName::recorded && device.is_tun);
}

bool matches(const Route& wanted, const Route& there) {  // as RTM_DELROUTE: what is not said matches all
  return wanted.destination.masked() == there.destination && wanted.table == there.table &&
         (wanted.metric == 0 || wanted.metric == there.metric) &&
         (wanted.interface_index == 0 || wanted.interface_index == there.interface_index) &&
         (wanted.protocol == 0 || wanted.protocol == there.protocol) &&
         (!wanted.gateway || wanted.gateway == there.gateway) && (!wanted.unreachable || there.unreachable) &&
         (!wanted.blackhole || there.blackhole);
}

}  // namespace

FakePlatform::FakePlatform() : event_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  reboot();
  sysctls = {{"net/ipv4/ip_forward", "0"},           {"net/ipv4/conf/all/forwarding", "0"},
             {"net/ipv6/conf/all/forwarding", "0"},  {"net/ipv4/conf/all/rp_filter", "0"},
             {"net/ipv4/ip_default_ttl", "64"},      {"net/ipv6/conf/all/hop_limit", "64"},
             {"net/ipv6/conf/all/disable_ipv6", "0"}};
}

FakePlatform::~FakePlatform() {
  if (event_fd_ >= 0) close(event_fd_);
}

// --- the world of the test

int FakePlatform::add_interface(const std::string& name, bool up) {
  Link link;
  link.info = {
      .index = next_index_++, .name = name, .up = up, .carrier = up, .multicast = true, .broadcast = true, .mtu = 1500};
  const int index = link.info.index;
  links[name] = std::move(link);
  link_changed(links[name].info);
  return index;
}

void FakePlatform::fail_call(const std::string& method, int nth, int code, std::string text) {
  if (text.empty()) text = method + ": made to fail by the test";
  planned_[method].push_back({nth, {code, std::move(text)}});
}

void FakePlatform::crash() {
  for (auto& [name, link] : links)
    if (link.info.is_tun) {
      link.info.carrier = false;
      link.queues.clear();
    }
  wires.clear();
  planned_.clear();
}

void FakePlatform::reboot() {
  std::vector<std::string> ethernets;
  for (auto& [name, link] : links)
    if (!link.info.is_tun && !link.info.loopback) ethernets.push_back(name);
  links.clear();
  address_list.clear();
  route_list.clear();
  firewall.reset();
  guard.reset();
  layers = {};
  guardian = true;
  leaks.clear();
  wires.clear();
  changes_.clear();
  next_index_ = 1;
  Link lo;
  lo.info = {.index = next_index_++, .name = "lo", .up = true, .carrier = true, .loopback = true, .mtu = 65536};
  links["lo"] = std::move(lo);
  for (const auto& name : ethernets) add_interface(name);
}

void FakePlatform::others_set_link(const std::string& name, bool up) {
  if (const auto found = links.find(name); found != links.end()) link_state(found->second, up);
}

void FakePlatform::others_delete_link(const std::string& name) {
  drop_link(name);
}

// While its owner lives it is known by its index, and put back.
void FakePlatform::others_change_group(const std::string& name) {
  const auto found = links.find(name);
  if (found == links.end() || !found->second.info.is_tun) return;
  const bool open = std::ranges::any_of(found->second.queues, [](const auto& queue) { return queue->open; });
  found->second.info.ours = open;
  link_changed(found->second.info);
}

void FakePlatform::others_add_route(const Route& route) {
  route_list.push_back(route);
  route_changed(route, false);
}

void FakePlatform::others_remove_route(const Route& route) {
  erase_routes([&](const Route& there) { return matches(route, there); });
}

void FakePlatform::others_flush_nftables() {
  if (std::exchange(layers.lasting, false)) changed(Change::What::guard);
  if (!firewall) return;
  firewall.reset();
  leaks.clear();
  changed(Change::What::nftables);
}

void FakePlatform::others_remove_rule() {
  if (std::exchange(layers.rule, false)) changed(Change::What::guard);
}

void FakePlatform::kill_guardian() {
  if (std::exchange(layers.owned, false)) changed(Change::What::guard);
}

void FakePlatform::others_remove_address(const std::string& interface, const net::Prefix& local) {
  const auto found = links.find(interface);
  if (found == links.end()) return;
  const int index = found->second.info.index;
  std::erase_if(address_list, [&](const AddressInfo& there) {
    const bool gone = there.interface_index == index && there.local == local;
    if (gone) address_changed(there, true);
    return gone;
  });
}

// --- how it works inside

Result<> FakePlatform::call(const std::string& method, const std::string& argument) {
  journal.push_back(argument.empty() ? method : method + " " + argument);
  auto& plans = planned_[method];
  for (auto& plan : plans) --plan.left;
  const auto due = std::ranges::find_if(plans, [](const Planned& plan) { return plan.left == 0; });
  if (due == plans.end()) return {};
  Error error = due->error;
  plans.erase(due);
  journal.back() += " !";
  return std::unexpected(std::move(error));
}

Result<FakePlatform::Link*> FakePlatform::find(const std::string& name) {
  const auto found = links.find(name);
  if (found == links.end()) return fail(ENODEV, "{}: no such interface", name);
  return &found->second;
}

void FakePlatform::changed(Change::What what, int index) {
  report({what, index});
}

void FakePlatform::link_changed(const InterfaceInfo& info, bool fell) {
  report({.what = Change::What::link, .interface_index = info.index, .link = info, .fell = fell});
}

void FakePlatform::address_changed(const AddressInfo& address, bool gone) {
  report({.what = Change::What::address, .interface_index = address.interface_index, .address = address, .gone = gone});
}

void FakePlatform::route_changed(const Route& route, bool gone) {
  report({.what = Change::What::route, .interface_index = route.interface_index, .route = route, .gone = gone});
}

void FakePlatform::erase_routes(const std::function<bool(const Route&)>& which) {
  std::vector<Route> gone;
  std::ranges::copy_if(route_list, std::back_inserter(gone), which);
  std::erase_if(route_list, which);
  for (const Route& route : gone) route_changed(route, true);
}

// Of several words about a link the last, as Monitor tells it.
void FakePlatform::report(Change change) {
  const auto known = std::ranges::find_if(changes_, [&](const Change& one) {
    return one.what == Change::What::link && change.what == one.what && change.interface_index == one.interface_index;
  });
  if (known != changes_.end()) {
    change.fell |= known->fell;
    *known = std::move(change);
  } else {
    changes_.push_back(std::move(change));
  }
  if (event_fd_ >= 0) eventfd_write(event_fd_, 1);
}

void FakePlatform::forget_routes_of(int index) {
  erase_routes([&](const Route& route) { return route.interface_index == index; });
}

void FakePlatform::link_state(Link& link, bool up) {
  if (link.info.up == up) return;
  link.info.up = up;
  link_changed(link.info, !up);
  if (!up) {
    forget_routes_of(link.info.index);  // the kernel does not bring them back
    return;
  }
  for (const auto& address : address_list)
    if (address.interface_index == link.info.index) connect_routes(address);
}

void FakePlatform::drop_link(const std::string& name) {
  const auto found = links.find(name);
  if (found == links.end()) return;
  const int index = found->second.info.index;
  links.erase(found);
  std::erase_if(address_list, [&](const AddressInfo& address) {
    if (address.interface_index == index) address_changed(address, true);
    return address.interface_index == index;
  });
  forget_routes_of(index);
  report({.what = Change::What::link, .interface_index = index, .gone = true});
}

void FakePlatform::connect_routes(const AddressInfo& address) {
  if (!address.peer && address.local.is_host()) return;
  Route route;
  route.destination = address.peer ? net::Prefix::host(*address.peer) : address.local.masked();
  route.interface_index = address.interface_index;
  route.protocol = kProtocolKernel;
  route.metric = route.destination.family() == net::Family::v6 ? 256 : 0;
  if (std::ranges::find(route_list, route) == route_list.end()) route_list.push_back(route);
  route_changed(route, false);
}

std::string FakePlatform::describe(const Route& route) const {
  std::string text = route.destination.str();
  if (route.unreachable) return text + " unreachable";
  if (route.blackhole) return text + " blackhole";
  if (route.gateway) text += " via " + route.gateway->str();
  for (const auto& [name, link] : links)
    if (link.info.index == route.interface_index) text += " " + name;
  return text;
}

// --- devices

Result<std::vector<std::unique_ptr<datapath::TunPort>>> FakePlatform::open_tun(const std::string& name, uint32_t queues,
                                                                               DeviceName known) {
  TRY(call("open_tun", name));
  const auto there = links.find(name);
  if (there != links.end() && !is_ours(there->second.info, known))
    return fail(EEXIST, "{}: there is an interface of that name that Adit did not make", name);
  if (there == links.end()) {
    Link link;
    link.info = {.index = next_index_++,
                 .name = name,
                 .point_to_point = true,
                 .is_tun = true,
                 .multicast = true,
                 .ours = true,
                 .mtu = 1500};
    links[name] = std::move(link);
  }
  Link& link = links[name];
  for (const auto& queue : link.queues)
    if (queue->open) return fail(EBUSY, "{}: another process has this tunnel", name);
  link.info.carrier = false;
  link.info.ours = true;
  link.queues.clear();
  std::vector<std::unique_ptr<datapath::TunPort>> ports;
  for (uint32_t i = 0; i < queues; ++i) {
    link.queues.push_back(std::make_shared<FakeQueue>());
    ports.push_back(std::make_unique<FakeTun>(link.queues.back()));
  }
  link_changed(link.info);
  return ports;
}

Result<> FakePlatform::delete_tun(const std::string& name, DeviceName known) {
  TRY(call("delete_tun", name));
  const auto found = links.find(name);
  if (found == links.end()) return {};
  if (!is_ours(found->second.info, known)) return fail(EEXIST, "{}: not a tunnel of Adit", name);
  drop_link(name);
  return {};
}

Result<> FakePlatform::set_carrier(const std::string& name, bool on) {
  TRY(call("set_carrier", name + (on ? " on" : " off")));
  TRY_ASSIGN(Link * link, find(name));
  if (std::exchange(link->info.carrier, on) != on) link_changed(link->info);
  for (auto& route : route_list)
    if (route.interface_index == link->info.index) route.linkdown = !on;
  return {};
}

Result<> FakePlatform::set_link_up(const std::string& name, bool up) {
  TRY(call("set_link_up", name + (up ? " up" : " down")));
  TRY_ASSIGN(Link * link, find(name));
  link_state(*link, up);
  return {};
}

Result<> FakePlatform::set_mtu(const std::string& name, uint32_t mtu) {
  TRY(call("set_mtu", fmt::format("{} {}", name, mtu)));
  TRY_ASSIGN(Link * link, find(name));
  link->info.mtu = mtu;
  link_changed(link->info);
  return {};
}

Result<> FakePlatform::set_gso_max(const std::string& name, uint32_t bytes, uint32_t segments) {
  TRY(call("set_gso_max", name));
  TRY_ASSIGN(Link * link, find(name));
  link->gso_bytes = bytes;
  link->gso_segments = segments;
  return {};
}

Result<> FakePlatform::rename_link(const std::string& name, const std::string& new_name) {
  TRY(call("rename_link", name + " " + new_name));
  TRY_ASSIGN(Link * link, find(name));
  if (links.contains(new_name)) return fail(EEXIST, "{}: there is an interface of that name", new_name);
  link->info.name = new_name;
  links[new_name] = std::move(*link);
  links.erase(name);
  link_changed(links[new_name].info);
  return {};
}

Result<std::unique_ptr<datapath::WirePort>> FakePlatform::open_wire(uint32_t worker, uint32_t workers) {
  TRY(call("open_wire", fmt::format("{}/{}", worker, workers)));
  if (wires.size() <= worker) wires.resize(worker + 1);
  wires[worker] = std::make_shared<FakeQueue>();
  return std::make_unique<FakeWire>(wires[worker], path_mtus);
}

std::vector<std::string> FakePlatform::notices() {
  return std::exchange(notice_list, {});
}

// --- netlink

Result<std::vector<InterfaceInfo>> FakePlatform::interfaces() {
  std::vector<InterfaceInfo> all;
  all.reserve(links.size());
  for (const auto& [name, link] : links) all.push_back(link.info);
  std::ranges::sort(all, {}, &InterfaceInfo::index);
  listed += all.size();
  return all;
}

Result<InterfaceInfo> FakePlatform::interface(const std::string& name) {
  TRY_ASSIGN(const Link* link, find(name));
  return link->info;
}

Result<InterfaceInfo> FakePlatform::interface(int index) {
  for (const auto& [name, link] : links)
    if (link.info.index == index) return link.info;
  return fail(ENODEV, "interface {}: no such interface", index);
}

Result<std::vector<AddressInfo>> FakePlatform::addresses() {
  listed += address_list.size();
  return address_list;
}

Result<std::vector<AddressInfo>> FakePlatform::addresses_with_peer(const net::Address& peer) {
  std::vector<AddressInfo> found;
  std::ranges::copy_if(address_list, std::back_inserter(found),
                       [&](const AddressInfo& one) { return one.peer == peer; });
  return found;
}

Result<std::vector<AddressInfo>> FakePlatform::addresses_like(const net::Address& address) {
  std::vector<AddressInfo> found;
  std::ranges::copy_if(address_list, std::back_inserter(found),
                       [&](const AddressInfo& one) { return one.local.address() == address; });
  return found;
}

Result<std::vector<AddressInfo>> FakePlatform::addresses_in_networks() {
  std::vector<AddressInfo> found;
  std::ranges::copy_if(address_list, std::back_inserter(found), &AddressInfo::in_a_network);
  return found;
}

Result<> FakePlatform::add_address(const std::string& interface, const net::Prefix& local,
                                   std::optional<net::Address> peer) {
  TRY(call("add_address", local.str() + " " + interface));
  TRY_ASSIGN(const Link* link, find(interface));
  AddressInfo address{.interface_index = link->info.index, .local = local, .peer = peer};
  for (const auto& there : address_list)
    if (there.interface_index == address.interface_index && there.local == local && there.peer == peer) return {};
  address_list.push_back(address);
  address_changed(address, false);
  if (link->info.up) connect_routes(address);
  return {};
}

Result<> FakePlatform::remove_address(const std::string& interface, const net::Prefix& local,
                                      std::optional<net::Address> peer) {
  TRY(call("remove_address", local.str() + " " + interface));
  TRY_ASSIGN(const Link* link, find(interface));
  const int index = link->info.index;
  std::erase_if(address_list, [&](const AddressInfo& there) {
    const bool gone = there.interface_index == index && there.local == local && there.peer == peer;
    if (gone) address_changed(there, true);
    return gone;
  });
  const net::Prefix connected = peer ? net::Prefix::host(*peer) : local.masked();
  erase_routes([&](const Route& route) {
    return route.protocol == kProtocolKernel && route.interface_index == index && route.destination == connected;
  });
  forget_routes_without_address(index);
  return {};
}

// With the last IPv4 address of a device the kernel takes all IPv4 routes over it away, and tells nobody.
void FakePlatform::forget_routes_without_address(int index) {
  const auto is_v4 = [&](const AddressInfo& one) {
    return one.interface_index == index && one.local.family() == net::Family::v4;
  };
  if (std::ranges::any_of(address_list, is_v4)) return;
  std::erase_if(route_list, [&](const Route& route) {
    return route.interface_index == index && route.destination.family() == net::Family::v4;
  });
}

Result<std::vector<Route>> FakePlatform::routes(net::Family family) {
  std::vector<Route> all;
  for (const auto& route : route_list)
    if (route.destination.family() == family) all.push_back(route);
  listed += all.size();
  return all;
}

Result<> FakePlatform::add_route(const Route& route) {
  TRY(call("add_route", describe(route)));
  Route made = route;
  made.destination = route.destination.masked();
  if (made.protocol == 0) made.protocol = kRouteProtocol;
  if (made.metric == 0 && made.destination.family() == net::Family::v6) made.metric = 1024;
  if (made.gateway && made.interface_index == 0) {
    const auto on_link = std::ranges::find_if(route_list, [&](const Route& there) {
      return !there.gateway && there.interface_index != 0 && there.destination.contains(*made.gateway);
    });
    if (on_link == route_list.end()) return fail(ENETUNREACH, "{}: its gateway is not on a link", describe(route));
    made.interface_index = on_link->interface_index;
  }
  if (made.interface_index != 0) {
    const auto on =
        std::ranges::find_if(links, [&](const auto& l) { return l.second.info.index == made.interface_index; });
    if (on == links.end()) return fail(ENODEV, "{}: no such interface", describe(route));
    if (!on->second.info.up) return fail(ENETDOWN, "{}: {} is down", describe(route), on->first);
    made.linkdown = !on->second.info.carrier;
  }
  const auto same = [&](const Route& there) {  // as the kernel: whoever made it
    return there.destination == made.destination && there.gateway == made.gateway &&
           there.interface_index == made.interface_index && there.table == made.table && there.metric == made.metric &&
           there.unreachable == made.unreachable && there.blackhole == made.blackhole;
  };
  if (std::ranges::any_of(route_list, same)) return fail(EEXIST, "{}: the route is there", describe(route));
  route_list.insert(route_list.begin(), made);
  route_changed(made, false);
  return {};
}

Result<> FakePlatform::remove_route(const Route& route) {
  TRY(call("remove_route", describe(route)));
  const auto found = std::ranges::find_if(route_list, [&](const Route& there) { return matches(route, there); });
  if (found == route_list.end()) return fail(ESRCH, "{}: not in the table", describe(route));
  const Route gone = *found;
  route_list.erase(found);
  route_changed(gone, true);
  return {};
}

// The guard's table comes first, by the rule at priority 0; what it does not know, and what it throws, is main's.
Result<Route> FakePlatform::lookup_route(const net::Address& destination, uint32_t) {
  const auto best_of = [&](uint32_t table) {
    const Route* best = nullptr;
    for (const auto& route : route_list) {
      if (!route.destination.contains(destination) || route.table != table) continue;
      if (!best || route.destination.length() > best->destination.length() ||
          (route.destination.length() == best->destination.length() && route.metric < best->metric))
        best = &route;
    }
    return best;
  };
  const Route* best = layers.rule && guard ? best_of(kGuardTable) : nullptr;
  if (layers.rule && guard) {
    std::optional<net::Prefix> closed, thrown;
    const auto longest = [&](std::optional<net::Prefix>& found, const net::Prefix& network) {
      if (network.contains(destination) && (!found || network.length() > found->length())) found = network;
    };
    for (const auto& [network, devices] : guard->closed) longest(closed, network);
    for (const auto& network : guard->inside) longest(thrown, network);
    for (const auto& peer : guard->peers) longest(thrown, net::Prefix::host(peer));
    const int way = best ? best->destination.length() : -1, shut = closed ? closed->length() : -1,
              out = thrown ? thrown->length() : -1;
    if (shut > way && shut >= out) return fail(EHOSTUNREACH, "{} is closed: {}", destination.str(), closed->str());
    if (out > way) best = nullptr;
  }
  if (!best) best = best_of(254);
  if (!best) return fail(ENETUNREACH, "no route to {}", destination.str());
  if (best->unreachable) return fail(EHOSTUNREACH, "{} is unreachable by route {}", destination.str(), describe(*best));
  if (best->blackhole) return fail(EINVAL, "{} is in the black hole {}", destination.str(), describe(*best));
  return *best;
}

// --- the guard

Result<> FakePlatform::replace_guard(const GuardPlan& plan) {
  std::string networks;
  for (const auto& [network, devices] : plan.closed) networks += (networks.empty() ? "" : " ") + network.str();
  TRY(call("replace_guard", networks));
  if (guard && guard->book != plan.book && !guard->closed.empty())
    return fail(EBUSY, "the guard belongs to {}", guard->book);
  if (!guardian) return fail(ETIMEDOUT, "the guardian does not answer; nothing new was opened");
  guard = plan;
  if (switched_off) guard->closed.clear();
  layers = {true, true, true};
  return {};
}

Result<> FakePlatform::change_guard(const GuardChange& change) {
  std::string networks;
  for (const auto& [network, devices] : change.close) networks += " +" + network.str();
  for (const auto& network : change.open) networks += " -" + network.str();
  TRY(call("change_guard", networks.empty() ? "" : networks.substr(1)));
  if (!guard) return fail(ESTALE, "there is no guard to change");
  if (!guardian) return fail(ETIMEDOUT, "the guardian does not answer; nothing new was opened");
  advance(*guard, change);
  if (switched_off) guard->closed.clear();
  layers = {true, true, true};
  return {};
}

GuardState FakePlatform::guard_state() {
  GuardState state{layers.rule, layers.lasting, layers.owned, ""};
  if (guard && !(state.rule && state.lasting && state.owned)) state.trouble = "a layer was taken away";
  return state;
}

std::vector<std::string> FakePlatform::put_back_guard() {
  std::vector<std::string> sentences;
  if (!guard) return sentences;
  const auto put = [&](bool& layer, const char* method, const char* text) {
    if (layer) return;
    if (!call(method, "")) return;
    layer = true;
    sentences.emplace_back(text);
  };
  put(layers.rule, "put_back_rule", "somebody removed the guard's routing rule; it is back");
  put(layers.lasting, "put_back_lasting", "somebody removed the table inet adit-guard; it is back");
  if (guardian) put(layers.owned, "put_back_owned", "the guardian was away; it is back");
  return sentences;
}

Result<std::optional<FoundGuard>> FakePlatform::found_guard() {
  if (!guard || !(layers.rule || layers.lasting)) return std::nullopt;
  FoundGuard found{guard->book, guard->generation, {}};
  for (const auto& [network, devices] : guard->closed) found.networks.insert(network);
  return found;
}

// --- nftables and settings

Result<> FakePlatform::apply_firewall(const Firewall& wanted) {
  TRY(call("apply_firewall", ""));
  firewall = wanted;
  return {};
}

Result<> FakePlatform::remove_firewall() {
  TRY(call("remove_firewall", ""));
  firewall.reset();
  return {};
}

std::string FakePlatform::render_firewall(const Firewall&) {
  return "fake nftables\n";
}

Result<bool> FakePlatform::firewall_stands() {
  return firewall.has_value();
}

Result<std::vector<LeakCount>> FakePlatform::leak_counts() {
  TRY(call("leak_counts", ""));
  return leaks;
}

Result<std::string> FakePlatform::sysctl(const std::string& path) {
  const auto found = sysctls.find(path);
  if (found == sysctls.end()) return fail(ENOENT, "{}: this kernel has no such setting", path);
  return found->second;
}

Result<> FakePlatform::set_sysctl(const std::string& path, const std::string& value) {
  TRY(call("set_sysctl", path + " " + value));
  sysctls[path] = value;
  return {};
}

Result<int> FakePlatform::change_fd() {
  return event_fd_;
}

std::vector<Change> FakePlatform::poll_changes() {
  eventfd_t ignored = 0;
  eventfd_read(event_fd_, &ignored);
  return std::exchange(changes_, {});
}

}  // namespace adit::platform
