// Whatever leaves a tunnel passing clear text, or shuts one that must not, is told: to the command that did it, in the
// event log, and by the listing at that moment.
#include <gmock/gmock.h>

#include "control/consequences.h"
#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kBlock = "{encr_algs aes-gcm}";

PolicyCaller caller() {
  return {.owner = {"", false}};
}

LinkInfo info(const EngineWorld& world, const std::string& tunnel) {
  const auto all = world.engine->links().show_link(tunnel);
  EXPECT_TRUE(all);
  return all ? all->front() : LinkInfo{};
}

size_t alerts(const EngineWorld& world, const std::string& tunnel, const std::string& part) {
  const auto events = world.engine->events().since(0);
  return static_cast<size_t>(std::ranges::count_if(events, [&](const LogEvent& event) {
    return event.severity == Severity::alert && event.subject == tunnel && event.text.find(part) != event.text.npos;
  }));
}

std::string protect(const std::string& tunnel) {
  return EngineWorld::protect_all(tunnel);
}

// t0 is secured, u0 is not; both have rules of a file, and p0 (not secured) and s0 (secured) those of their property.
void set_up(EngineWorld& world) {
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.load_policy(protect("t0") + protect("u0")));
  ASSERT_TRUE(world.create("t0", true));
  ASSERT_TRUE(world.create_address("t0"));
  ASSERT_TRUE(world.add_route({"10.0.1.0/24", "10.0.1.1"}));
  ASSERT_TRUE(world.create("u0", false, "5.6.7.9"));
  for (const auto& [name, remote] : {std::pair("p0", "5.6.7.10"), std::pair("s0", "5.6.7.11")})
    ASSERT_TRUE(world.engine->links().create({.name = name,
                                              .local = "1.2.3.4",
                                              .remote = remote,
                                              .secured = *name == 's',
                                              .properties = {{"ipsec", kBlock}}}));
  for (const char* name : {"t0", "u0", "p0", "s0"}) {
    ASSERT_EQ(info(world, name).state, "up") << name;
    ASSERT_FALSE(info(world, name).open) << name;
  }
}

struct Way {
  const char* name;
  void (*act)(EngineWorld&);
  std::vector<const char*> open, shut;
};
void PrintTo(const Way& way, std::ostream* out) {
  *out << way.name;
}

void flip_nothing(EngineWorld& world, uint32_t confirm) {
  Policy& policy = world.engine->policy();
  spd::Draft nothing = policy.database().empty_draft("");
  ASSERT_TRUE(policy.flip(caller(), nothing, {}, {.force = true, .confirm_seconds = confirm}));
}

// A flip that gives the two tunnels rules, and is not confirmed.
void rules_for_a_while(EngineWorld& world) {
  Policy& policy = world.engine->policy();
  ASSERT_TRUE(policy.flush_global());
  spd::Draft draft = policy.database().empty_draft("");
  for (const char* tunnel : {"t0", "u0"}) {
    spd::RuleSpec spec{.inbound = true, .outbound = true, .mode = spd::Mode::tunnel};
    spec.selector.remote = prefix_of("10.7.0.0/24");
    spec.actions = {{.verb = spd::Verb::drop}};
    ASSERT_TRUE(policy.database().add(draft, tunnel, spd::expand(spec)));
  }
  ASSERT_TRUE(policy.flip(caller(), draft, {}, {.force = true, .confirm_seconds = 5}));
  ASSERT_FALSE(info(world, "u0").open);
}

