#include "host/addresses.h"

#include <gtest/gtest.h>

#include "host/files/ipadm_conf.h"
#include "host/testing/fake_host.h"

namespace adit::engine {
namespace {

using Journal = std::vector<std::string>;

struct AddressesTest : ::testing::Test {
  FakeHost host;
  Addresses addresses{host.context, host.links, host.guard};

  Result<Outcome> create(const char* object, const char* local, const char* remote = nullptr) {
    AddressRequest request{.object = object, .local = local};
    if (remote != nullptr) request.remote = remote;
    return addresses.create_address(request);
  }
  Result<Outcome> addrconf(const char* object) {
    return addresses.create_address({.object = object, .type = "addrconf"});
  }
  AddressObject shown(const std::string& object) {
    const auto list = addresses.list(object);
    return list ? list->front() : AddressObject{.state = list.error().text};
  }
};

TEST_F(AddressesTest, GuardHearsOfThePeerBeforeTheKernel) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  EXPECT_EQ(host.platform.journal, (Journal{"protect 10.0.1.1/32 v4_bob0", "add_address 10.0.0.1/32 v4_bob0",
                                            "add_route 10.0.1.1/32 v4_bob0"}));
  const AddressObject object = shown("v4_bob0/v4");
  EXPECT_EQ(object.state, "ok");
  EXPECT_EQ(object.address, "10.0.0.1->10.0.1.1");
  EXPECT_EQ(object.current + object.persistent, "U----U--");
}

TEST_F(AddressesTest, AddrconfMakesTheGuidesLinkLocalAddresses) {
  ASSERT_TRUE(addrconf("v4_bob0/v6"));
  EXPECT_EQ(shown("v4_bob0/v6").address, "fe80::102:304->fe80::506:708");
  EXPECT_EQ(shown("v4_bob0/v6").type, "addrconf");
  host.add_tunnel("v6_bob0", "2001:db8::a:b:c:d", "2001:db8::1");
  ASSERT_TRUE(addrconf("v6_bob0/v6"));
  EXPECT_EQ(shown("v6_bob0/v6").address, "fe80::a:b:c:d->fe80::1");
}

TEST_F(AddressesTest, AddrconfFollowsNewOuterAddresses) {
  ASSERT_TRUE(addrconf("v4_bob0/v6"));
  host.links.all["v4_bob0"].remote = address("9.9.9.9");
  addresses.link_ready("v4_bob0");
  EXPECT_EQ(shown("v4_bob0/v6").address, "fe80::102:304->fe80::909:909");
  EXPECT_EQ(host.platform.address_list.size(), 3u) << "the old one is gone: net0's, net1's and this";
}

TEST_F(AddressesTest, FileHasTheIllumosLines) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  ASSERT_TRUE(addrconf("v4_bob0/v6"));
  ASSERT_TRUE(create("net1/extra", "10.0.7.1/24"));
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf"),
            "_ifname=net1;_family=2;\n_ifname=net1;_family=26;\n"
            "_ifname=v4_bob0;_family=2;\n_ifname=v4_bob0;_family=26;\n"
            "_ifname=net1;_aobjname=net1/extra;_ipv4addr=10.0.7.1,;up=yes;\n"
            "_ifname=net1;_aobjname=net1/extra;prefixlen=24;\n"
            "_ifname=v4_bob0;_aobjname=v4_bob0/v4;_ipv4addr=10.0.0.1,10.0.1.1;up=yes;\n"
            "_ifname=v4_bob0;_aobjname=v4_bob0/v6;_intfid=::/0,yes,yes;\n");
}

TEST_F(AddressesTest, RestoreBringsBackWhatTheFileSays) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  ASSERT_TRUE(addrconf("v4_bob0/v6"));
  ASSERT_TRUE(create("net1/extra", "10.0.7.1/24"));
  host.platform.address_list.clear();
  Addresses again{host.context, host.links, host.guard};
  again.restore();
  const auto list = again.list("v4_bob0/");
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[0].address, "10.0.0.1->10.0.1.1");
  EXPECT_EQ((*list)[1].address, "fe80::102:304->fe80::506:708");
  EXPECT_EQ(again.list("net1/extra")->front().address, "10.0.7.1/24");
}

