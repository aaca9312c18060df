// ipadm, route, netstat, svcadm, svcs: from the words that are typed to the text that is printed, through a real
// socket, with the engine's own classes on a host in memory. Listings are compared with those of the guide and of
// IPD 46.
#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "cli/command_table.h"
#include "host/protocol_properties.h"
#include "host/testing/fake_host.h"
#include "linux/platform/mark.h"
#include "server/io_adit/addresses_api.h"
#include "server/io_adit/routes_api.h"
#include "server/io_adit/services_api.h"
#include "server/varlink_server.h"
#include "services/services.h"

namespace adit::cli {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;
using engine::FakeHost;
using engine::Outcome;

struct Said {
  int status = 0;
  std::string out, err;
};

struct HostCommandsTest : ::testing::Test {
  FakeHost host;
  engine::FakeFirewall firewall;
  engine::Addresses addresses{host.context, host.links, host.guard};
  engine::ProtocolProperties properties{host.context, firewall};
  engine::Routes routes{host.context, host.links, host.guard};
  engine::Services services{host.context};
  std::string policy_error;
  protocol::VarlinkMethods methods;
  asio::io_context io;
  std::unique_ptr<protocol::VarlinkServer> server;
  std::jthread thread;

  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
    add_services();
    protocol::add_address_methods(methods, addresses, properties);
    protocol::add_route_methods(methods, routes);
    protocol::add_service_methods(methods, services);
    methods.add("io.adit.links.ShowLink", protocol::Access::read,
                [](const json&, const protocol::Caller&) -> Result<json> {
                  return json{{"links",
                               {{{"name", "v4_bob0"},
                                 {"mtu", 1402},
                                 {"ipackets", 3},
                                 {"rbytes", 252},
                                 {"ierrors", 1},
                                 {"opackets", 2},
                                 {"obytes", 168},
                                 {"oerrors", 4},
                                 {"drops_in", {{{"reason", "replay"}, {"packets", 1}}}},
                                 {"drops_out", {{{"reason", "no_sa"}, {"packets", 4}}}}}}}};
                });
    methods.add(
        "io.adit.links.ShowUnlinked", protocol::Access::read, [](const json&, const protocol::Caller&) -> Result<json> {
          return json{{"drops_in", {{{"reason", "unknown_spi"}, {"packets", 7}}}}, {"drops_out", json::array()}};
        });
    std::filesystem::create_directories(host.settings.run_dir);
    auto listening = protocol::VarlinkServer::listen(io, host.settings.run_dir + "/adit.sock", methods);
    ASSERT_TRUE(listening) << listening.error().text;
    server = std::move(*listening);
    thread = std::jthread([this] {
      const auto keep = asio::make_work_guard(io);
      io.run();
    });
  }
  void TearDown() override {
    io.stop();
    thread.join();
    server.reset();
  }

  void add_services() {
    const auto good = [] { return Result<Outcome>(Outcome{}); };
    const auto load = [this] {
      return policy_error.empty() ? Result<Outcome>(Outcome{}) : Result<Outcome>(fail(EINVAL, "{}", policy_error));
    };
    const auto flush = [] { return Result<Outcome>(Outcome{{"v4_bob0 passes clear text now"}}); };
    services.add(engine::kAlgsService, {good, good, good}, {}, true);
    services.add(engine::kPolicyService, {load, load, flush},
                 {{engine::ServiceDependency::Kind::require_all, engine::kAlgsService}}, true,
                 "/etc/inet/ipsecinit.conf");
    services.add(engine::kManualKeyService, {good, good, good},
                 {{engine::ServiceDependency::Kind::require_all, engine::kAlgsService}}, false);
    services.add(engine::kIptunService, {good, good, good},
                 {{engine::ServiceDependency::Kind::optional_all, engine::kPolicyService}}, true);
    for (const char* fmri :
         {engine::kAlgsService, engine::kPolicyService, engine::kManualKeyService, engine::kIptunService})
      services.boot(fmri);
  }

  Said run(const std::string& line) {
    std::istringstream stream(line);
    std::string name;
    stream >> name;
    Words words;
    for (std::string word; stream >> word;) words.push_back(word);
    std::istringstream in;
    std::ostringstream out, err;
    Context context{
        .root = host.directory, .run_dir = host.settings.run_dir, .self = name, .in = in, .out = out, .err = err};
    const int status = find_command(name)->run(context, words);
    return {status, out.str(), err.str()};
  }
  void good(const std::string& line, const std::string& out = {}) {
    const Said said = run(line);
    EXPECT_EQ(said.status, 0) << line << ": " << said.err;
    EXPECT_EQ(said.out, out) << line;
  }
  void bad(const std::string& line, int status, const std::string& err) {
    const Said said = run(line);
    EXPECT_EQ(said.status, status) << line;
    EXPECT_EQ(said.err.substr(0, err.size()), err) << line;
    EXPECT_EQ(said.out, "") << line;
  }
};

