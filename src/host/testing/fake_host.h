// Alice of the guide as one test world: net0 1.2.3.4, net1 10.0.0.1/24, the tunnel v4_bob0 to 5.6.7.8, a root of its
// own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/source/system_resolver.h"
#include "control/names.h"
#include "control/testing/fake_seams.h"
#include "host/addresses.h"
#include "host/routes.h"
#include "linux/platform/testing/fake_platform.h"

namespace adit::engine {

inline net::Address address(const char* text) {
  return *net::Address::parse(text);
}
inline net::Prefix prefix(const char* text) {
  return *net::Prefix::parse(text);
}

struct FakeHost {
  std::string directory;
  Settings settings;
  platform::FakePlatform platform;
  FakeClock clock;
  EventLog events{clock};
  StepLog steps;
  Names names{clock, events, std::make_shared<config::SystemResolver>()};
  Context context;
  FakeLinks links;
  FakeGuard guard{platform.journal, links};

  FakeHost()
      : directory(make_directory()),
        settings{.root = directory, .run_dir = directory + "/run"},
        context{settings, platform, clock, events, steps, &names} {
    for (const char* name : {"net0", "net1"}) platform.add_interface(name);
    (void)platform.add_address("net0", prefix("1.2.3.4/24"), {});
    (void)platform.add_address("net1", prefix("10.0.0.1/24"), {});
    add_tunnel("v4_bob0", "1.2.3.4", "5.6.7.8");
    // The guard's rule stands, with the peer thrown back to the host's own routes.
    platform.guard.emplace().peers = {address("5.6.7.8")};
    platform.layers = {true, true, true};
    platform.journal.clear();
  }
  ~FakeHost() { std::filesystem::remove_all(directory); }

  void add_tunnel(const std::string& name, const char* local, const char* remote, bool secured = true) {
    (void)platform.open_tun(name, 1, platform::DeviceName::fresh);
    (void)platform.set_link_up(name, true);
    (void)platform.set_carrier(name, true);
    links.all[name] = {.name = name,
                       .local = address(local),
                       .remote = address(remote),
                       .secured = secured,
                       .up = true,
                       .mtu = 1402,
                       .device = platform.links.at(name).info.index};
  }
  [[nodiscard]] std::string file(const std::string& path) const {
    std::ifstream stream(directory + path);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(directory + path).parent_path());
    std::ofstream(directory + path) << text;
  }
  [[nodiscard]] bool has_route(const char* destination) const {
    return std::ranges::any_of(platform.route_list, [&](const auto& route) {
      return route.destination == prefix(destination) && !route.unreachable;
    });
  }
  [[nodiscard]] bool happened(const std::string& kind) const {
    return std::ranges::any_of(events.since(0), [&](const LogEvent& event) { return name_of(event.kind) == kind; });
  }

 private:
  static std::string make_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "adit-engine-XXXXXX").string();
    return mkdtemp(name.data()) == nullptr ? "/nonexistent" : name;
  }
};

}  // namespace adit::engine
