// Many tunnels by one call: all of them or none.
#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

TEST(LinkCreation, ManyTunnelsAreOneTransaction) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  std::vector<IptunRequest> requests;
  for (int i = 1; i <= 40; ++i)
    requests.push_back({.name = fmt::format("m{}", i),
                        .local = "1.2.3.4",
                        .remote = fmt::format("6.0.0.{}", i),
                        .secured = true,
                        .properties = {{"ipsec", "{encr_algs aes-gcm}"}}});
  const auto before = world.engine->policy().heads()->generation;
  ASSERT_TRUE(world.engine->links().create_all(requests));
  EXPECT_EQ(world.engine->policy().heads()->generation, before + 1) << "one swap";
  EXPECT_TRUE(world.carrier("m1"));
  EXPECT_TRUE(world.carrier("m40"));
  world.kill();
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.carrier("m40"));

  requests.clear();
  for (int i = 1; i <= 9; ++i)
    requests.push_back(
        {.name = fmt::format("n{}", i), .local = "1.2.3.4", .remote = fmt::format("7.0.0.{}", i % 8), .secured = true});
  const auto twice = world.engine->links().create_all(requests);
  ASSERT_FALSE(twice) << "n1 and n9 have one pair";
  EXPECT_EQ(twice.error().code, EADDRINUSE);
  EXPECT_FALSE(world.has_device("n1"));
  requests.pop_back();
  world.platform.fail_call("open_tun", 5, ENOSPC);
  EXPECT_FALSE(world.engine->links().create_all(requests));
  for (int i = 1; i <= 8; ++i) EXPECT_FALSE(world.has_device(fmt::format("n{}", i)));
  EXPECT_FALSE(world.engine->links().tunnel("n1"));
  EXPECT_EQ(world.file("/etc/dladm/datalink.conf").find("=string,n"), std::string::npos);
  ASSERT_TRUE(world.engine->links().create_all(requests));
}

// Counted, not timed: what a hundred more cost when there are none, and when there are many.
TEST(LinkCreation, TheLastCostTheHostNoMoreThanTheFirst) {
  EngineWorld world;
  ASSERT_TRUE(world.start());
  const auto snapshots = [&] { return world.engine->dataplane().shared().publisher.get()->generation; };
  const auto cost = [&](int batch) {
    std::vector<IptunRequest> requests;
    for (int i = 0; i < 100; ++i)
      requests.push_back({.name = fmt::format("m{}", batch * 100 + i),
                          .local = "1.2.3.4",
                          .remote = fmt::format("6.0.{}.{}", batch, i + 1),
                          .secured = true,
                          .properties = {{"ipsec", "{encr_algs aes-gcm}"}}});
    const auto before = snapshots();
    world.platform.journal.clear();
    EXPECT_TRUE(world.engine->links().create_all(requests));
    return std::pair(snapshots() - before, world.platform.journal.size());
  };
  const auto first = cost(0);
  EXPECT_LE(first.first, 4u) << "snapshots, whatever the number of tunnels";
  EXPECT_LE(first.second, 100u * 6) << "calls that change the kernel";
  for (int batch = 1; batch < 6; ++batch) EXPECT_EQ(cost(batch), first) << batch;
}

// With so many that changes go into journals.
struct ManyLinks : EngineWorld {
  static constexpr int kCount = 80;
  std::vector<std::string> names;
  ManyLinks() {
    EXPECT_TRUE(start());
    std::vector<IptunRequest> requests;
    for (int i = 0; i < kCount; ++i) requests.push_back(request(i));
    EXPECT_TRUE(engine->links().create_all(requests));
  }
  static IptunRequest request(int i) {
    IptunRequest one{fmt::format("t{}", i), tunnel::Type::ipv4, "1.2.3.4", fmt::format("5.6.7.{}", i + 1), false, true};
    one.properties = {{"ipsec", "{encr_algs aes-gcm}"}};
    return one;
  }
  [[nodiscard]] int up() const {
    int count = 0;
    for (int i = 0; i < kCount; ++i) count += carrier(fmt::format("t{}", i)) ? 1 : 0;
    return count;
  }
};

std::string many_crash_at;

