#include "spd/conflict.h"

#include <gtest/gtest.h>

#include "spd/testing/samples.h"

namespace adit::spd {
namespace {

using namespace samples;

Rule rule(Selector selector, Action action = gcm(), uint32_t priority = 10) {
  Rule made{.priority = priority, .selector = std::move(selector)};
  made.actions = {std::move(action)};
  return made;
}

Selector to(const char* network) {
  return {.remote = prefix(network)};
}

TEST(Conflict, OverlapNeedsOnePacketThatMatchesBoth) {
  const struct {
    Selector a, b;
    bool meet;
  } cases[] = {
      {{}, {}, true},
      {{}, to("10.0.0.0/8"), true},
      {to("10.0.0.0/8"), to("10.1.0.0/16"), true},
      {to("10.1.0.0/16"), to("10.2.0.0/16"), false},
      {{.local = prefix("10.1.0.0/16")}, {.remote = prefix("10.2.0.0/16")}, true},
      {{.protocol = 6}, {.protocol = 17}, false},
      {{.protocol = 6}, to("10.0.0.0/8"), true},
      {{.local_port = 53}, {.remote_port = 53}, true},
      {{.local_port = 53}, {.local_port = 80}, false},
      {{.icmp = IcmpRange{8, 8, 255, 255}}, {.local_port = 53}, false},
      {{.icmp = IcmpRange{0, 5, 255, 255}}, {.icmp = IcmpRange{5, 9, 255, 255}}, true},
      {{.icmp = IcmpRange{0, 4, 255, 255}}, {.icmp = IcmpRange{5, 9, 255, 255}}, false},
      {{.icmp = IcmpRange{3, 3, 0, 1}}, {.icmp = IcmpRange{3, 3, 1, 4}}, true},
      {{.icmp = IcmpRange{3, 3, 0, 1}}, {.icmp = IcmpRange{3, 3, 2, 4}}, false},
  };
  int number = 0;
  for (const auto& one : cases) {
    EXPECT_EQ(overlap(rule(one.a), rule(one.b)), one.meet) << number;
    EXPECT_EQ(overlap(rule(one.b), rule(one.a)), one.meet) << number;
    ++number;
  }
  Rule inbound = rule({}), v6 = rule({});
  inbound.direction = Direction::in;
  v6.family = net::Family::v6;
  EXPECT_FALSE(overlap(rule({}), inbound));
  EXPECT_FALSE(overlap(rule({}), v6));
}

TEST(Conflict, CoversLooksAtWhatBothOthersMatch) {
  EXPECT_TRUE(covers(rule({}), rule(to("10.0.0.0/8")), rule({})));
  EXPECT_TRUE(covers(rule(to("10.0.0.0/8")), rule({}), rule(to("10.1.0.0/16"))));
  EXPECT_FALSE(covers(rule(to("10.1.0.0/16")), rule({}), rule(to("10.0.0.0/8"))));
  EXPECT_FALSE(covers(rule({.protocol = 6}), rule({}), rule({})));
  EXPECT_TRUE(covers(rule({.protocol = 6}), rule({.protocol = 6}), rule({})));
}

TEST(Conflict, TakesByPriorityUnlessBothSayTheSame) {
  EXPECT_TRUE(takes_from(rule({}, gcm(), 11), rule({}, gcm(), 10), false));
  EXPECT_TRUE(takes_from(rule({}, gcm(), 10), rule({}, gcm(), 10), false));
  EXPECT_FALSE(takes_from(rule({}, gcm(), 9), rule({}, gcm(), 10), false));
  EXPECT_FALSE(takes_from(rule({}, drop(), 11), rule({}, drop(), 10), false));
  EXPECT_FALSE(takes_from(rule({}, bypass(), 11), rule({}, bypass(), 10), false));
  EXPECT_TRUE(takes_from(rule({}, bypass(), 11), rule({}, drop(), 10), false));
  EXPECT_TRUE(takes_from(rule({}, drop(), 11), rule({}, gcm(), 10), false));
  EXPECT_FALSE(takes_from(rule(to("10.1.0.0/16"), drop(), 11), rule(to("10.2.0.0/16"), gcm(), 10), false));
}

TEST(Conflict, RulesOfTheHostMayCross) {
  const Rule server = rule({.remote = prefix("10.0.0.1/32"), .remote_port = 2049}, drop(), 10);
  const Rule dns = rule({.local_port = 53}, bypass(), 11);
  EXPECT_FALSE(takes_from(dns, server, true));
  EXPECT_TRUE(takes_from(dns, server, false));
  EXPECT_TRUE(takes_from(rule({.remote_port = 2049}, bypass(), 11), server, true));
  EXPECT_TRUE(takes_from(rule({.remote = prefix("10.0.0.1/32"), .local_port = 53, .remote_port = 2049}, bypass(), 11),
                         server, true));
}

}  // namespace
}  // namespace adit::spd
