// Start-up finishes or undoes what a dead daemon left half done: every command that writes is killed at every step that
// it takes, found by a dry run, and the next life must show the machine as before the command or as after it. What was
// promised is closed in between, after the start, and after a boot.
#include <map>
#include <set>

#include <fmt/ranges.h>

#include "engine/testing/engine_world.h"
#include "namespaces/namespaces.h"

namespace adit::engine {
namespace {

std::vector<std::string> steps;
size_t dies_at = 0, passed = 0;

void note_step(std::string_view name) {
  steps.emplace_back(name);
}
void die_at_step(std::string_view) {
  if (++passed == dies_at) throw Killed{};
}

// ---- the machine as an operator sees it

std::string rules_of(const EngineWorld& world) {
  std::string text;
  const auto heads = world.engine->policy().heads();
  for (const auto& name : heads->names()) {
    const auto head = heads->find(name);
    std::map<std::string, size_t> by_owner;
    for (const auto& rule : head->rules()) ++by_owner[rule.name_space];
    for (const auto& [owner, count] : by_owner) text += fmt::format("rules {} {} {}\n", name, owner, count);
  }
  return text;
}

// What is guarded may be more than it must be after a crash: that only closes, and `adit guard open` opens it.
struct Picture {
  std::string state;
  std::set<std::string> guard;
  [[nodiscard]] bool shows(const Picture& wanted) const {
    return state == wanted.state && std::ranges::includes(guard, wanted.guard);
  }
  [[nodiscard]] std::string str() const { return fmt::format("{}{}", state, fmt::join(guard, "")); }
};

void add_kernel(const EngineWorld& world, Picture& picture) {
  for (const auto& [name, link] : world.platform.links)
    picture.state += fmt::format("link {} {} {} {}\n", name, link.info.up, link.info.carrier, link.info.mtu);
  std::vector<std::string> lines;
  for (const auto& route : world.platform.route_list) {
    const std::string line = fmt::format("route {} {} {}\n", route.destination.str(), route.metric, route.unreachable);
    if (route.metric == platform::kCopyMetric)
      picture.guard.insert(line);
    else
      lines.push_back(line);
  }
  for (const auto& address : world.platform.address_list) lines.push_back("address " + address.local.str() + "\n");
  std::ranges::sort(lines);
  for (const auto& line : lines) picture.state += line;
  if (!world.platform.guard) return;
  for (const auto& [network, devices] : world.platform.guard->closed)
    picture.guard.insert(fmt::format("guarded {}\n", network.str()));
}

std::string files_of(const EngineWorld& world) {
  std::string text;
  for (const char* path : {"/etc/dladm/datalink.conf", "/etc/ipadm/ipadm.conf", "/etc/inet/static_routes",
                           "/etc/svc/adit.services", "/etc/adit/namespaces", "/run/links.cache"}) {
    std::istringstream lines(world.file(path));
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("#")) text += std::string(path) + ": " + line + "\n";
    }
  }
  return text;
}

std::string services_of(const EngineWorld& world) {
  std::string text;
  const auto services = world.engine->services().list({});
  for (const auto& service : *services) text += fmt::format("{} {} {}\n", service.fmri, service.state, service.enabled);
  return text;
}

Picture picture_of(const EngineWorld& world) {
  Picture picture;
  add_kernel(world, picture);
  picture.state += rules_of(world) + services_of(world) + files_of(world);
  return picture;
}

// ---- machines and commands

constexpr const char* kToBob = "{ negotiate tunnel raddr 10.0.1.0/24 } ipsec { encr_algs aes-gcm sa shared }";

Result<Outcome> create(EngineWorld& world, bool temporary) {
  return world.engine->links().create({.name = "t0",
                                       .local = "1.2.3.4",
                                       .remote = "5.6.7.8",
                                       .temporary = temporary,
                                       .secured = true,
                                       .properties = {{"ipsec", kToBob}, {"mtu", "1300"}}});
}
void bare(EngineWorld&) {}
void tunnel(EngineWorld& world) {
  ASSERT_TRUE(create(world, false));
}
void temporary_tunnel(EngineWorld& world) {
  ASSERT_TRUE(create(world, true));
}
void with_address(EngineWorld& world) {
  tunnel(world);
  ASSERT_TRUE(world.create_address("t0"));
}
bool add_route(EngineWorld& world) {
  const auto report = world.add_route({"10.0.1.0/24", "10.0.1.1"});
  return report && !report->failed();
}
void whole(EngineWorld& world) {
  with_address(world);
  ASSERT_TRUE(world.engine->addresses().create_address({.object = "t0/w4", .local = "10.0.0.1", .remote = "10.0.1.2"}));
  ASSERT_TRUE(add_route(world));
}
void other_policy_in_files(EngineWorld& world) {
  whole(world);
  world.write("/etc/inet/ipsecinit.conf", "{ tunnel t0 negotiate tunnel raddr 10.0.2.0/24 } ipsec { encr_algs aes }\n");
}
void kept(EngineWorld& world) {
  tunnel(world);
  ASSERT_TRUE(world.engine->links().remove("t0", false, true));
}

