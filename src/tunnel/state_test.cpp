#include "tunnel/state.h"

#include <gtest/gtest.h>

namespace adit::tunnel {
namespace {

LinkFacts facts_of(unsigned bits) {
  return {.exists = (bits & 1) != 0,
          .adopted = (bits & 2) != 0,
          .admin_up = (bits & 4) != 0,
          .bound = (bits & 8) != 0,
          .secured = (bits & 16) != 0,
          .policy = (bits & 32) != 0};
}
constexpr unsigned kAll = 64;
constexpr LinkFacts kOpen{
    .exists = true, .adopted = true, .admin_up = true, .bound = true, .secured = true, .policy = true};

TEST(LinkState, TheInvariantsHoldForEveryCombinationOfFacts) {
  for (unsigned bits = 0; bits < kAll; ++bits) {
    const LinkFacts facts = facts_of(bits);
    const LinkState state = link_state("tun0", facts);
    EXPECT_EQ(state.usable, link_usable(facts));
    EXPECT_FALSE(state.carrier && !state.usable) << "a carrier would promise what is not kept";
    EXPECT_FALSE(state.usable && facts.secured && !facts.policy) << "I1, I2";
    EXPECT_FALSE(state.usable && !facts.adopted) << "I4";
    EXPECT_FALSE(state.usable && !(facts.exists && facts.bound && facts.admin_up));
    EXPECT_EQ(state.why_closed.empty(), state.usable) << "a closed link says why";
  }
}

// I5: taking a policy, the device, the daemon or the interface away never opens.
TEST(LinkState, LosingAnythingNeverOpens) {
  for (unsigned bits = 0; bits < kAll; ++bits) {
    for (const unsigned lost : {1u, 2u, 4u, 8u, 32u}) {
      EXPECT_FALSE(link_usable(facts_of(bits & ~lost)) && !link_usable(facts_of(bits))) << bits << " without " << lost;
    }
    EXPECT_FALSE(link_usable(facts_of(bits | 16)) && !link_usable(facts_of(bits & ~16u))) << "-S only ever closes";
  }
}

TEST(LinkState, OpensWhenAllIsThere) {
  EXPECT_TRUE(link_state("tun0", kOpen).usable);
  EXPECT_TRUE(link_state("tun0", kOpen).carrier);
  LinkFacts plain = kOpen;
  plain.secured = plain.policy = false;
  EXPECT_TRUE(link_usable(plain));
}

TEST(LinkState, SaysWhatIsClosedWhyAndWhatOpensIt) {
  LinkFacts facts = kOpen;
  facts.policy = false;
  EXPECT_EQ(link_state("v4_bob0", facts).why_closed,
            "v4_bob0 carries nothing: it requires security and has no policy; load rules that name it, with ipsecconf "
            "-a FILE");
  facts = kOpen;
  facts.bound = false;
  EXPECT_NE(link_state("v4_bob0", facts).why_closed.find("dladm modify-iptun -a local=ADDRESS,remote=ADDRESS v4_bob0"),
            std::string::npos);
  facts = kOpen;
  facts.admin_up = false;
  EXPECT_NE(link_state("v4_bob0", facts).why_closed.find("ipadm create-addr"), std::string::npos);
  facts = kOpen;
  facts.adopted = false;
  EXPECT_NE(link_state("v4_bob0", facts).why_closed.find("aditd has not finished loading"), std::string::npos);
  facts = kOpen;
  facts.exists = false;
  EXPECT_NE(link_state("v4_bob0", facts).why_closed.find("its network device is missing"), std::string::npos);
}

}  // namespace
}  // namespace adit::tunnel