const std::vector<Way>& ways() {
  static const std::vector<Way> all = {
      {"ipsecconf -F",
       [](EngineWorld& w) { ASSERT_TRUE(w.engine->policy().flush_rules(caller(), {})); },
       {"u0"},
       {"t0"}},
      {"ipsecconf -f -i u0",
       [](EngineWorld& w) { ASSERT_TRUE(w.engine->policy().flush_rules(caller(), "u0")); },
       {"u0"},
       {}},
      {"ipsecconf -f -i t0",
       [](EngineWorld& w) { ASSERT_TRUE(w.engine->policy().flush_rules(caller(), "t0")); },
       {},
       {"t0"}},
      {"ipsecconf -d, one by one",
       [](EngineWorld& w) {
         Policy& policy = w.engine->policy();
         while (const auto head = policy.head_of("u0"))
           ASSERT_TRUE(policy.remove_rule(caller(), "u0", head->rules().front().index));
       },
       {"u0"},
       {}},
      {"ipsecconf -r FILE",
       [](EngineWorld& w) {
         Policy& policy = w.engine->policy();
         const auto rules = policy.head_of("u0")->rules();
         ASSERT_TRUE(policy.remove_rules(caller(), "u0", {rules.begin(), rules.end()}));
       },
       {"u0"},
       {}},
      {"a flip of nothing", [](EngineWorld& w) { flip_nothing(w, 0); }, {"u0"}, {"t0"}},
      {"a flip of nothing, to be confirmed", [](EngineWorld& w) { flip_nothing(w, 60); }, {"u0"}, {"t0"}},
      {"a confirmation that did not come",
       [](EngineWorld& w) {
         rules_for_a_while(w);
         w.clock.advance(Seconds(6));
         w.engine->tick();
       },
       {"u0"},
       {"t0"}},
      {"ipsecconf undo",
       [](EngineWorld& w) {
         rules_for_a_while(w);
         ASSERT_TRUE(w.engine->policy().undo_flip(caller()));
       },
       {"u0"},
       {"t0"}},
      {"a file that lost its rules",
       [](EngineWorld& w) {
         w.write("/etc/inet/ipsecinit.conf", protect("t0"));
         EXPECT_TRUE(w.engine->services().refresh({"ipsec/policy"}).errors.empty());
       },
       {"u0"},
       {}},
      {"SIGHUP with no file",
       [](EngineWorld& w) {
         w.write("/etc/inet/ipsecinit.conf", "");
         ASSERT_TRUE(w.engine->refresh());
       },
       {"u0"},
       {"t0"}},
      {"svcadm disable ipsec/policy",
       [](EngineWorld& w) { EXPECT_TRUE(w.engine->services().disable({"ipsec/policy"}, false).errors.empty()); },
       {"u0"},
       {"t0"}},
      {"dladm reset-linkprop -p ipsec",
       [](EngineWorld& w) {
         ASSERT_TRUE(w.engine->links().reset_properties("p0", {"ipsec"}, false, true));
         ASSERT_TRUE(w.engine->links().reset_properties("s0", {"ipsec"}, false, true));
       },
       {"p0"},
       {"s0"}},
      {"dladm create-iptun without -S",
       [](EngineWorld& w) { ASSERT_TRUE(w.create("new0", false, "5.6.7.12")); },
       {"new0"},
       {}},
      {"svcadm disable network/iptun",
       [](EngineWorld& w) { EXPECT_TRUE(w.engine->services().disable({"network/iptun"}, false).errors.empty()); },
       {},
       {"t0", "s0"}},
      {"the outer address goes, and comes back to what lost its rules",
       [](EngineWorld& w) {
         ASSERT_TRUE(w.platform.remove_address("net0", prefix_of("1.2.3.4/24"), {}));
         w.run_until_quiet();
         ASSERT_TRUE(w.engine->policy().flush_rules(caller(), "u0"));
         EXPECT_FALSE(info(w, "u0").open) << "it is down";
         EXPECT_EQ(alerts(w, "u0", "passes clear text as soon as it is up"), 1u);
         ASSERT_TRUE(w.platform.add_address("net0", prefix_of("1.2.3.4/24"), {}));
         w.run_until_quiet();
       },
       {"u0"},
       {}},
  };
  return all;
}

class Told : public ::testing::TestWithParam<Way> {};

TEST_P(Told, InTheCommandAsAnAlertAndInTheListing) {
  EngineWorld world;
  set_up(world);
  const Consequences::Watch watch(&world.engine->consequences());
  GetParam().act(world);
  for (const std::string name : GetParam().open) {
    EXPECT_THAT(watch.sentences(), Contains(HasSubstr(name + " is OPEN: it is not secured (-S) and has no rule")));
    EXPECT_GE(alerts(world, name, name + " is OPEN"), 1u);
    EXPECT_TRUE(info(world, name).open);
    EXPECT_THAT(info(world, name).why_open, HasSubstr("ipsecconf -a"));
  }
  for (const std::string name : GetParam().shut) {
    EXPECT_THAT(watch.sentences(), Contains(HasSubstr(name)));
    EXPECT_GE(alerts(world, name, info(world, name).why_down), 1u);
    EXPECT_EQ(info(world, name).state, "down");
    EXPECT_FALSE(info(world, name).open);
  }
  if (std::ranges::find(GetParam().shut, std::string_view("t0")) != GetParam().shut.end()) {
    EXPECT_THAT(info(world, "t0").why_down, HasSubstr("10.0.1.0/24"));
  }
  EXPECT_EQ(watch.sentences().size(), GetParam().open.size() + GetParam().shut.size()) << "and nothing else";
}

INSTANTIATE_TEST_SUITE_P(Ways, Told, ::testing::ValuesIn(ways()));