TEST_F(AddressesTest, TemporaryObjectsOutliveTheDaemonButNotTheBoot) {
  ASSERT_TRUE(
      addresses.create_address({.object = "v4_bob0/v4", .local = "10.0.0.1", .remote = "10.0.1.1", .temporary = true}));
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf"), "");
  Addresses again{host.context, host.links, host.guard};
  again.restore();
  EXPECT_EQ(again.list("v4_bob0/v4")->front().persistent, "---");
  std::filesystem::remove_all(host.settings.run_dir);
  Addresses after_boot{host.context, host.links, host.guard};
  after_boot.restore();
  EXPECT_FALSE(after_boot.list("v4_bob0/v4"));
}

TEST_F(AddressesTest, PersistentObjectWaitsForItsTunnel) {
  host.write("/etc/ipadm/ipadm.conf", "_ifname=v4_carol0;_aobjname=v4_carol0/v4;_ipv4addr=10.0.0.1,10.0.2.1;up=yes;\n");
  addresses.restore();
  EXPECT_EQ(shown("v4_carol0/v4").state, "disabled");
  EXPECT_EQ(shown("v4_carol0/v4").address, "10.0.0.1->10.0.2.1");
  host.add_tunnel("v4_carol0", "1.2.3.4", "9.9.9.9");
  addresses.link_ready("v4_carol0");
  EXPECT_EQ(shown("v4_carol0/v4").state, "ok");
}

TEST_F(AddressesTest, LinkBeneathDownMakesAddressesInaccessible) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  host.links.all["v4_bob0"].up = false;
  EXPECT_EQ(shown("v4_bob0/v4").state, "inaccessible");
  EXPECT_EQ(addresses.list_interfaces("v4_bob0")->front().state, "down");
}

TEST_F(AddressesTest, ShowIfIsTheGuides) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  const IfInfo row = addresses.list_interfaces("v4_bob0")->front();
  EXPECT_EQ(row.name + "|" + row.state + "|" + row.current + "|" + row.persistent, "v4_bob0|ok|-mp-------46|-46");
}

TEST_F(AddressesTest, AddressesWithoutAnObjectHaveAQuestionMark) {
  ASSERT_TRUE(host.platform.add_address("lo", prefix("127.0.0.1/8"), {}));
  const auto list = addresses.list("");
  ASSERT_TRUE(list);
  std::vector<std::string> names;
  for (const AddressObject& object : *list) names.push_back(object.object + " " + object.state + " " + object.address);
  EXPECT_EQ(names, (Journal{"lo/? ok 127.0.0.1/8", "net0/? ok 1.2.3.4/24", "net1/? ok 10.0.0.1/24"}));
}

struct Refusal {
  const char *object, *type, *local, *remote, *text;
  int code;
};
struct RefusalTest : AddressesTest, ::testing::WithParamInterface<Refusal> {};
TEST_P(RefusalTest, SaysWhyAndChangesNothing) {
  const Refusal& refusal = GetParam();
  AddressRequest request{.object = refusal.object, .type = refusal.type};
  if (refusal.local != nullptr) request.local = refusal.local;
  if (refusal.remote != nullptr) request.remote = refusal.remote;
  const auto done = addresses.create_address(request);
  ASSERT_FALSE(done);
  EXPECT_TRUE(done.error().text.starts_with(refusal.text)) << done.error().text;
  EXPECT_EQ(done.error().code, refusal.code);
  EXPECT_EQ(host.platform.journal, Journal{});
  EXPECT_FALSE(std::filesystem::exists(host.directory + "/etc"));
}
INSTANTIATE_TEST_SUITE_P(
    Bad, RefusalTest,
    ::testing::Values(
        Refusal{"v4_bob0", "static", "10.0.0.1", "10.0.1.1", "invalid address object name: v4_bob0;", EINVAL},
        Refusal{"v4_bob0/a_b", "static", "10.0.0.1", "10.0.1.1", "invalid address object name: v4_bob0/a_b;", EINVAL},
        Refusal{"v4_bob0/4v", "static", "10.0.0.1", "10.0.1.1", "invalid address object name: v4_bob0/4v;", EINVAL},
        Refusal{"v4_bob0/abcdefghijklmnopqrstuvwxyz", "static", "10.0.0.1", "10.0.1.1",
                "invalid address object name:", EINVAL},
        Refusal{"nolink0/v4", "static", "10.0.0.1", "10.0.1.1", "Could not create address: Interface does not exist;",
                ENOENT},
        Refusal{"v4_bob0/v4", "dhcp", nullptr, nullptr, "Invalid address type dhcp;", EINVAL},
        Refusal{"v4_bob0/v4", "static", nullptr, "10.0.1.1", "Missing local address", EINVAL},
        Refusal{"v4_bob0/v4", "static", "10.0.0.1", nullptr,
                "Could not create address: Invalid argument provided; v4_bob0 is point-to-point", EINVAL},
        Refusal{"net1/v4", "static", "10.0.0.9", "10.0.1.1",
                "Could not create address: Invalid argument provided; net1 is not point-to-point", EINVAL},
        Refusal{"v4_bob0/v4", "static", "10.0.0.1", "2001:db8::1",
                "Error in setting remote address: Incorrect protocol family for operation;", EAFNOSUPPORT},
        Refusal{"v4_bob0/v4", "static", "10.0.0.1", "0.0.0.0", "Error in setting remote address: Invalid address;",
                EINVAL},
        Refusal{"v4_bob0/v4", "static", "10.0.0.1", "10.0.1.1/24", "Error in setting remote address: Invalid address;",
                EINVAL},
        Refusal{"v4_bob0/v4", "static", "10.0.0.1", "10.0.0.1", "Error in setting remote address: Invalid address;",
                EINVAL},
        Refusal{"v4_bob0/v4", "static", "224.0.0.1", "10.0.1.1", "Error in setting local address: Invalid address;",
                EINVAL},
        Refusal{"v4_bob0/v4", "static", "10.0.0.1/33", "10.0.1.1",
                "Error in setting local address: /33 prefix is too big!", EINVAL},
        Refusal{"v4_bob0/v4", "static", "1.2.3", "10.0.1.1", "Error in setting local address: Invalid address;",
                EINVAL},
        Refusal{"v4_bob0/v4", "static", "10.0.0.1", "5.6.7.8",
                "Error in setting remote address: Invalid address; 5.6.7.8 is the outer address", ELOOP},
        Refusal{"net1/v6", "addrconf", nullptr, nullptr, "Could not create address: Operation not supported;", ENOTSUP},
        Refusal{"v4_bob0/v6", "addrconf", "fe80::1", nullptr, "Invalid arguments for type addrconf;", EINVAL}));