TEST(ManyLinksTest, WhereverTheDaemonDiesThereAreAllOthersAndTheOneWholeOrNot) {
  for (const char* point : {"links.cache.journal:opened", "links.cache.journal:written", "links.cache.journal:synced",
                            "create:recorded", "create:opened", "create:device", "datalink.conf.journal:opened",
                            "datalink.conf.journal:written", "datalink.conf.journal:synced", "create:stored"}) {
    SCOPED_TRACE(point);
    ManyLinks world;
    ASSERT_EQ(world.up(), ManyLinks::kCount);
    many_crash_at = point;
    set_crash_hook([](std::string_view name) {
      if (name == many_crash_at) throw Killed{};
    });
    EXPECT_THROW((void)world.engine->links().create(ManyLinks::request(90)), Killed);
    set_crash_hook(nullptr);
    world.kill();
    ASSERT_TRUE(world.start());
    EXPECT_EQ(world.up(), ManyLinks::kCount);
    const bool made = world.engine->links().tunnel("t90").has_value();
    EXPECT_EQ(made, world.has_device("t90"));
    const std::string_view at = point;
    EXPECT_EQ(made,
              at == "datalink.conf.journal:written" || at == "datalink.conf.journal:synced" || at == "create:stored");
    EXPECT_EQ(world.engine->links().create(ManyLinks::request(90)).has_value(), !made);
  }
}

TEST(ManyLinksTest, ADeletionOfOneOfManyHoldsOverACrash) {
  for (const char* point : {"datalink.conf.journal:opened", "datalink.conf.journal:synced", "delete:device"}) {
    SCOPED_TRACE(point);
    ManyLinks world;
    many_crash_at = point;
    set_crash_hook([](std::string_view name) {
      if (name == many_crash_at) throw Killed{};
    });
    EXPECT_THROW((void)world.engine->links().remove("t0", false, false), Killed);
    set_crash_hook(nullptr);
    world.kill();
    ASSERT_TRUE(world.start());
    const bool there = world.engine->links().tunnel("t0").has_value();
    EXPECT_EQ(there, std::string_view(point) == "datalink.conf.journal:opened");
    EXPECT_EQ(there, world.has_device("t0"));
    EXPECT_EQ(world.up(), there ? ManyLinks::kCount : ManyLinks::kCount - 1);
  }
}

// Between the journal and the file that takes it up, at each step, after a creation and after a deletion.
TEST(ManyLinksTest, WhereverTheDaemonDiesWhileTheListTakesUpItsJournalNothingIsLostAndNothingComesBack) {
  for (const char* point :
       {"datalink.conf:opened", "datalink.conf:written", "datalink.conf:synced", "datalink.conf:renamed"}) {
    SCOPED_TRACE(point);
    ManyLinks world;
    ASSERT_TRUE(world.engine->links().create(ManyLinks::request(90)));
    ASSERT_TRUE(world.engine->links().remove("t0", false, false));
    many_crash_at = point;
    set_crash_hook([](std::string_view name) {
      if (name == many_crash_at) throw Killed{};
    });
    world.clock.advance(Seconds(2));
    EXPECT_THROW(world.engine->tick(), Killed);
    set_crash_hook(nullptr);
    world.kill();
    ASSERT_TRUE(world.start());
    EXPECT_TRUE(world.carrier("t90"));
    EXPECT_FALSE(world.has_device("t0"));
    EXPECT_EQ(world.up(), ManyLinks::kCount - 1);
    ASSERT_TRUE(world.engine->links().remove("t90", false, false));
    ASSERT_TRUE(world.engine->links().create(ManyLinks::request(0)));
    world.kill();
    ASSERT_TRUE(world.start());
    EXPECT_FALSE(world.has_device("t90"));
    EXPECT_EQ(world.up(), ManyLinks::kCount);
  }
}

// Each file gone, empty or half: what was closed stays closed, whichever tunnels are still known.
TEST(ManyLinksTest, WhicheverOfTheFilesIsLostWhatWasClosedStaysClosed) {
  for (const char* lost :
       {"etc/dladm/datalink.conf", "etc/dladm/datalink.conf.journal", "run/links.cache", "run/links.cache.journal"})
    for (const char* how : {"gone", "empty", "half", "no text"}) {
      SCOPED_TRACE(fmt::format("{} {}", lost, how));
      ManyLinks world;
      IptunRequest request = ManyLinks::request(90);
      request.properties = {{"ipsec", "{ negotiate tunnel raddr 10.9.0.0/16 } ipsec { encr_algs aes-gcm }"}};
      ASSERT_TRUE(world.engine->links().create(request));
      world.kill();
      const std::filesystem::path path = world.root + "/" + lost;
      ASSERT_TRUE(std::filesystem::exists(path));
      const auto size = std::filesystem::file_size(path);
      if (how == std::string_view("gone"))
        std::filesystem::remove(path);
      else if (how == std::string_view("no text"))
        std::ofstream(path, std::ios::trunc) << std::string(size, '\xff');
      else
        std::filesystem::resize_file(path, how == std::string_view("empty") ? 0 : size / 2);
      (void)world.start();
      for (const PacketKind kind : kPacketKinds) EXPECT_EQ(world.leak(kind, "10.9.0.5"), std::nullopt) << name_of(kind);
      world.kill();
      for (const PacketKind kind : kPacketKinds) EXPECT_EQ(world.leak(kind, "10.9.0.5"), std::nullopt) << name_of(kind);
    }
}

