#include "path/ike_sockets.h"

#include "engine/testing/engine_world.h"
#include "ike/door/testing/fake_port.h"

namespace adit::engine {
namespace {

using net::Family;

class IkeSocketsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    world_.platform.ike_port = port_;
    world_.platform.sockets_of_500 = {{Family::v4, 54}, {Family::v6, 56}};
    ASSERT_TRUE(world_.start());
  }
  using Given = std::pair<ike::Handed, int>;
  KeyManager manager(pid_t pid = 100) {
    return {.pid = pid,
            .hand = [this](ike::Handed what, int fd) -> Result<> {
              if (refuses_) return fail(EPIPE, "gone");
              given_.emplace_back(what, fd);
              return {};
            },
            .dismiss = [this] { ++dismissed_; }};
  }
  IkeSockets& sockets() { return world_.engine->ike_sockets(); }
  // Whether what in.iked puts into the pair leaves.
  bool is_sent_for() {
    port_->send({address_of("1.2.3.4"), address_of("5.6.7.8"), 4500, std::vector<uint8_t>(40, 1)});
    auto& sent = world_.platform.wires[0]->sent;
    sent.clear();
    world_.engine->dataplane().run_once();
    return !sent.empty();
  }
  [[nodiscard]] size_t told() const {
    size_t count = 0;
    for (const auto& event : world_.engine->events().since(0)) count += event.kind == EventKind::ike_sockets;
    return count;
  }

  const std::shared_ptr<ike::FakePort> port_ = std::make_shared<ike::FakePort>();
  EngineWorld world_;
  std::vector<Given> given_;
  int dismissed_ = 0;
  bool refuses_ = false;
};

TEST_F(IkeSocketsTest, AKeyManagerGetsAllThatThereIsAndTheWorkersServeIt) {
  EXPECT_FALSE(is_sent_for());
  ASSERT_TRUE(sockets().admit(manager()));
  EXPECT_EQ(given_, (std::vector<Given>{
                        {ike::Handed::pair, 1000}, {ike::Handed::udp500_v4, 54}, {ike::Handed::udp500_v6, 56}}));
  EXPECT_TRUE(world_.platform.listens_on_500);
  EXPECT_TRUE(is_sent_for());
  world_.engine->tick();
  EXPECT_EQ(given_.size(), 3u) << "each once";
  EXPECT_EQ(told(), 1u);
}

TEST_F(IkeSocketsTest, OneAtATime) {
  ASSERT_TRUE(sockets().admit(manager(100)));
  const auto second = sockets().admit(manager(200));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EBUSY);
  EXPECT_NE(second.error().text.find("100"), std::string::npos) << second.error().text;
  EXPECT_EQ(given_.size(), 3u);
  EXPECT_TRUE(is_sent_for()) << "the first has them still";
}

TEST_F(IkeSocketsTest, WhenItIsGoneNobodyIsServedAndTheNextGetsANewPair) {
  ASSERT_TRUE(sockets().admit(manager()));
  sockets().take_back();
  EXPECT_FALSE(world_.platform.listens_on_500);
  EXPECT_FALSE(is_sent_for());
  sockets().take_back();
  EXPECT_EQ(told(), 2u);
  world_.platform.ike_far = 2000;
  given_.clear();
  ASSERT_TRUE(sockets().admit(manager()));
  EXPECT_EQ(given_[0], Given(ike::Handed::pair, 2000));
  EXPECT_EQ(given_.size(), 3u);
}

TEST_F(IkeSocketsTest, WhatComesLateIsHandedOverWhenItComes) {
  world_.platform.sockets_of_500.erase(Family::v4);
  ASSERT_TRUE(sockets().admit(manager()));
  EXPECT_EQ(given_.size(), 2u);
  world_.platform.sockets_of_500[Family::v4] = 64;
  world_.engine->tick();
  EXPECT_EQ(given_.back(), Given(ike::Handed::udp500_v4, 64));
  world_.engine->tick();
  EXPECT_EQ(given_.size(), 3u);
}

TEST_F(IkeSocketsTest, AClosedPairEndsIt) {
  ASSERT_TRUE(sockets().admit(manager()));
  port_->close();
  world_.engine->tick();
  EXPECT_EQ(dismissed_, 1);
  EXPECT_FALSE(world_.platform.listens_on_500);
  world_.engine->tick();
  EXPECT_EQ(dismissed_, 1);
  world_.platform.ike_port = std::make_shared<ike::FakePort>();
  EXPECT_TRUE(sockets().admit(manager()));
}

TEST_F(IkeSocketsTest, WhatFailsLeavesTheDoorOpenForTheNext) {
  refuses_ = true;
  EXPECT_FALSE(sockets().admit(manager()));
  EXPECT_FALSE(is_sent_for());
  refuses_ = false;
  world_.platform.ike_port = nullptr;
  EXPECT_FALSE(sockets().admit(manager()));
  EXPECT_FALSE(world_.platform.listens_on_500);
  EXPECT_EQ(told(), 0u);
  world_.platform.ike_port = port_;
  EXPECT_TRUE(sockets().admit(manager()));
}

}  // namespace
}  // namespace adit::engine