TEST_F(AddressesTest, ATakenNameOrAddressIsRefused) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  EXPECT_EQ(create("v4_bob0/v4", "10.0.0.2", "10.0.1.2").error().code, EEXIST);
  EXPECT_EQ(create("v4_bob0/again", "10.0.0.1", "10.0.1.1").error().code, EADDRINUSE);
}

TEST_F(AddressesTest, DefaultPrefixLengthsAreClassfulOr64) {
  for (const auto& [local, expected] : {std::pair("10.1.0.1", "10.1.0.1/8"),
                                        {"172.16.0.1", "172.16.0.1/16"},
                                        {"192.168.7.1", "192.168.7.1/24"},
                                        {"2001:db8::1", "2001:db8::1/64"},
                                        {"fe80::1", "fe80::1/10"}}) {
    ASSERT_TRUE(create("net1/x", local)) << local;
    EXPECT_EQ(shown("net1/x").address, expected);
    ASSERT_TRUE(addresses.delete_address("net1/x"));
  }
}

TEST_F(AddressesTest, WhenTheDiskIsFullNothingIsLeft) {
  host.write("/etc/ipadm", "a file where the directory should be");
  const auto done = create("v4_bob0/v4", "10.0.0.1", "10.0.1.1");
  ASSERT_FALSE(done);
  EXPECT_TRUE(host.platform.journal.empty()) << "neither guard nor kernel was asked";
  EXPECT_FALSE(host.has_route("10.0.1.1/32"));
  EXPECT_FALSE(addresses.list("v4_bob0/v4"));
  EXPECT_TRUE(addresses.may_delete("v4_bob0"));
}

TEST_F(AddressesTest, WhenTheGuardRefusesTheKernelIsNotAsked) {
  host.guard.refuse = Error{EIO, "nft failed"};
  EXPECT_EQ(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1").error().text, "nft failed");
  EXPECT_EQ(host.platform.journal, Journal{});
}

TEST_F(AddressesTest, WhenTheKernelRefusesTheGuardLetsGo) {
  host.platform.fail_call("add_address", 1, ENOBUFS, "no room");
  EXPECT_EQ(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1").error().text, "Could not create address: no room");
  EXPECT_TRUE(host.guard.held.empty());
}

TEST_F(AddressesTest, DeleteTakesTheKernelFirstAndSaysWhatIsOpen) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  EXPECT_EQ(addresses.may_delete("v4_bob0").error().code, EBUSY);
  host.platform.journal.clear();
  const auto done = addresses.delete_address("v4_bob0/v4");
  ASSERT_TRUE(done);
  EXPECT_EQ(host.platform.journal, (Journal{"remove_route 10.0.1.1/32 v4_bob0", "remove_address 10.0.0.1/32 v4_bob0",
                                            "release 10.0.1.1/32 v4_bob0"}));
  ASSERT_EQ(done->notes.size(), 1u);
  EXPECT_EQ(done->notes[0],
            "10.0.1.1 is no longer kept to v4_bob0: it is reachable in the clear if a route leads there");
  EXPECT_TRUE(addresses.may_delete("v4_bob0"));
  EXPECT_EQ(addresses.delete_address("v4_bob0/v4").error().code, ENOENT);
}

TEST_F(AddressesTest, TwoObjectsWithOnePeerShareItsGuard) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  ASSERT_TRUE(create("v4_bob0/w4", "10.0.0.2", "10.0.1.1"));
  EXPECT_TRUE(addresses.delete_address("v4_bob0/v4")->notes.empty());
  EXPECT_TRUE(host.guard.guards(prefix("10.0.1.1/32")));
}

