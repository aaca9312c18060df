#include "services/services.h"

#include <gtest/gtest.h>

#include "host/testing/fake_host.h"

namespace adit::engine {
namespace {

using Words = std::vector<std::string>;
using Kind = ServiceDependency::Kind;

struct ServicesTest : ::testing::Test {
  FakeHost host;
  Words calls;
  std::map<std::string, std::string> broken;  // "policy start": the error's text
  std::map<std::string, std::string> notes;
  Services services{host.context};

  std::function<Result<Outcome>()> method(std::string name) {
    return [this, name]() -> Result<Outcome> {
      calls.push_back(name);
      if (broken.contains(name)) return fail(EINVAL, "{}", broken[name]);
      return notes.contains(name) ? Outcome{{notes[name]}} : Outcome{};
    };
  }
  ServiceMethods methods(const std::string& name) {
    return {method(name + " start"), method(name + " refresh"), method(name + " stop")};
  }
  void add_all(Services& to) {
    to.add(kAlgsService, methods("algs"), {}, true);
    to.add(kPolicyService, methods("policy"), {{Kind::require_all, kAlgsService}}, true, "/etc/inet/ipsecinit.conf");
    to.add(kManualKeyService, methods("keys"), {{Kind::require_all, kAlgsService}}, false);
    to.add(kIptunService, methods("iptun"), {{Kind::optional_all, kPolicyService}}, true);
  }
  void boot_all(Services& which) {
    for (const char* fmri : {kAlgsService, kPolicyService, kManualKeyService, kIptunService}) which.boot(fmri);
  }
  void SetUp() override { add_all(services); }
  ServiceStatus status(const char* fmri) { return services.list({fmri})->front(); }
};

TEST_F(ServicesTest, BootStartsEnabledOnesInOrder) {
  boot_all(services);
  EXPECT_EQ(calls, (Words{"algs start", "policy start", "iptun start"}));
  EXPECT_EQ(services.state(kManualKeyService), ServiceState::disabled);
}

TEST_F(ServicesTest, RestartIsTheSameReplacementAsRefresh) {
  boot_all(services);
  calls.clear();
  EXPECT_EQ(services.restart({"ipsec/policy"}).errors, Words{});
  EXPECT_EQ(services.refresh({"policy"}).errors, Words{});
  EXPECT_EQ(calls, (Words{"policy refresh", "policy refresh"})) << "never a stop in between";
}

TEST_F(ServicesTest, ProgressIsForTheLogAlone) {
  services.add("svc:/network/test:default",
               {[] { return Result<Outcome>(Outcome{.progress = {"2 rules added."}}); }, {}, {}}, {}, false);
  EXPECT_EQ(services.enable({"network/test"}, {}).notes, Words{});
  EXPECT_NE(host.file("/var/svc/log/network-test:default.log").find("2 rules added."), std::string::npos);
}

TEST_F(ServicesTest, ABrokenFileMeansMaintenanceWithItsPlaceAsReason) {
  boot_all(services);
  broken["policy refresh"] = "/etc/inet/ipsecinit.conf:3:7: 'encr_algz' is not a property";
  const auto outcome = services.refresh({"policy"});
  EXPECT_EQ(outcome.notes.size(), 1u);
  EXPECT_EQ(status(kPolicyService).state, "maintenance");
  EXPECT_EQ(status(kPolicyService).reason, "/etc/inet/ipsecinit.conf:3:7: 'encr_algz' is not a property");
  EXPECT_NE(host.file("/var/svc/log/network-ipsec-policy:default.log")
                .find("refresh method failed: /etc/inet/ipsecinit.conf:3:7"),
            std::string::npos);
  calls.clear();
  (void)services.restart({"policy"});
  EXPECT_EQ(calls, Words{}) << "an administrator clears it";
  broken.clear();
  EXPECT_EQ(services.clear({"policy"}).errors, Words{});
  EXPECT_EQ(calls, Words{"policy start"});
  EXPECT_EQ(status(kPolicyService).state, "online");
  EXPECT_EQ(services.clear({"policy"}).errors.size(), 1u) << "nothing to clear";
}

TEST_F(ServicesTest, IptunStartsThoughPolicyIsInMaintenanceOrDisabled) {
  broken["policy start"] = "x";
  boot_all(services);
  EXPECT_EQ(services.state(kPolicyService), ServiceState::maintenance);
  EXPECT_EQ(services.state(kIptunService), ServiceState::online);
}

TEST_F(ServicesTest, WhatRequiresAMissingServiceWaitsOfflineAndComesWithIt) {
  broken["algs start"] = "the file is bad";
  boot_all(services);
  EXPECT_EQ(services.state(kPolicyService), ServiceState::offline);
  EXPECT_EQ(status(kPolicyService).reason, "svc:/network/ipsec/ipsecalgs:default is in maintenance");
  EXPECT_EQ(status(kAlgsService).impact, "1 dependent services are not running.");
  broken.clear();
  (void)services.clear({"ipsecalgs"});
  EXPECT_EQ(services.state(kPolicyService), ServiceState::online);
}

TEST_F(ServicesTest, EnablingLastsUnlessTemporary) {
  boot_all(services);
  EXPECT_EQ(services.enable({"manual-key"}, {}).done, Words{"svc:/network/ipsec/manual-key:default enabled."});
  (void)services.disable({"policy"}, true);
  EXPECT_EQ(services.state(kPolicyService), ServiceState::disabled);
  Services again{host.context};
  add_all(again);
  calls.clear();
  boot_all(again);
  EXPECT_EQ(calls, (Words{"algs start", "policy start", "keys start", "iptun start"}));
}

TEST_F(ServicesTest, DisableTellsWhatPassesInTheClearNow) {
  boot_all(services);
  notes["policy stop"] = "v4_bob0 passes clear text now";
  const auto outcome = services.disable({"policy"}, false);
  EXPECT_EQ(outcome.notes, Words{"v4_bob0 passes clear text now"});
  EXPECT_EQ(status(kPolicyService).state, "disabled");
  Services again{host.context};
  add_all(again);
  calls.clear();
  boot_all(again);
  EXPECT_EQ(std::ranges::count(calls, "policy start"), 0);
}

TEST_F(ServicesTest, EnableRecursiveTakesWhatItDependsOn) {
  boot_all(services);
  (void)services.disable({"ipsecalgs"}, false);
  (void)services.enable({"manual-key"}, {});
  EXPECT_EQ(services.state(kManualKeyService), ServiceState::offline);
  (void)services.enable({"manual-key"}, {.recursive = true});
  EXPECT_EQ(services.state(kAlgsService), ServiceState::online);
  EXPECT_EQ(services.state(kManualKeyService), ServiceState::online);
}

TEST_F(ServicesTest, WhatCannotBeWrittenIsNotDone) {
  boot_all(services);
  host.write("/etc/svc", "a file where the directory should be");
  calls.clear();
  EXPECT_EQ(services.enable({"manual-key"}, {}).errors.size(), 1u);
  EXPECT_EQ(calls, Words{});
  EXPECT_EQ(services.state(kManualKeyService), ServiceState::disabled);
}

TEST_F(ServicesTest, OperandsThatFitNoneOrTooManyAreNamed) {
  boot_all(services);
  EXPECT_EQ(services.enable({"nosuch"}, {}).errors, Words{"Pattern 'nosuch' doesn't match any instances"});
  EXPECT_EQ(services.restart({":default"}).errors.size(), 1u);
  EXPECT_EQ(services.restart({"network/ipsec/*"}).done.size(), 2u) << "a glob is for all that run";
  EXPECT_EQ(services.list({"nosuch"}).error().code, ENOENT);
}

TEST_F(ServicesTest, MarkAndClear) {
  boot_all(services);
  (void)services.mark("degraded", {"policy"});
  EXPECT_EQ(status(kPolicyService).state, "degraded");
  (void)services.mark("maintenance", {"iptun"});
  EXPECT_EQ(status(kIptunService).reason, "Marked by an administrator.");
  EXPECT_EQ(services.mark("broken", {"iptun"}).errors.size(), 1u);
  EXPECT_EQ(services.mark("degraded", {"manual-key"}).errors.size(), 1u);
}

struct Match {
  const char *operand, *fmri;
  bool matches;
};
struct FmriTest : ::testing::TestWithParam<Match> {};
TEST_P(FmriTest, MatchesAtSlashesOnly) {
  EXPECT_EQ(matches_fmri(GetParam().operand, GetParam().fmri), GetParam().matches);
}
INSTANTIATE_TEST_SUITE_P(
    Forms, FmriTest,
    ::testing::Values(Match{"svc:/network/ipsec/policy:default", kPolicyService, true},
                      Match{"svc:/network/ipsec/policy", kPolicyService, true},
                      Match{"network/ipsec/policy", kPolicyService, true},
                      Match{"ipsec/policy:default", kPolicyService, true}, Match{"policy", kPolicyService, true},
                      Match{":default", kPolicyService, true}, Match{"policy:logger", kPolicyService, false},
                      Match{"licy", kPolicyService, false}, Match{"sec/policy", kPolicyService, false},
                      Match{"ipsec", kPolicyService, false}, Match{"svc:/policy", kPolicyService, false},
                      Match{"", kPolicyService, false}, Match{"network/ipsec/*", kPolicyService, true},
                      Match{"svc:/network/*", kIptunService, true}, Match{"*tun*", kIptunService, true},
                      Match{"ipsec/*", kPolicyService, false}));

}  // namespace
}  // namespace adit::engine
