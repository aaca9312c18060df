#include "tunnel/state.h"

#include <gtest/gtest.h>

namespace adit::tunnel {
namespace {

LinkFacts facts_of(unsigned bits) {
  LinkFacts facts{.exists = (bits & 1) != 0,
                  .adopted = (bits & 2) != 0,
                  .service = (bits & 4) != 0,
                  .bound = (bits & 8) != 0,
                  .secured = (bits & 16) != 0,
                  .policy = (bits & 32) != 0,
                  .half_deleted = (bits & 64) != 0,
                  .guard_off = (bits & 128) != 0};
  if ((bits & 256) != 0) facts.broken_policy = "ipsec:1:1: no";
  if ((bits & 512) != 0) facts.lost_policy = "they are in no file";
  if ((bits & 1024) != 0) facts.unresolved_name = "bob";
  return facts;
}
constexpr unsigned kAll = 2048;
bool usable(const LinkFacts& facts) {
  return !closed_by(facts);
}
LinkFacts open_facts() {
  return {.exists = true, .adopted = true, .service = true, .bound = true, .secured = true, .policy = true};
}

TEST(LinkState, TheInvariantsHoldForEveryCombinationOfFacts) {
  for (unsigned bits = 0; bits < kAll; ++bits) {
    const LinkFacts facts = facts_of(bits);
    const LinkState state = link_state("tun0", facts);
    EXPECT_EQ(state.usable, usable(facts));
    EXPECT_FALSE(state.carrier && !state.usable) << "a carrier would promise what is not kept";
    EXPECT_FALSE(state.usable && needs_policy(facts) && !facts.policy) << "I1, I2";
    EXPECT_FALSE(state.usable && !facts.adopted) << "I4";
    EXPECT_FALSE(state.usable && !(facts.exists && facts.bound && facts.service));
    EXPECT_FALSE(state.usable && (facts.half_deleted || !facts.broken_policy.empty()));
    EXPECT_FALSE(state.usable && facts.secured && facts.guard_off) << "I7";
    EXPECT_EQ(state.why_closed.empty(), state.usable) << "a closed link says why";
  }
}

// I5: taking a policy, the device, the daemon or the service away never opens, nor does anything that goes wrong.
TEST(LinkState, LosingAnythingNeverOpens) {
  for (unsigned bits = 0; bits < kAll; ++bits) {
    for (const unsigned lost : {1u, 2u, 4u, 8u, 32u})
      EXPECT_FALSE(usable(facts_of(bits & ~lost)) && !usable(facts_of(bits))) << bits << " without " << lost;
    for (const unsigned closes : {16u, 64u, 128u, 256u, 512u, 1024u})
      EXPECT_FALSE(usable(facts_of(bits | closes)) && !usable(facts_of(bits & ~closes))) << bits << " with " << closes;
  }
}

TEST(LinkState, OpensWhenAllIsThere) {
  EXPECT_TRUE(link_state("tun0", open_facts()).usable);
  EXPECT_TRUE(link_state("tun0", open_facts()).carrier);
  LinkFacts plain = open_facts();
  plain.secured = plain.policy = false;
  EXPECT_TRUE(usable(plain));
  plain.lost_policy = "they are in no file";
  EXPECT_EQ(closed_by(plain), Closed::lost_policy);
  plain.policy = true;
  EXPECT_TRUE(usable(plain)) << "it has rules again";
}

TEST(LinkState, SaysWhatIsClosedWhyAndWhatOpensIt) {
  struct Case {
    void (*change)(LinkFacts&);
    const char* name;
    const char* says;
  };
  const Case cases[] = {
      {[](LinkFacts& facts) { facts.policy = false; }, "no_policy",
       "v4_bob0 carries nothing: it requires security and has no policy; load rules that name it, with ipsecconf -a "
       "FILE"},
      {[](LinkFacts& facts) { facts.bound = false; }, "unbound",
       "dladm modify-iptun -a local=ADDRESS,remote=ADDRESS v4_bob0"},
      {[](LinkFacts& facts) { facts.service = false; }, "service_off", "`svcadm enable network/iptun` opens it"},
      {[](LinkFacts& facts) { facts.adopted = false; }, "not_adopted", "aditd has not finished loading"},
      {[](LinkFacts& facts) { facts.exists = false; }, "no_device", "its network device is missing"},
      {[](LinkFacts& facts) { facts.half_deleted = true; }, "half_deleted", "`dladm delete-iptun -r v4_bob0` goes on"},
      {[](LinkFacts& facts) { facts.broken_policy = "ipsec:1:3: no"; }, "broken_policy", "no rules: ipsec:1:3: no;"},
      {[](LinkFacts& facts) {
         facts.exists = false;
         facts.broken_device = "its group is taken";
       },
       "broken_device", "cannot be made: its group is taken;"},
      {[](LinkFacts& facts) {
         facts.bound = false;
         facts.unresolved_name = "bob";
       },
       "unresolved", "'bob' does not resolve"}};
  for (const Case& one : cases) {
    LinkFacts facts = open_facts();
    one.change(facts);
    const LinkState state = link_state("v4_bob0", facts);
    ASSERT_TRUE(state.closed) << one.name;
    EXPECT_EQ(name_of(*state.closed), one.name);
    EXPECT_NE(state.why_closed.find(one.says), std::string::npos) << state.why_closed;
  }
}

}  // namespace
}  // namespace adit::tunnel