// ---- ipadm

TEST_F(HostCommandsTest, TheGuidesAddresses) {
  good("ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.1.1 v4_bob0/v4");
  good("ipadm create-addr -T addrconf v4_bob0/v6");
  good("ipadm show-if v4_bob0",
       "IFNAME     STATE    CURRENT      PERSISTENT\n"
       "v4_bob0    ok       -mp-------46 -46\n");
  good("ipadm show-addr v4_bob0/",
       "ADDROBJ           TYPE     STATE        ADDR\n"
       "v4_bob0/v4        static   ok           10.0.0.1->10.0.1.1\n"
       "v4_bob0/v6        addrconf ok           fe80::102:304->fe80::506:708\n");
  good("ipadm show-addr -p -o addrobj,addr v4_bob0/v6", "v4_bob0/v6:fe80\\:\\:102\\:304->fe80\\:\\:506\\:708\n");
  host.links.all["v4_bob0"].up = false;
  good("ipadm show-addr v4_bob0/v4",
       "ADDROBJ           TYPE     STATE        ADDR\n"
       "v4_bob0/v4        static   inaccessible 10.0.0.1->10.0.1.1\n");
  EXPECT_EQ(json::parse(run("ipadm show-addr --json v4_bob0/v4").out)[0].at("state"), "inaccessible");
  good("ipadm disable-addr -t v4_bob0/v4");
  good("ipadm enable-addr -t v4_bob0/v4");
  bad("ipadm disable-addr v4_bob0/v4", 2, "ipadm: persistent operation not supported; -t is required");
  const Said deleted = run("ipadm delete-if v4_bob0");
  EXPECT_EQ(deleted.status, 0);
  EXPECT_NE(deleted.err.find("ipadm: 10.0.1.1 is no longer kept to v4_bob0"), std::string::npos);
}

TEST_F(HostCommandsTest, IpadmSaysWhatIsWrongInIllumosWords) {
  bad("ipadm create-addr -T static v4_bob0/v4", 1, "ipadm: Missing local address\n");
  bad("ipadm create-addr -T static -a local=10.0.0.1,local=10.0.0.2 v4_bob0/v4", 1,
      "ipadm: Multiple local addresses provided\n");
  bad("ipadm create-addr -T static -a remote=10.0.0.1,remote=10.0.0.2 v4_bob0/v4", 1,
      "ipadm: Multiple remote addresses provided\n");
  bad("ipadm create-addr -T static -a foo=10.0.0.1 v4_bob0/v4", 1, "ipadm: Invalid address provided");
  bad("ipadm create-addr -T static -a 10.0.0.1 v4_bob0", 1, "ipadm: invalid address object name: v4_bob0");
  bad("ipadm create-addr -a 10.0.0.1 v4_bob0/v4", 2, "ipadm: -T static or -T addrconf is required");
  bad("ipadm delete-addr v4_bob0/v4", 1, "ipadm: could not delete address: Address object not found");
  bad("ipadm show-addr v4_bob0/v4", 1, "ipadm: Could not get address: Address object not found");
  bad("ipadm show-if nolink0", 1, "ipadm: Could not get interface(s): Interface does not exist");
  bad("ipadm frobnicate", 2, "ipadm: unknown subcommand 'frobnicate'");
  bad("ipadm show-addr -p", 2, "ipadm: -p requires -o");
  EXPECT_EQ(run("ipadm --help").status, 0);
}

TEST_F(HostCommandsTest, HostModelIsSetShownAndReset) {
  good("ipadm set-prop -p hostmodel=strong ipv4");
  good("ipadm show-prop -p hostmodel ipv4",
       "PROTO PROPERTY              PERM CURRENT      PERSISTENT   DEFAULT      POSSIBLE\n"
       "ipv4  hostmodel             rw   strong       strong       weak         strong,weak\n");
  good("ipadm show-prop -c -o current,persistent -p hostmodel ipv6", "weak:\n");
  good("ipadm reset-prop -p hostmodel ipv4");
  bad("ipadm set-prop -p hostmodel=loose ipv4", 1, "ipadm: set-prop: hostmodel: Value is outside the allowed range;");
  bad("ipadm set-prop -p hostmodel=strong ipx", 1, "ipadm: invalid protocol 'ipx' specified\n");
  bad("ipadm set-prop -p hostmodel ipv4", 2, "ipadm: please specify the value to be set.");
  bad("ipadm set-prop -p hostmodel=strong,ttl=3 ipv4", 2, "ipadm: cannot specify more than one prop=val at a time.");
  bad("ipadm set-prop -p hostmodel=strong -p ttl=3 ipv4", 2, "ipadm: -p must be specified once only");
  bad("ipadm show-prop -p hostmodel", 2, "ipadm: protocol must be specified when property name is used");
}