void delegated(EngineWorld& world) {
  tunnel(world);
  ASSERT_TRUE(world.engine->namespaces().create("svc:/vpn:default", {.users = {1000}, .tunnels = {"vpn*"}}));
}

struct Command {
  const char* name;
  void (*prepare)(EngineWorld&);
  bool (*run)(EngineWorld&);
  bool promised = true;  // 10.0.1.0/24 is, before the command and until it returns
  bool lasting = true;   // over a boot too
};

const std::vector<Command> kCommands = {
    {"create_iptun", bare, [](EngineWorld& w) { return create(w, false).has_value(); }, false},
    {"create_iptun_t", bare, [](EngineWorld& w) { return create(w, true).has_value(); }, false},
    {"modify_iptun", tunnel,
     [](EngineWorld& w) { return w.engine->links().modify("t0", {}, "5.6.7.9", false).has_value(); }},
    {"modify_iptun_t", tunnel,
     [](EngineWorld& w) { return w.engine->links().modify("t0", {}, "5.6.7.9", true).has_value(); }},
    {"set_linkprop_mtu", tunnel,
     [](EngineWorld& w) { return w.engine->links().set_properties("t0", {{"mtu", "1280"}}, false).has_value(); }},
    {"set_linkprop_ipsec", tunnel,
     [](EngineWorld& w) {
       return w.engine->links().set_properties("t0", {{"ipsec", "{encr_algs aes-gcm}"}}, false).has_value();
     },
     false},
    {"reset_linkprop_ipsec", tunnel,
     [](EngineWorld& w) { return w.engine->links().reset_properties("t0", {"ipsec"}, false).has_value(); }},
    {"delete_iptun", tunnel, [](EngineWorld& w) { return w.engine->links().remove("t0", false, false).has_value(); },
     false},
    {"delete_iptun_t", tunnel, [](EngineWorld& w) { return w.engine->links().remove("t0", true, false).has_value(); }},
    {"delete_iptun_k", tunnel, [](EngineWorld& w) { return w.engine->links().remove("t0", false, true).has_value(); }},
    {"delete_iptun_r", whole,
     [](EngineWorld& w) { return w.engine->links().remove("t0", false, false, true).has_value(); }, false},
    {"delete_iptun_r_k", whole,
     [](EngineWorld& w) { return w.engine->links().remove("t0", false, true, true).has_value(); }},
    {"rename_link", tunnel, [](EngineWorld& w) { return w.engine->links().rename("t0", "t7").has_value(); }},
    {"rename_link_temporary", temporary_tunnel,
     [](EngineWorld& w) { return w.engine->links().rename("t0", "t7").has_value(); }, true, false},
    {"create_addr", tunnel, [](EngineWorld& w) { return w.create_address("t0").has_value(); }},
    {"delete_addr", with_address,
     [](EngineWorld& w) { return w.engine->addresses().delete_address("t0/v4").has_value(); }},
    {"down_addr", with_address,
     [](EngineWorld& w) { return w.engine->addresses().set_address_up("t0/v4", false, false).has_value(); }},
    {"delete_if", whole, [](EngineWorld& w) { return w.engine->addresses().delete_interface("t0").has_value(); }},
    {"route_delete_p", whole,
     [](EngineWorld& w) {
       const std::vector<std::string> words = {"10.0.1.0/24", "10.0.1.1"};
       return w.engine->routes().remove(words, true).has_value();
     }},
    {"guard_open", kept, [](EngineWorld& w) { return w.engine->guard().open(prefix_of("10.0.1.0/24")).has_value(); },
     false},
    {"svcadm_disable_policy", whole,
     [](EngineWorld& w) { return w.engine->services().disable({"ipsec/policy"}, false).errors.empty(); }},
    {"svcadm_enable_manual_key", whole,
     [](EngineWorld& w) { return w.engine->services().enable({"manual-key"}, {}).errors.empty(); }},
    {"svcadm_disable_iptun", whole,
     [](EngineWorld& w) { return w.engine->services().disable({"network/iptun"}, false).errors.empty(); }},
    {"namespace_create", bare,
     [](EngineWorld& w) {
       return w.engine->namespaces().create("svc:/vpn:default", {.users = {1000}, .tunnels = {"vpn*"}}).has_value();
     },
     false},
    {"namespace_delete", delegated,
     [](EngineWorld& w) { return w.engine->namespaces().remove("svc:/vpn:default", false).has_value(); }},
    {"svcadm_refresh_policy", other_policy_in_files,
     [](EngineWorld& w) { return w.engine->services().refresh({"ipsec/policy"}).errors.empty(); }},
};