TEST(ToldAtStart, WhatIsOpenAndWhatIsShutIsAnAlert) {
  EngineWorld world;
  set_up(world);
  ASSERT_TRUE(world.engine->policy().flush_global());
  world.write("/etc/inet/ipsecinit.conf", "");
  world.kill();
  ASSERT_TRUE(world.start());
  EXPECT_EQ(alerts(world, "u0", "u0 is OPEN"), 1u);
  EXPECT_EQ(alerts(world, "t0", "t0 carries nothing"), 1u);
  EXPECT_TRUE(info(world, "u0").open);
  EXPECT_EQ(alerts(world, "p0", ""), 0u);
}

// Fewer rules than before, and nobody there who took them: closed, told, and opened only by a command that says so.
TEST(ToldAtStart, WhatLostItsRulesWithTheDaemonIsClosedUntilACommandOpensIt) {
  EngineWorld world;
  set_up(world);
  world.write("/etc/inet/ipsecinit.conf", protect("t0"));
  world.kill();
  ASSERT_TRUE(world.start());
  EXPECT_EQ(alerts(world, "u0", "u0 is closed because the rules it had were in no file"), 1u);
  EXPECT_FALSE(info(world, "u0").open);
  const Consequences::Watch watch(&world.engine->consequences());
  EXPECT_TRUE(world.engine->services().restart({"network/iptun"}).errors.empty());
  EXPECT_THAT(watch.sentences(), ElementsAre(HasSubstr("u0 is OPEN")));
  EXPECT_TRUE(info(world, "u0").open);
}

TEST(ToldQuietly, ACommandThatFailsOrMendsTellsNothing) {
  EngineWorld world;
  set_up(world);
  ASSERT_TRUE(world.engine->policy().flush_global());
  EXPECT_TRUE(info(world, "u0").open);
  const Consequences::Watch watch(&world.engine->consequences());
  ASSERT_TRUE(world.load_policy(protect("t0") + protect("u0")));
  EXPECT_THAT(watch.sentences(), IsEmpty());
  EXPECT_FALSE(info(world, "u0").open);
  EXPECT_TRUE(info(world, "u0").why_open.empty());
  ASSERT_TRUE(world.engine->policy().flush_global());
  EXPECT_THAT(watch.sentences(), IsEmpty()) << "as it was when the watch began";
  ASSERT_TRUE(world.engine->links().remove("u0", false, false));
}

TEST(ToldQuietly, ASecuredTunnelThatIsMadeIsDownFromItsBirthAndNoAlert) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  const Consequences::Watch watch(&world.engine->consequences());
  ASSERT_TRUE(world.create("t0", true));
  EXPECT_THAT(watch.sentences(), IsEmpty());
  EXPECT_EQ(alerts(world, "t0", ""), 0u);
  EXPECT_THAT(info(world, "t0").why_down, HasSubstr("has no policy"));
}

// What is told is what packets meet.
TEST(ToldTruly, OpenIsWhatThePublishedPictureLetsPass) {
  EngineWorld world;
  set_up(world);
  ASSERT_TRUE(world.engine->policy().flush_rules(caller(), {}));
  const auto snapshot = world.engine->dataplane().shared().publisher.get();
  for (const auto& link : snapshot->links->all())
    EXPECT_EQ(datapath::passes_clear_text(*link), info(world, link->name).open) << link->name;
}

// adit.guard=off: a person at the console wants in.
TEST(SwitchedOff, NothingIsClosedNoSecuredTunnelOpensAndItIsTold) {
  EngineWorld world;
  set_up(world);
  const std::string book = world.file("/etc/adit/guard.book");
  ASSERT_NE(book.find("10.0.1.0/24"), book.npos);
  world.reboot();
  world.platform.switched_off = true;
  ASSERT_TRUE(world.start());
  EXPECT_FALSE(world.closed("10.0.1.0/24"));
  EXPECT_TRUE(world.platform.guard && world.platform.guard->closed.empty());
  EXPECT_FALSE(world.carrier("t0"));
  EXPECT_THAT(info(world, "t0").why_down, HasSubstr("adit.guard=off"));
  EXPECT_TRUE(world.carrier("u0")) << "it promises nothing";
  EXPECT_TRUE(world.engine->guard().book().holds(prefix_of("10.0.1.0/24")));
  EXPECT_EQ(alerts(world, "", "no network is closed"), 1u);
  EXPECT_THAT(world.engine->missing(), Contains(HasSubstr("adit.guard=off")));
  ASSERT_TRUE(world.engine->guard().close(prefix_of("10.9.0.0/16"), "t0")) << "for the next boot";
  EXPECT_FALSE(world.closed("10.9.0.0/16"));
  world.reboot();
  world.platform.switched_off = false;
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.closed("10.0.1.0/24"));
  EXPECT_TRUE(world.closed("10.9.0.0/16"));
  EXPECT_TRUE(world.carrier("t0"));
}

}  // namespace
}  // namespace adit::engine
