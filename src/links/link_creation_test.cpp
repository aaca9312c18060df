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

}  // namespace
}  // namespace adit::engine