TEST(ManyLinksTest, TheListIsWholeASecondAfterTheLastChange) {
  ManyLinks world;
  ASSERT_TRUE(world.engine->links().create(ManyLinks::request(90)));
  const std::string path = "/etc/dladm/datalink.conf";
  EXPECT_EQ(world.file(path).find("t90"), std::string::npos) << "its journal has it";
  world.clock.advance(Seconds(2));
  world.engine->tick();
  EXPECT_NE(world.file(path).find("t90"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(world.root + path + ".journal"));
  ASSERT_TRUE(world.engine->links().remove("t90", false, false));
  world.engine->stop();
  EXPECT_EQ(world.file(path).find("t90"), std::string::npos) << "and at an orderly end";
}

TEST(ManyLinksTest, AFullDiskAddsNothingToTheJournal) {
  ManyLinks world;
  const std::string in_the_way = world.root + "/etc/dladm/datalink.conf.journal";
  std::filesystem::create_directories(in_the_way);
  ASSERT_FALSE(world.engine->links().create(ManyLinks::request(90)));
  EXPECT_FALSE(world.has_device("t90"));
  EXPECT_FALSE(world.engine->links().tunnel("t90"));
  std::filesystem::remove_all(in_the_way);
  EXPECT_TRUE(world.engine->links().create(ManyLinks::request(90)));
}

// A failed change of one head takes back that one, and what others changed meanwhile stays.
TEST(ManyLinksTest, APropertyThatCannotTakeEffectIsTakenBackAlone) {
  ManyLinks world;
  const auto before = world.engine->policy().heads();
  world.platform.fail_call("change_guard", 1, EIO);
  ASSERT_FALSE(world.engine->links().set_properties(
      "t3", {{"ipsec", "{ negotiate tunnel raddr 10.9.0.0/16 } ipsec { encr_algs aes-gcm }"}}, false));
  const auto after = world.engine->policy().heads();
  EXPECT_EQ(after->find("t4"), before->find("t4"));
  ASSERT_NE(after->find("t3"), nullptr);
  EXPECT_EQ(protected_networks(after->find("t3").get()), protected_networks(before->find("t3").get()));
  EXPECT_FALSE(world.engine->guard().guards(prefix_of("10.9.0.0/16")));
  ASSERT_TRUE(world.engine->links().set_properties(
      "t3", {{"ipsec", "{ negotiate tunnel raddr 10.9.0.0/16 } ipsec { encr_algs aes-gcm }"}}, false));
  EXPECT_TRUE(world.engine->guard().guards(prefix_of("10.9.0.0/16")));
}

// Dressed: with an address of its own and a network behind it.
struct ManyDressed : ManyLinks {
  ManyDressed() {
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(dress(i));
    run_until_quiet();
  }
  static std::string name(int i) { return fmt::format("t{}", i); }
  static std::string peer(int i) { return fmt::format("10.1.0.{}", i + 1); }
  static std::string network(int i) { return fmt::format("10.2.{}.0/24", i); }
  bool dress(int i) {
    return create_address(name(i), peer(i).c_str()).has_value() && add_route({network(i), peer(i)}).has_value();
  }
  [[nodiscard]] bool address_stands(int i) const {
    return std::ranges::any_of(platform.address_list,
                               [&](const auto& one) { return one.peer == address_of(peer(i).c_str()); });
  }
  [[nodiscard]] bool route_stands(int i) const {
    return std::ranges::any_of(platform.route_list, [&](const auto& route) {
      return route.destination == prefix_of(network(i).c_str()) && !route.unreachable;
    });
  }
  [[nodiscard]] bool dressed(int i) const { return address_stands(i) && route_stands(i); }
};

// Counted, not timed: no list of the host's is asked for, whatever stands in it.
TEST(ManyLinksTest, AnAddressARouteAndADeletionAskForNoList) {
  ManyDressed world;
  const auto one = [&](int i) {
    ASSERT_TRUE(world.engine->links().create(ManyLinks::request(i)));
    world.run_until_quiet();
    ASSERT_TRUE(world.dress(i));
    world.run_until_quiet();
    EXPECT_TRUE(world.dressed(i));
    EXPECT_TRUE(world.engine->guard().guards(prefix_of(world.network(i).c_str())));
    ASSERT_TRUE(world.engine->links().remove(world.name(i), false, false, true));
    world.run_until_quiet();
    EXPECT_FALSE(world.has_device(world.name(i)));
    EXPECT_FALSE(world.dressed(i));
    EXPECT_FALSE(world.engine->guard().guards(prefix_of(world.network(i).c_str())));
  };
  world.platform.listed = 0;
  one(90);
  ASSERT_TRUE(world.engine->addresses().delete_address("t7/v4"));
  world.run_until_quiet();
  const std::vector<std::string> words{world.network(8), world.peer(8)};
  ASSERT_FALSE(world.engine->routes().remove(words, true)->failed());
  world.run_until_quiet();
  EXPECT_EQ(world.platform.listed, 0u);
}

TEST(ManyLinksTest, WhatOthersTakeFromOneOfManyIsPutBack) {
  ManyDressed world;
  const auto index = world.platform.links.at("t5").info.index;
  std::erase_if(world.platform.journal, [](const auto&) { return true; });
  world.platform.others_remove_address("t5", prefix_of("10.0.0.1/32"));
  world.run_until_quiet();
  EXPECT_TRUE(world.dressed(5));
  const auto route = std::ranges::find_if(world.platform.route_list, [&](const auto& one) {
    return one.interface_index == index && one.destination == prefix_of("10.2.5.0/24");
  });
  ASSERT_NE(route, world.platform.route_list.end());
  world.platform.others_remove_route(platform::Route(*route));
  EXPECT_FALSE(world.dressed(5));
  world.run_until_quiet();
  EXPECT_TRUE(world.dressed(5));
  world.platform.others_delete_link("t5");
  world.run_until_quiet();
  EXPECT_TRUE(world.dressed(5));
  EXPECT_TRUE(world.carrier("t5"));
}

// Nobody is told that routes go with a tunnel's last address.
TEST(ManyLinksTest, ARouteComesBackWithTheAddressThatItWentWith) {
  ManyDressed world;
  ASSERT_TRUE(world.engine->addresses().delete_address("t5/v4"));
  world.run_until_quiet();
  EXPECT_FALSE(world.dressed(5));
  EXPECT_FALSE(world.leak("10.2.5.9")) << "closed, as it was";
  ASSERT_TRUE(world.create_address("t5", ManyDressed::peer(5).c_str()));
  world.run_until_quiet();
  EXPECT_TRUE(world.dressed(5));
}

TEST(ManyLinksTest, WhereverTheDaemonDiesAnAddressAndARouteAmongManyAreThereOrNot) {
  for (const char* point : {"ipadm.conf.journal:opened", "ipadm.conf.journal:written", "ipadm.conf.journal:synced",
                            "static_routes.journal:opened", "static_routes.journal:written",
                            "static_routes.journal:synced", "ipadm.conf:renamed", "static_routes:renamed"}) {
    SCOPED_TRACE(point);
    ManyDressed world;
    const std::string_view at = point;
    for (int i = 40; i < 70; ++i) ASSERT_TRUE(world.dress(i));  // so many that routes have a journal too
    many_crash_at = point;
    set_crash_hook([](std::string_view name) {
      if (name == many_crash_at) throw Killed{};
    });
    EXPECT_THROW(
        {
          (void)world.dress(70);
          world.clock.advance(Seconds(2));
          world.engine->tick();
        },
        Killed);
    set_crash_hook(nullptr);
    world.kill();
    ASSERT_TRUE(world.start());
    for (int i = 0; i < 70; ++i) ASSERT_TRUE(world.dressed(i)) << i;
    const bool address = at != "ipadm.conf.journal:opened";
    EXPECT_EQ(world.address_stands(70), address);
    EXPECT_EQ(world.route_stands(70), address && !at.starts_with("ipadm.conf.journal")) << "the kernel keeps it";
    world.reboot();
    ASSERT_TRUE(world.start());
    for (int i = 0; i < 70; ++i) ASSERT_TRUE(world.dressed(i)) << i;
    EXPECT_EQ(world.address_stands(70), address);
    EXPECT_EQ(world.route_stands(70),
              address && !at.starts_with("ipadm.conf.journal") && at != "static_routes.journal:opened");
  }
}

}  // namespace
}  // namespace adit::engine