class EveryStep : public ::testing::TestWithParam<Command> {};

Picture next_life(EngineWorld& world) {
  world.kill();
  const auto started = world.start();
  EXPECT_TRUE(started) << started.error().text;
  return started ? picture_of(world) : Picture{"no start", {}};
}

TEST_P(EveryStep, IsFinishedOrUndoneByTheNextStart) {
  const Command& command = GetParam();
  Picture before, after;
  {
    EngineWorld world;
    ASSERT_TRUE(world.start());
    command.prepare(world);
    before = next_life(world);
  }
  {
    EngineWorld world;
    ASSERT_TRUE(world.start());
    command.prepare(world);
    steps.clear();
    set_crash_hook(note_step);
    ASSERT_TRUE(command.run(world));
    set_crash_hook(nullptr);
    after = next_life(world);
  }
  ASSERT_FALSE(steps.empty());
  const auto all = steps;
  for (dies_at = 1; dies_at <= all.size(); ++dies_at) {
    SCOPED_TRACE(fmt::format("killed at step {}, {}", dies_at, all[dies_at - 1]));
    EngineWorld world;
    ASSERT_TRUE(world.start());
    command.prepare(world);
    passed = 0;
    set_crash_hook(die_at_step);
    EXPECT_THROW((void)command.run(world), Killed);
    set_crash_hook(nullptr);
    world.kill();
    if (command.promised) EXPECT_FALSE(world.leak("10.0.1.9")) << *world.leak("10.0.1.9");
    const Picture now = next_life(world);
    EXPECT_TRUE(now.shows(before) || now.shows(after)) << "---- before\n"
                                                       << before.str() << "---- after\n"
                                                       << after.str() << "---- is\n"
                                                       << now.str();
    if (command.promised) EXPECT_FALSE(world.leak("10.0.1.9")) << *world.leak("10.0.1.9");
    world.reboot();
    if (command.promised && command.lasting)
      EXPECT_FALSE(world.leak("10.0.1.9")) << "after a boot: " << *world.leak("10.0.1.9");
  }
}

INSTANTIATE_TEST_SUITE_P(Commands, EveryStep, ::testing::ValuesIn(kCommands),
                         [](const auto& command) { return std::string(command.param.name); });

// `route add -p` writes two things, as on illumos: the kernel's table, then the file. Dying between them leaves a route
// that lasts until the boot, and nothing open.
TEST(RouteAdd, KilledAtAnyStepIsInTheTableOrNotAndGuarded) {
  EngineWorld dry;
  ASSERT_TRUE(dry.start());
  with_address(dry);
  steps.clear();
  set_crash_hook(note_step);
  ASSERT_TRUE(add_route(dry));
  set_crash_hook(nullptr);
  const auto all = steps;
  for (dies_at = 1; dies_at <= all.size(); ++dies_at) {
    SCOPED_TRACE(fmt::format("killed at step {}, {}", dies_at, all[dies_at - 1]));
    EngineWorld world;
    ASSERT_TRUE(world.start());
    with_address(world);
    passed = 0;
    set_crash_hook(die_at_step);
    EXPECT_THROW((void)add_route(world), Killed);
    set_crash_hook(nullptr);
    world.kill();
    EXPECT_FALSE(world.leak("10.0.1.9"));
    ASSERT_TRUE(world.start());
    EXPECT_FALSE(world.leak("10.0.1.9"));
    world.reboot();
    EXPECT_FALSE(world.leak("10.0.1.9"));
  }
}

}  // namespace
}  // namespace adit::engine
