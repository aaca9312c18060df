// A whole machine for tests of the engine: Alice of the guide with an underlay, a LAN and a default route, an engine
// that can be killed at any step, and the question that matters: could a packet for this address leave in the clear
// now?
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/store.h"
#include "datapath/snapshot.h"
#include "engine/engine.h"
#include "guard/guard.h"
#include "host/addresses.h"
#include "host/routes.h"
#include "keys/keys.h"
#include "links/links.h"
#include "linux/platform/testing/fake_platform.h"
#include "path/dataplane.h"
#include "policy/policy.h"
#include "services/services.h"

namespace adit::engine {

inline net::Address address_of(const char* text) {
  return *net::Address::parse(text);
}
inline net::Prefix prefix_of(const char* text) {
  return *net::Prefix::parse(text);
}

struct Killed {};  // thrown by crash points of a test

// What a packet is to the layers of the guard. Bound to the underlay's device, and multicast sent there, it asks no
// routing rule; with the mark of outer packets, but of somebody else's socket, nothing is to be different for it.
enum class PacketKind : uint8_t { forwarded, local, marked, bound, multicast };
inline constexpr PacketKind kPacketKinds[] = {PacketKind::forwarded, PacketKind::local, PacketKind::marked,
                                              PacketKind::bound, PacketKind::multicast};
inline bool asks_routing(PacketKind kind) {
  return kind != PacketKind::bound && kind != PacketKind::multicast;
}
inline const char* name_of(PacketKind kind) {
  constexpr const char* kNames[] = {"forwarded", "local", "marked", "bound", "multicast"};
  return kNames[static_cast<size_t>(kind)];
}

class EngineWorld {
 public:
  EngineWorld() {
    ::umask(022);  // a policy that others may write is refused
    std::string name = (std::filesystem::temp_directory_path() / "adit-world-XXXXXX").string();
    root = mkdtemp(name.data()) == nullptr ? "/nonexistent" : name;
    platform.add_interface("net0");
    platform.add_interface("net1");
    configure_network();
  }
  ~EngineWorld() {
    set_crash_hook(nullptr);
    engine.reset();
    std::filesystem::remove_all(root);
  }

  Result<> start() {
    Settings settings{
        .root = root, .run_dir = root + "/run", .workers = 1, .crypto = crypto::EngineKind::openssl, .threads = false};
    engine = std::make_unique<Engine>(settings, platform, clock, nullptr,
                                      trace.empty() ? StepLog() : StepLog(trace, "aditd", clock));
    return engine->start();
  }
  // SIGKILL.
  void kill() {
    engine.reset();
    platform.crash();
  }
  // What adit-guard.service does comes before the network.
  void reboot() {
    engine.reset();
    platform.reboot();
    if (!trace.empty()) std::ofstream(trace, std::ios::app) << "t=0.0 by=console boot\n";
    std::filesystem::remove_all(root + "/run");
    load_guard_as_at_boot();
    configure_network();
  }
  void run_until_quiet() {
    for (int round = 0; round < 5; ++round) engine->handle_platform_changes();
  }

  // ---- commands of the guide
  Result<Outcome> create(const std::string& name, bool secured, const char* remote = "5.6.7.8",
                         bool temporary = false) {
    return engine->links().create({name, tunnel::Type::ipv4, "1.2.3.4", remote, temporary, secured});
  }
  Result<Outcome> create_address(const std::string& name, const char* remote = "10.0.1.1") {
    return engine->addresses().create_address({.object = name + "/v4", .local = "10.0.0.1", .remote = remote});
  }
  Result<RouteReport> add_route(std::vector<std::string> words, bool persistent = true) {
    return engine->routes().add(words, persistent, false);
  }
  Result<Outcome> load_policy(const std::string& text) {
    write("/etc/inet/ipsecinit.conf", text);
    return engine->policy().load_files();
  }
  static std::string protect_all(const std::string& tunnel) {
    return "{ tunnel " + tunnel + " negotiate tunnel } ipsec { encr_algs aes-gcm sa shared }\n";
  }

