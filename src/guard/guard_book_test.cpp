// The three files of the guard's book, of which any one may be lost, cut, older, or refuse what the others took:
// nothing promised is forgotten by that, and what a command opened does not come back closed.
#include "engine/testing/engine_world.h"

namespace adit::engine {
namespace {

constexpr const char* kDisk = "/etc/adit/guard.book";
constexpr const char* kCopy = "/etc/adit/guard.book.copy";
constexpr const char* kRun = "/run/guard.book";
constexpr const char* kNetwork = "10.70.0.0/16";

// t0, secured, and 10.0.1.1/32 closed by its address; t1, secured too.
void with_tunnels(EngineWorld& world, bool temporary = false) {
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(world.load_policy(EngineWorld::protect_all("t0") + EngineWorld::protect_all("t1")));
  ASSERT_TRUE(world.create("t0", true, "5.6.7.8", temporary));
  ASSERT_TRUE(world.create_address("t0"));
  ASSERT_TRUE(world.create("t1", true, "5.6.7.9"));
}
Result<> close(EngineWorld& world, const char* network, const char* tunnel) {
  return world.engine->guard().close(prefix_of(network), tunnel);
}
Result<> open(EngineWorld& world, const char* network) {
  return world.engine->guard().open(prefix_of(network));
}
bool holds(const EngineWorld& world, const char* network, const char* tunnel) {
  const auto* entry = world.engine->guard().book().find(prefix_of(network));
  return entry != nullptr && entry->held_by(tunnel);
}

// While it lives nothing can be written there, and then it is as it was.
class Refusing {
 public:
  explicit Refusing(std::string path) : path_(std::move(path)) {
    std::filesystem::rename(path_, path_ + ".aside");
    std::filesystem::create_directories(path_ + "/in the way");
  }
  ~Refusing() {
    std::filesystem::remove_all(path_);
    std::filesystem::rename(path_ + ".aside", path_);
  }
  Refusing(const Refusing&) = delete;
  Refusing& operator=(const Refusing&) = delete;

 private:
  std::string path_;
};

class KilledAt {
 public:
  explicit KilledAt(std::string point) {
    wanted() = std::move(point);
    set_crash_hook([](std::string_view here) {
      if (here == wanted()) throw Killed{};
    });
  }
  ~KilledAt() { set_crash_hook(nullptr); }

