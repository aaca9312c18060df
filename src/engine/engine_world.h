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

#include "datapath/snapshot.h"
#include "engine/addresses.h"
#include "engine/dataplane.h"
#include "engine/engine.h"
#include "engine/guard.h"
#include "engine/keys.h"
#include "engine/links.h"
#include "engine/policy.h"
#include "engine/routes.h"
#include "engine/services.h"
#include "engine/store.h"
#include "linux/fake_platform.h"

namespace adit::engine {

inline net::Address address_of(const char* text) {
  return *net::Address::parse(text);
}
inline net::Prefix prefix_of(const char* text) {
  return *net::Prefix::parse(text);
}

struct Killed {};  // thrown by crash points of a test

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
    engine = std::make_unique<Engine>(settings, platform, clock);
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
    std::filesystem::remove_all(root + "/run");
    load_guard_as_at_boot();
    configure_network();
  }
  void settle() {
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
  [[nodiscard]] bool closed_by_route(const char* network) const {
    return std::ranges::any_of(platform.route_list, [&](const auto& route) {
      return route.unreachable && route.destination == prefix_of(network) && route.metric == platform::kGuardMetric;
    });
  }
  [[nodiscard]] bool closed_by_table(const char* network) const {
    return platform.firewall && std::ranges::any_of(platform.firewall->guarded, [&](const auto& guarded) {
             return guarded.network == prefix_of(network);
           });
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

  // A route of somebody else's over the underlay.
  [[nodiscard]] platform::Route foreign_route(const char* network) const {
    platform::Route route;
    route.destination = prefix_of(network);
    route.gateway = address_of("1.2.3.254");
    route.interface_index = platform.links.at("net0").info.index;
    route.protocol = 4;
    return route;
  }

  std::string root;
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

  void load_guard_as_at_boot() {
    std::istringstream routes(file("/etc/adit/guard.routes"));
    for (std::string line; std::getline(routes, line);) {
      constexpr std::string_view kBegin = "route replace unreachable ";
      if (!line.starts_with(kBegin)) continue;
      line.erase(0, kBegin.size());
      platform.route_list.push_back(guard_route(*net::Prefix::parse(line.substr(0, line.find(' ')))));
    }
    std::istringstream table(file("/etc/adit/guard.nft"));
    std::string line;
    if (!std::getline(table, line)) return;
    platform.firewall.emplace();
    while (std::getline(table, line)) {
      std::istringstream words(line);
      platform::ProtectedNetwork network;
      std::string word;
      if (!(words >> word)) continue;
      network.network = *net::Prefix::parse(word);
      while (words >> word) network.tunnels.push_back(word);
      platform.firewall->guarded.push_back(network);
    }
  }

  [[nodiscard]] const platform::InterfaceInfo* device(int index) const {
    for (const auto& [name, link] : platform.links) {
      if (link.info.index == index) return &link.info;
    }
    return nullptr;
  }

  [[nodiscard]] std::optional<std::string> leak(const net::Address& destination, bool ignore_linkdown) const {
    const platform::Route* best = nullptr;
    for (const auto& route : platform.route_list) {
      if (!route.destination.contains(destination) || route.table != 254) continue;
      if (!route.unreachable && !route.blackhole) {
        const auto* out = device(route.interface_index);
        if (out == nullptr || !out->up || (ignore_linkdown && !out->carrier)) continue;
      }
      if (best == nullptr || route.destination.length() > best->destination.length() ||
          (route.destination.length() == best->destination.length() && route.metric < best->metric))
        best = &route;
    }
    if (best == nullptr || best->unreachable || best->blackhole) return std::nullopt;
    const auto* out = device(best->interface_index);
    if (out->ours) return leak_inside(*out);
    return stopped_by_table(destination, out->name)
               ? std::nullopt
               : std::optional(fmt::format("over {} by {}", out->name, best->destination.str()));
  }

  // Into the device. With the carrier on, what the workers see must be a policy.
  [[nodiscard]] std::optional<std::string> leak_inside(const platform::InterfaceInfo& out) const {
    if (!out.carrier || !engine) return std::nullopt;
    const auto snapshot = engine->dataplane().shared().publisher.get();
    for (const auto& link : snapshot->links->all()) {
      if (link->name != out.name) continue;
      if (!link->up || link->secured || (link->head && link->head->active())) return std::nullopt;
      return fmt::format("through {} in the clear", out.name);
    }
    return std::nullopt;
  }

  [[nodiscard]] bool stopped_by_table(const net::Address& destination, const std::string& out) const {
    if (!platform.firewall) return false;
    for (const auto& guarded : platform.firewall->guarded) {
      if (!guarded.network.contains(destination)) continue;
      const bool excepted = std::ranges::any_of(platform.firewall->local_networks, [&](const auto& local) {
        return local.contains(destination) && local.length() > guarded.network.length();
      });
      if (!excepted && std::ranges::find(guarded.tunnels, out) == guarded.tunnels.end()) return true;
    }
    return false;
  }
};

}  // namespace adit::engine