  // ---- files
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path) << text;
    std::filesystem::permissions(root + path, std::filesystem::perms(0600));
  }
  [[nodiscard]] std::string file(const std::string& path) const {
    std::ifstream stream(root + path);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }

  // ---- the kernel
  [[nodiscard]] bool has_device(const std::string& name) const { return platform.links.contains(name); }
  [[nodiscard]] bool carrier(const std::string& name) const {
    return has_device(name) && platform.links.at(name).info.carrier;
  }
  [[nodiscard]] bool closed(const char* network) const {  // every layer stands, and closes it
    return platform.guard && platform.layers.rule && platform.layers.lasting && platform.layers.owned &&
           platform.guard->closed.contains(prefix_of(network));
  }
  [[nodiscard]] std::string published(const std::string& name) const {
    const auto snapshot = engine->dataplane().shared().publisher.get();
    for (const auto& link : snapshot->links->all()) {
      if (link->name == name) return fmt::format("{}{}", link->up ? "up" : "down", link->head ? " head" : "");
    }
    return "none";
  }

  // The model's packet(): nullopt when nothing can leave in the clear, else how.
  [[nodiscard]] std::optional<std::string> leak(const char* destination) const {
    for (const bool ignore_linkdown : {false, true}) {
      if (auto way = leak(address_of(destination), ignore_linkdown)) return way;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<std::string> leak(PacketKind kind, const char* destination) const {
    if (asks_routing(kind)) return leak(destination);
    const auto& out = platform.links.at("net0").info;
    if (!out.up || stopped_by_tables(address_of(destination), out.index)) return std::nullopt;
    return "over net0, to which the socket is bound";
  }
  // How many layers that can stop a packet of this kind stand.
  [[nodiscard]] int layers_for(PacketKind kind) const {
    return int{platform.layers.lasting} + int{platform.layers.owned} + int{asks_routing(kind) && platform.layers.rule};
  }

  // A route of somebody else's over the underlay.
  [[nodiscard]] platform::Route foreign_route(const char* network) const {
    platform::Route route;
    route.destination = prefix_of(network);
    route.gateway = address_of("1.2.3.254");
    route.interface_index = platform.links.at("net0").info.index;
    route.protocol = 4;
    return route;
  }

  std::string root, trace;  // a file for the steps of each life; empty: none
  platform::FakePlatform platform;
  FakeClock clock;
  std::unique_ptr<Engine> engine;

 private:
  void configure_network() {
    (void)platform.add_address("net0", prefix_of("1.2.3.4/24"), {});
    (void)platform.add_address("net1", prefix_of("10.0.0.1/24"), {});
    platform.others_add_route(foreign_route("0.0.0.0/0"));
    platform.journal.clear();
  }

  // What the guardian does at boot, before the network and any daemon: closes what the book says; nothing carries it.
  void load_guard_as_at_boot() {
    std::vector<guard::Lines> lines;
    for (const char* name : {"/etc/adit/guard.book", "/etc/adit/guard.book.copy"}) {
      const auto loaded = guard::BookFile(root + name, Lasting::disk, "boot").load();
      if (loaded && *loaded) lines.push_back(**loaded);
    }
    const guard::Book book = guard::book_of(lines);
    if (book.networks().empty()) return;
    platform::GuardPlan plan;
    plan.book = root;
    plan.generation = book.generation;
    for (const auto& [network, entry] : book.networks()) plan.closed[network] = {};
    (void)platform.replace_guard(plan);
  }

  [[nodiscard]] const platform::InterfaceInfo* device(int index) const {
    for (const auto& [name, link] : platform.links) {
      if (link.info.index == index) return &link.info;
    }
    return nullptr;
  }

  // The way that routing takes: the guard's table first while its rule stands, then main.
  struct Way {
    const platform::Route* route = nullptr;
    bool closed = false;
  };
  [[nodiscard]] Way way_to(const net::Address& destination, bool ignore_linkdown) const {
    const platform::Route* best[2] = {nullptr, nullptr};
    for (const auto& route : platform.route_list) {
      if (!route.destination.contains(destination) || (route.table != 254 && route.table != 174)) continue;
      if (!route.unreachable && !route.blackhole) {
        const auto* out = device(route.interface_index);
        if (out == nullptr || !out->up || (ignore_linkdown && !out->carrier)) continue;
      }
      auto& here = best[route.table == 174];
      if (here == nullptr || route.destination.length() > here->destination.length() ||
          (route.destination.length() == here->destination.length() && route.metric < here->metric))
        here = &route;
    }
    if (!platform.layers.rule || !platform.guard) return {best[0], false};
    const auto shut = longest(platform.guard->closed, destination, [](const auto& item) { return item.first; });
    const auto thrown = longest(platform.guard->inside, destination, [](const auto& item) { return item; });
    const int way = best[1] == nullptr ? -1 : best[1]->destination.length();
    const int peer = platform.guard->peers.contains(destination) ? 128 : thrown;
    if (shut > way && shut >= peer) return {nullptr, true};
    return {peer > way || best[1] == nullptr ? best[0] : best[1], false};
  }
  static int longest(const auto& all, const net::Address& address, auto network_of) {
    int found = -1;
    for (const auto& item : all)
      if (const net::Prefix network = network_of(item); network.contains(address))
        found = std::max<int>(found, network.length());
    return found;
  }

  [[nodiscard]] std::optional<std::string> leak(const net::Address& destination, bool ignore_linkdown) const {
    const Way way = way_to(destination, ignore_linkdown);
    if (way.route == nullptr || way.route->unreachable || way.route->blackhole) return std::nullopt;
    const auto* out = device(way.route->interface_index);
    if (out->is_tun && (!out->carrier || passes_protected(*out))) return std::nullopt;
    return stopped_by_tables(destination, out->index)
               ? std::nullopt
               : std::optional(fmt::format("over {} by {}", out->name, way.route->destination.str()));
  }

  // Into a device with its carrier on: what the workers see must be a policy.
  [[nodiscard]] bool passes_protected(const platform::InterfaceInfo& out) const {
    if (!engine) return true;  // nobody reads it
    const auto snapshot = engine->dataplane().shared().publisher.get();
    for (const auto& link : snapshot->links->all())
      if (link->name == out.name) return !link->up || link->secured || (link->head && link->head->active());
    return true;
  }

  [[nodiscard]] bool stopped_by_tables(const net::Address& destination, int out) const {
    if (!platform.guard || !(platform.layers.lasting || platform.layers.owned)) return false;
    const net::Prefix* closed = nullptr;
    const std::vector<int>* devices = nullptr;
    for (const auto& [network, carriers] : platform.guard->closed)
      if (network.contains(destination) && (closed == nullptr || network.length() > closed->length())) {
        closed = &network;
        devices = &carriers;
      }
    if (closed == nullptr) return false;
    for (const auto& inside : platform.guard->inside)
      if (inside.contains(destination) && inside.length() > closed->length()) return false;
    return std::ranges::find(*devices, out) == devices->end();
  }
};

}  // namespace adit::engine