// ---- route and netstat

TEST_F(HostCommandsTest, TheGuidesRoutesAndTheirTables) {
  good("ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.1.1 v4_bob0/v4");
  good("ipadm create-addr -T addrconf v4_bob0/v6");
  bad("route -p add 10.0.0.1/24 10.0.1.1", 1,
      "route: 10.0.0.1/24 is 10.0.0.0/24, this host's own network on net1; for Bob's network say 10.0.1.0/24");
  good("route -p add 10.0.1.0/24 10.0.1.1",
       "add net 10.0.1.0/24: gateway 10.0.1.1\n"
       "add persistent net 10.0.1.0/24: gateway 10.0.1.1\n");
  good("route -p add -inet6 2001:470:24:c67::/64 fe80::506:708",
       "add net 2001:470:24:c67::/64: gateway fe80::506:708\n"
       "add persistent net 2001:470:24:c67::/64: gateway fe80::506:708\n");
  good("route -p show",
       "persistent: route add 10.0.1.0/24 10.0.1.1\n"
       "persistent: route add -inet6 2001:470:24:c67::/64 fe80::506:708\n");
  good("netstat -rn",
       "\nRouting Table: IPv4\n"
       "  Destination           Gateway           Flags  Ref     Use     Interface\n"
       "-------------------- -------------------- ----- ----- ---------- ---------\n"
       "1.2.3.0              1.2.3.4              U         1          0 net0\n"
       "10.0.0.0             10.0.0.1             U         1          0 net1\n"
       "10.0.1.0             10.0.1.1             UG        1          0 v4_bob0\n"
       "10.0.1.1             10.0.0.1             UH        1          0 v4_bob0\n"
       "\nRouting Table: IPv6\n"
       "  Destination/Mask            Gateway                   Flags Ref   Use    If\n"
       "--------------------------- --------------------------- ----- --- ------- -----\n"
       "2001:470:24:c67::/64        fe80::506:708               UG      1       0 v4_bob0\n"
       "fe80::506:708               fe80::102:304               UH      1       0 v4_bob0\n");
  good("route get 10.0.1.2",
       "   route to: 10.0.1.2\n"
       "destination: 10.0.1.0\n"
       "       mask: 255.255.255.0\n"
       "    gateway: 10.0.1.1\n"
       "  interface: v4_bob0\n"
       "      flags: <UP,GATEWAY,DONE>\n"
       "        mtu: 1500\n");
  bad("route add 10.0.1.0/24 10.0.1.1", 1, "add net 10.0.1.0/24: gateway 10.0.1.1: entry exists\n");
  bad("route delete 10.0.99.0/24 10.0.1.1", 1, "delete net 10.0.99.0/24: gateway 10.0.1.1: not in table\n");
  const Said deleted = run("route delete -p 10.0.1.0/24 10.0.1.1");
  EXPECT_EQ(deleted.out,
            "delete net 10.0.1.0/24: gateway 10.0.1.1\ndelete persistent net 10.0.1.0/24: gateway 10.0.1.1\n");
  EXPECT_EQ(deleted.err,
            "route: 10.0.1.0/24 is no longer kept to v4_bob0: it is reachable in the clear if a route leads there\n");
}

TEST_F(HostCommandsTest, RouteUsage) {
  good("route -p show", "No persistent routes are defined\n");
  bad("route", 2, "route: a subcommand is missing");
  bad("route add", 2, "route: a destination is missing");
  bad("route fly 1.2.3.4", 2, "route: unknown subcommand 'fly'");
  bad("route -p change 10.0.1.0/24 10.0.1.1", 2, "route: change cannot be combined with -p");
  bad("route add 10.0.1.0/24", 1, "route: no gateway was given for 10.0.1.0/24");
  bad("netstat", 2, "netstat: one of -r, -i and -s is required");
}