TEST_F(AddressesTest, DisabledLastsUntilEnabledOrTheNextStart) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  ASSERT_TRUE(addresses.enable_address("v4_bob0/v4", false));
  EXPECT_EQ(shown("v4_bob0/v4").state, "disabled");
  EXPECT_FALSE(host.has_route("10.0.1.1/32"));
  EXPECT_FALSE(addresses.set_address_up("v4_bob0/v4", true, false)) << "not on a disabled object";
  addresses.reassert();
  EXPECT_FALSE(host.has_route("10.0.1.1/32"));
  ASSERT_TRUE(addresses.enable_address("v4_bob0/v4", true));
  EXPECT_EQ(shown("v4_bob0/v4").state, "ok");
}

TEST_F(AddressesTest, DownIsKeptInTheFileUnlessTemporary) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  ASSERT_TRUE(addresses.set_address_up("v4_bob0/v4", false, true));
  EXPECT_EQ(shown("v4_bob0/v4").state, "down");
  EXPECT_EQ(shown("v4_bob0/v4").persistent, "U--");
  ASSERT_TRUE(addresses.set_address_up("v4_bob0/v4", false, false));
  EXPECT_NE(host.file("/etc/ipadm/ipadm.conf").find("up=no;"), std::string::npos);
  Addresses again{host.context, host.links, host.guard};
  again.restore();
  EXPECT_EQ(again.list("v4_bob0/v4")->front().state, "down");
}

TEST_F(AddressesTest, DeleteIfTakesEveryAddressOfIt) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  ASSERT_TRUE(addrconf("v4_bob0/v6"));
  ASSERT_TRUE(addresses.delete_interface("v4_bob0"));
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf"), "");
  EXPECT_TRUE(host.guard.held.empty());
  EXPECT_EQ(addresses.delete_interface("v4_bob0").error().text,
            "Could not delete v4_bob0 : Interface does not exist; ipadm made none of that name");
}

TEST_F(AddressesTest, WhatSomebodyRemovedComesBack) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  host.platform.others_remove_address("v4_bob0", prefix("10.0.0.1/32"));
  EXPECT_EQ(shown("v4_bob0/v4").state, "inaccessible");
  addresses.reassert();
  EXPECT_EQ(shown("v4_bob0/v4").state, "ok");
  EXPECT_TRUE(host.happened("address.restored"));
}

TEST_F(AddressesTest, RenamedLinkTakesItsObjectsAlong) {
  ASSERT_TRUE(create("v4_bob0/v4", "10.0.0.1", "10.0.1.1"));
  ASSERT_TRUE(host.platform.rename_link("v4_bob0", "v4_rob0"));
  auto node = host.links.all.extract("v4_bob0");
  node.key() = node.mapped().name = "v4_rob0";
  host.links.all.insert(std::move(node));
  addresses.link_renamed("v4_bob0", "v4_rob0");
  EXPECT_EQ(shown("v4_rob0/v4").state, "ok");
  EXPECT_EQ(host.file("/etc/ipadm/ipadm.conf").find("v4_bob0"), std::string::npos);
}

TEST(IpadmConf, KeepsWhatItDoesNotUnderstand) {
  const std::string text = "# by hand\n_protocol=ipv4;hostmodel=strong;\nbroken line\n_ifname=x;_ipmp=a,b;\n";
  const IpadmConf conf = IpadmConf::parse(text);
  EXPECT_EQ(conf.text(), text);
  EXPECT_EQ(conf.lines()[1].get("hostmodel"), "strong");
  EXPECT_FALSE(conf.lines()[2].has("broken line"));
}

}  // namespace
}  // namespace adit::engine