 private:
  static std::string& wanted() {
    static std::string point;
    return point;
  }
};

// ---- what a command opened

struct Loss {
  const char *first, *second;  // emptied; then, with another file of that name, which still has what was opened since
  bool old;                    // the second is from yesterday; else cut
};
class OpenedStaysOpen : public ::testing::TestWithParam<Loss> {};

TEST_P(OpenedStaysOpen, WhenOneFileIsWrittenAnewAndTheOtherForgetsTheOpening) {
  const auto& [first, second, old] = GetParam();
  EngineWorld world;
  with_tunnels(world);
  ASSERT_TRUE(close(world, kNetwork, "t0"));
  const std::string yesterday = world.file(second);
  ASSERT_TRUE(open(world, kNetwork));
  world.kill();
  world.write(first, "");
  ASSERT_TRUE(world.start());
  world.reboot();
  if (old)
    world.write(second, yesterday);
  else
    std::filesystem::resize_file(world.root + second, yesterday.size() + 10);
  ASSERT_TRUE(world.start());
  EXPECT_FALSE(world.engine->guard().guards(prefix_of(kNetwork)));
  EXPECT_TRUE(world.leak("10.70.0.9"));
  EXPECT_TRUE(holds(world, "10.0.1.1/32", "t0")) << "and that alone";
}

INSTANTIATE_TEST_SUITE_P(Book, OpenedStaysOpen,
                         ::testing::Values(Loss{kDisk, kCopy, false}, Loss{kCopy, kDisk, false},
                                           Loss{kDisk, kCopy, true}, Loss{kCopy, kDisk, true}));

TEST(Book, OpenedAndTheLastItDoesNotComeBackWithAnOldCopyOfAFileThatIsEmptyNow) {
  EngineWorld world;
  with_tunnels(world);
  ASSERT_TRUE(close(world, kNetwork, "t1"));
  const std::string yesterday = world.file(kCopy);
  ASSERT_TRUE(world.engine->links().remove("t0", false, false, true));
  ASSERT_TRUE(world.engine->links().remove("t1", false, false, true));
  ASSERT_TRUE(world.engine->guard().book().networks().empty());
  world.kill();
  std::filesystem::remove(world.root + kDisk);
  ASSERT_TRUE(world.start());
  world.reboot();
  world.write(kCopy, yesterday);
  ASSERT_TRUE(world.start());
  EXPECT_TRUE(world.engine->guard().book().networks().empty());
}

TEST(Book, CutWhereItWasWrittenAnewItSaysNothingOfWhatItNoLongerNames) {
  EngineWorld world;
  with_tunnels(world);
  ASSERT_TRUE(close(world, kNetwork, "t0"));
  world.kill();
  world.write(kDisk, "");
  ASSERT_TRUE(world.start());
  const std::string anew = world.file(kDisk);
  for (size_t size = 0; size <= anew.size(); ++size) {
    world.reboot();
    world.write(kDisk, anew.substr(0, size));
    ASSERT_TRUE(world.start()) << size;
    ASSERT_TRUE(holds(world, kNetwork, "t0")) << size;
    ASSERT_TRUE(holds(world, "10.0.1.1/32", "t0")) << size;
  }
}

// ---- temporary tunnels: the files on disk know nothing of their holds

TEST(Book, WrittenAnewOnDiskItTakesNoHoldFromATemporaryTunnel) {
  EngineWorld world;
  with_tunnels(world, true);
  ASSERT_TRUE(close(world, kNetwork, "t1"));
  ASSERT_TRUE(close(world, kNetwork, "t0"));
  std::filesystem::resize_file(world.root + kDisk, 200);
  ASSERT_TRUE(close(world, "10.71.0.0/16", "t1")) << "which writes the file anew";
  world.kill();
  ASSERT_TRUE(world.start());
  ASSERT_TRUE(holds(world, kNetwork, "t0"));
  ASSERT_TRUE(world.engine->links().remove("t1", false, false, true));
  EXPECT_TRUE(world.closed(kNetwork)) << "t0 is there, and promises it";
  EXPECT_FALSE(world.leak("10.70.0.9"));
}

TEST(Book, KilledBeforeTheBootsFileHasItAReleaseTakesNoHoldFromATemporaryTunnel) {
  for (const char* point : {"guard.book:synced", "guard.copy:synced", "guard.run:opened"}) {
    EngineWorld world;
    with_tunnels(world, true);
    ASSERT_TRUE(close(world, kNetwork, "t1"));
    ASSERT_TRUE(close(world, kNetwork, "t0"));
    bool killed = false;
    try {
      const KilledAt here(point);
      (void)world.engine->guard().drop({{prefix_of(kNetwork), "t1", GuardSource::closed}},
                                       {Opening::release, "a test"});
    } catch (const Killed&) {
      killed = true;
    }
    ASSERT_TRUE(killed) << point;
    world.kill();
    ASSERT_TRUE(world.start());
    EXPECT_TRUE(holds(world, kNetwork, "t0")) << point;
    EXPECT_TRUE(world.closed(kNetwork)) << point;
  }
}

TEST(Book, OfATemporaryTunnelNothingOutlivesABoot) {
  EngineWorld world;
  with_tunnels(world, true);
  ASSERT_TRUE(close(world, kNetwork, "t0"));
  for (const char* path : {kDisk, kCopy}) std::filesystem::remove(world.root + path);
  ASSERT_TRUE(close(world, "10.71.0.0/16", "t1")) << "which writes them anew";
  world.reboot();
  ASSERT_TRUE(world.start());
  EXPECT_FALSE(world.engine->guard().guards(prefix_of(kNetwork)));
  EXPECT_TRUE(world.engine->guard().guards(prefix_of("10.71.0.0/16")));
}

// ---- what one file refuses

TEST(Book, AnOpeningThatOneFileRefusesIsNotInThoseThatWereWrittenAnewForIt) {
  for (const char* refusing : {kCopy, kRun}) {
    SCOPED_TRACE(refusing);
    EngineWorld world;
    with_tunnels(world);
    ASSERT_TRUE(close(world, kNetwork, "t1"));
    for (const char* path : {kDisk, kCopy})
      if (path != refusing) std::filesystem::resize_file(world.root + path, 120);
    {
      const Refusing here(world.root + refusing);
      ASSERT_FALSE(open(world, kNetwork));
    }
    if (refusing == kCopy) world.write(kCopy, "");
    world.reboot();
    EXPECT_FALSE(world.leak("10.70.0.9")) << "as a boot finds it";
    ASSERT_TRUE(world.start());
    EXPECT_TRUE(world.closed(kNetwork));
  }
}

TEST(Book, AFileThatSomebodyCutIsNotFilledUpWhenAnotherRefuses) {
  EngineWorld world;
  with_tunnels(world, true);
  ASSERT_TRUE(close(world, "10.71.0.0/16", "t1"));
  std::filesystem::resize_file(world.root + kDisk, 120);
  {
    const Refusing here(world.root + kRun);
    ASSERT_FALSE(close(world, kNetwork, "t0")) << "temporary: in no file on disk";
  }
  EXPECT_EQ(world.file(kDisk).find('\0'), std::string::npos);
}

TEST(Book, AnInterfaceThatOneFileRefusesIsNotInsideAtTheNextStart) {
  for (const char* refusing : {kCopy, kRun}) {
    SCOPED_TRACE(refusing);
    EngineWorld world;
    with_tunnels(world);
    {
      const Refusing here(world.root + refusing);
      ASSERT_FALSE(world.engine->guard().set_inside("net1", true));
    }
    world.kill();
    ASSERT_TRUE(world.start());
    EXPECT_FALSE(world.engine->guard().book().inside().contains("net1"));
    EXPECT_TRUE(world.engine->guard().set_inside("net1", true)) << "asked again, it is";
  }
}

TEST(Book, AnInterfaceThatTheLayersDidNotTakeIsNotInsideAtTheNextStart) {
  EngineWorld world;
  with_tunnels(world);
  ASSERT_TRUE(close(world, "10.0.0.0/8", "t0"));
  (void)world.platform.add_address("net1", prefix_of("10.99.0.1/24"), {});
  world.run_until_quiet();
  world.platform.fail_call("change_guard", 1, EIO);
  ASSERT_FALSE(world.engine->guard().set_inside("net1", true));
  world.kill();
  ASSERT_TRUE(world.start());
  EXPECT_FALSE(world.engine->guard().book().inside().contains("net1"));
}

}  // namespace
}  // namespace adit::engine