TEST_F(HostCommandsTest, NetstatTellsEveryReasonWithItsSentence) {
  const std::string text = run("netstat -s").out;
  EXPECT_NE(text.find("v4_bob0         ipackets = 3            rbytes = 252            ierrors = 1\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("no_sa                       0           4  the rule asks for IPsec and there is no SA; an "
                      "ACQUIRE was sent\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("replay                      1           0  the sequence number was seen before"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("unknown_spi                 7           0  no SA has this SPI\n"), std::string::npos)
      << "also what was dropped before a link was found";
  EXPECT_EQ(json::parse(run("netstat -s --json").out).at("drops").size(), kDropReasons - 1);
  EXPECT_NE(run("netstat -i").out.find("v4_bob0         1402"), std::string::npos);
}

// ---- svcs and svcadm

TEST_F(HostCommandsTest, SvcsListsTheGuidesService) {
  good("svcs ipsec/policy",
       "STATE          STIME    FMRI\n"
       "online         Nov_14   svc:/network/ipsec/policy:default\n");
  good("svcs -H -o state,svc",
       "online         network/ipsec/ipsecalgs\nonline         network/ipsec/policy\nonline         network/iptun\n");
  EXPECT_NE(run("svcs -a").out.find("disabled       Nov_14   svc:/network/ipsec/manual-key:default\n"),
            std::string::npos);
  good("svcs -d policy",
       "STATE          STIME    FMRI\nonline         Nov_14   svc:/network/ipsec/ipsecalgs:default\n");
  good("svcs -D policy", "STATE          STIME    FMRI\nonline         Nov_14   svc:/network/iptun:default\n");
  good("svcs -l policy",
       "fmri         svc:/network/ipsec/policy:default\n"
       "name         IPsec policy initialization\n"
       "enabled      true\n"
       "state        online\n"
       "next_state   none\n"
       "state_time   Tue Nov 14 22:13:20 2023\n"
       "logfile      " +
           host.directory +
           "/var/svc/log/network-ipsec-policy:default.log\n"
           "restarter    svc:/system/svc/restarter:default\n"
           "contract_id  -\n"
           "dependency   require_all/none svc:/network/ipsec/ipsecalgs:default (online)\n");
  bad("svcs nosuch", 1, "svcs: Pattern 'nosuch' doesn't match any instances\n");
  bad("svcs -l", 2, "svcs: -l needs an FMRI");
  bad("svcs -s colour", 2, "svcs: unknown column 'colour'");
}

TEST_F(HostCommandsTest, ABrokenPolicyIsExplained) {
  good("svcs -x");
  policy_error = "/etc/inet/ipsecinit.conf:3:7: 'encr_algz' is not a property";
  const Said refreshed = run("svcadm refresh ipsec/policy");
  EXPECT_EQ(refreshed.status, 0) << "as on illumos";
  EXPECT_EQ(refreshed.err,
            "svcadm: svc:/network/ipsec/policy:default is in maintenance: /etc/inet/ipsecinit.conf:3:7: 'encr_algz' is "
            "not a property\n");
  good("svcs -x",
       "svc:/network/ipsec/policy:default (IPsec policy initialization)\n"
       " State: maintenance since Tue Nov 14 22:13:20 2023\n"
       "Reason: /etc/inet/ipsecinit.conf:3:7: 'encr_algz' is not a property\n"
       "   See: ipsecconf(8)\n"
       "   See: " +
           host.directory +
           "/var/svc/log/network-ipsec-policy:default.log\n"
           "Impact: This service is not running.\n");
  EXPECT_EQ(run("svcadm clear -s policy").status, 3);
  policy_error.clear();
  good("svcadm clear -s policy");
  good("svcs -x");
}

TEST_F(HostCommandsTest, SvcadmIsSilentUnlessAsked) {
  good("svcadm enable ipsec/manual-key");
  good("svcadm -v restart ipsec/policy", "Action restart set for svc:/network/ipsec/policy:default.\n");
  const Said disabled = run("svcadm disable ipsec/policy");
  EXPECT_EQ(disabled.status, 0);
  EXPECT_EQ(disabled.err, "svcadm: v4_bob0 passes clear text now\n");
  good("svcadm disable ipsecalgs");
  good("svcadm enable policy");
  EXPECT_EQ(run("svcadm enable -s policy").status, 4) << "what it depends on needs an administrator";
  bad("svcadm restart nosuch", 1, "svcadm: Pattern 'nosuch' doesn't match any instances\n");
  bad("svcadm restart", 2, "svcadm: an FMRI is missing");
  bad("svcadm mark broken policy", 2, "svcadm: maintenance or degraded is expected behind mark");
  bad("svcadm explode policy", 2, "svcadm: unknown action 'explode'");
}

}  // namespace
}  // namespace adit::cli
