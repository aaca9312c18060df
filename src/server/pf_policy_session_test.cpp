#include "server/pf_policy_session.h"

#include <adit/pfpolicy.h>
#include <gtest/gtest.h>

#include "protocol/pf_policy/actions.h"
#include "protocol/pf_policy/algorithms.h"
#include "protocol/pf_policy/client.h"
#include "protocol/pf_policy/codec.h"
#include "server/testing/fake_policy_access.h"

namespace adit::protocol {
namespace {

spd::Action gcm() {
  return {.verb = spd::Verb::ipsec, .encr = spd::Cipher{crypto::EncrAlg::aes_gcm16, {128, 256}}};
}

class PolicySessionTest : public ::testing::Test {
 protected:
  std::vector<PolicyMessage> ask(PolicySession& session, PolicyMessage request) {
    session.handle(encode_policy(request));
    std::vector<PolicyMessage> answers;
    while (session.pending()) {
      auto answer = decode_policy(session.front());
      EXPECT_TRUE(answer.has_value());
      answers.push_back(std::move(*answer));
      session.pop();
    }
    return answers;
  }
  PolicyMessage one(PolicyMessage request) {
    const auto answers = ask(session_, std::move(request));
    EXPECT_EQ(answers.size(), 1u);
    return answers.front();
  }
  static PolicyMessage add(const std::string& head, spd::Action action, uint8_t spdid = SPD_ACTIVE,
                           const std::string& name_space = "") {
    PolicyMessage message = policy_request(PolicyCommand::add_rule, spdid, head, name_space);
    message.rule = PolicyRuleExt{
        0x4fffff, SPD_RULE_FLAG_INBOUND | SPD_RULE_FLAG_OUTBOUND | (head.empty() ? 0u : SPD_RULE_FLAG_TUNNEL), 0};
    message.actions = encode_actions(std::span(&action, 1));
    message.header.seq = 77;
    message.header.pid = 1234;
    return message;
  }
  static PolicyMessage command(PolicyCommand what, uint8_t spdid, const std::optional<std::string>& head,
                               const std::string& name_space = "") {
    return policy_request(what, spdid, head, name_space);
  }

  FakePolicyAccess access_;
  PolicySession session_{access_, {.uid = 0}};
};

TEST_F(PolicySessionTest, AnExceptionEndsTheRequestOnly) {
  access_.throws = true;
  PolicyMessage request = add("mytun0", gcm());
  request.text = "";
  const PolicyMessage refusal = one(request);
  EXPECT_EQ(refusal.header.error, ENOMEM);
  EXPECT_EQ(refusal.header.seq, 77u);
  EXPECT_NE(refusal.text.value_or("").find("memory"), std::string::npos);
  access_.throws = false;
  EXPECT_EQ(one(add("mytun0", gcm())).header.error, 0);
}

TEST_F(PolicySessionTest, WhoReadsSentencesHearsWhatBecameOfTunnels) {
  access_.opens = {"mytun0", "mytun1"};
  PolicyMessage request = command(PolicyCommand::flush, SPD_ACTIVE, std::nullopt);
  const auto bytes = encode_policy(request);
  session_.handle(bytes);
  EXPECT_EQ(std::vector<uint8_t>(session_.front().begin(), session_.front().end()), bytes) << "who reads none";
  session_.pop();
  request.text = "";
  const PolicyMessage told = one(request);
  EXPECT_EQ(told.header.error, 0);
  EXPECT_EQ(told.text, "mytun0 is OPEN\nmytun1 is OPEN");
  EXPECT_EQ(one(command(PolicyCommand::dump_algs, SPD_ACTIVE, "")).text, std::nullopt) << "of its own request only";
  access_.opens.clear();
  for (int i = 0; i < 1000; ++i) access_.opens.push_back(fmt::format("mytun{}", i));
  const std::string many = one(request).text.value_or("");
  EXPECT_LT(many.size(), 4000u);
  EXPECT_NE(many.find("tunnels more: 'adit status' names them"), std::string::npos);
}

TEST_F(PolicySessionTest, AddRuleEchoesWithTheLastIndex) {
  const PolicyMessage answer = one(add("mytun0", gcm()));
  EXPECT_EQ(answer.header.error, 0);
  EXPECT_EQ(answer.header.seq, 77u);
  EXPECT_EQ(answer.header.pid, 1234u);
  EXPECT_EQ(answer.rule->index, 4u);
  EXPECT_EQ(access_.db.size(), 4u);
}

TEST_F(PolicySessionTest, AnErrorIsTheHeaderAloneUnlessSentencesAreAsked) {
  ASSERT_EQ(one(add("mytun0", gcm())).header.error, 0);
  session_.handle(encode_policy(add("mytun0", gcm())));
  EXPECT_EQ(session_.front().size(), 16u);
  EXPECT_EQ(decode_policy(session_.front())->header.error, EEXIST);
  session_.pop();
  PolicyMessage request = add("mytun0", gcm());
  request.text = "";
  EXPECT_EQ(*one(request).text, "tunnel mytun0 has the same entry already, index 1");
}

TEST_F(PolicySessionTest, RefusalsOfTheReference) {
  const auto refusal = [&](PolicyMessage request) {
    const auto header = one(std::move(request)).header;
    return std::pair<int, int>(header.error, header.diagnostic);
  };
  PolicyMessage message = add("mytun0", gcm());
  message.rule.reset();
  EXPECT_EQ(refusal(message), std::pair(EINVAL, SPD_DIAGNOSTIC_NO_RULE_EXT));
  message = add("mytun0", gcm());
  message.actions.reset();
  EXPECT_EQ(refusal(message), std::pair(EINVAL, SPD_DIAGNOSTIC_NO_ACTION_EXT));
  message = add("mytun0", gcm());
  message.rule->index = 3;
  EXPECT_EQ(refusal(message), std::pair(EINVAL, SPD_DIAGNOSTIC_INVALID_RULE_INDEX));
  message = add("mytun0", gcm());
  message.rule->flags &= ~uint32_t{SPD_RULE_FLAG_TUNNEL};
  message.selector.protocol = 6;
  EXPECT_EQ(refusal(message), std::pair(EINVAL, SPD_DIAGNOSTIC_NO_TUN_SELECTORS));
  message = add("mytun0", gcm());
  message.tunnel = "";
  EXPECT_EQ(refusal(message), std::pair(EINVAL, SPD_DIAGNOSTIC_NOT_GLOBAL_OP));
  EXPECT_EQ(refusal(add("", gcm())), std::pair(ENOTSUP, SPD_DIAGNOSTIC_HOST_IPSEC));
  spd::Action odd = gcm();
  odd.encr->alg = crypto::EncrAlg(99);
  EXPECT_EQ(refusal(add("mytun0", odd)), std::pair(EINVAL, SPD_DIAGNOSTIC_UNSUPP_ESP_ENCR_ALG));
  EXPECT_EQ(refusal(command(PolicyCommand::flush, SPD_ACTIVE, "nowhere0")), std::pair(ENOENT, 0));
  EXPECT_EQ(refusal(command(PolicyCommand::clone, SPD_ACTIVE, "nowhere0")), std::pair(ENOENT, 0));
  EXPECT_EQ(refusal(command(PolicyCommand::flip, SPD_ACTIVE, "nowhere0")), std::pair(ESRCH, 0));
  EXPECT_EQ(refusal(command(PolicyCommand::dump, SPD_ACTIVE, "nowhere0")), std::pair(ENOENT, 0));
  ASSERT_EQ(one(add("mytun0", gcm())).header.error, 0);
  message = add("mytun0", gcm());
  message.rule->flags &= ~uint32_t{SPD_RULE_FLAG_TUNNEL};
  EXPECT_EQ(refusal(message), std::pair(EBUSY, 0));
}

// What a user writes stands in listings that root reads, and may give back: no name ends its line or its braces.
TEST_F(PolicySessionTest, NoNameAndNoOriginIsMoreThanAName) {
  for (const std::string name :
       {"vpn0\n{ } bypass { } #0", "vpn0 } bypass { } #0", "vpn*0", "vpn/../0", "vpn0{", "vpn 0"}) {
    const PolicyMessage refused = one(add(name, gcm()));
    EXPECT_EQ(refused.header.error, EINVAL) << name;
    EXPECT_EQ(refused.header.diagnostic, SPD_DIAGNOSTIC_MALFORMED_TUN_NAME) << name;
    EXPECT_EQ(one(add(name, gcm(), SPD_STANDBY)).header.error, EINVAL) << name;
  }
  PolicyMessage request = add("vpn0", gcm());
  request.origin = spd::Origin{"mine\n{ } bypass { }\n#", 1};
  const PolicyMessage refused = one(request);
  EXPECT_EQ(refused.header.error, EINVAL);
  EXPECT_EQ(refused.header.diagnostic, SPD_DIAGNOSTIC_MALFORMED_ORIGIN);
  request.origin->file = "mine";
  EXPECT_EQ(one(request).header.error, 0);
}

TEST_F(PolicySessionTest, WithoutADirectionNothingIsInstalled) {
  PolicyMessage message = add("mytun0", gcm());
  message.rule->flags = SPD_RULE_FLAG_TUNNEL;
  EXPECT_EQ(one(message).header.error, 0);
  EXPECT_EQ(access_.db.size(), 0u);
}

TEST_F(PolicySessionTest, WildcardAlgorithmsAreSpelledOut) {
  ASSERT_EQ(one(add("mytun0", {.verb = spd::Verb::ipsec, .encr = spd::Cipher{crypto::EncrAlg::none, {}}})).header.error,
            0);
  EXPECT_GT(access_.db.current()->find("mytun0")->rules().front().actions.size(), 5u);
}

TEST_F(PolicySessionTest, DeletesByIndexAndBySelectors) {
  ASSERT_EQ(one(add("mytun0", gcm())).header.error, 0);
  PolicyMessage message = command(PolicyCommand::delete_rule, SPD_ACTIVE, "mytun0");
  message.rule = PolicyRuleExt{0, SPD_RULE_FLAG_TUNNEL, 2};
  EXPECT_EQ(one(message).header.error, 0);
  EXPECT_EQ(one(message).header.error, ESRCH);
  message.rule = PolicyRuleExt{0, SPD_RULE_FLAG_TUNNEL | SPD_RULE_FLAG_OUTBOUND, 0};
  EXPECT_EQ(one(message).header.error, 0);
  EXPECT_EQ(access_.db.size(), 2u);  // the inbound ones
}

TEST_F(PolicySessionTest, DumpIsHeaderRulesTrailer) {
  ASSERT_EQ(one(add("", {.verb = spd::Verb::drop})).header.error, 0);
  ASSERT_EQ(one(add("mytun0", gcm())).header.error, 0);
  const auto host = ask(session_, command(PolicyCommand::dump, SPD_ACTIVE, ""));
  EXPECT_EQ(host.size(), 6u);
  const auto all = ask(session_, command(PolicyCommand::dump, SPD_ACTIVE, std::nullopt));
  ASSERT_EQ(all.size(), 10u);
  EXPECT_EQ(all.front().ruleset->count, 0u);
  EXPECT_FALSE(all[1].tunnel.has_value());
  EXPECT_EQ(*all[5].tunnel, "mytun0");
  EXPECT_EQ(all[5].rule->flags, uint32_t{SPD_RULE_FLAG_OUTBOUND | SPD_RULE_FLAG_TUNNEL});
  EXPECT_EQ(all[5].rule->index, 1u);
  EXPECT_EQ(all[7].rule->flags, uint32_t{SPD_RULE_FLAG_INBOUND | SPD_RULE_FLAG_TUNNEL});
  EXPECT_FALSE(all[5].name_space.has_value());  // who knows nothing of namespaces sees none
  EXPECT_EQ(all.back().ruleset->count, 8u);
  EXPECT_EQ(all.back().header.error, 0);
  EXPECT_EQ(all.back().ruleset->version, all.front().ruleset->version);
}

TEST_F(PolicySessionTest, ADumpTellsOnePictureAndItsTrailerThatItIsOld) {
  ASSERT_EQ(one(add("mytun0", gcm())).header.error, 0);
  session_.handle(encode_policy(command(PolicyCommand::dump, SPD_ACTIVE, "mytun0")));
  session_.pop();  // the header went out
  ASSERT_TRUE(access_.db.flush({}, "mytun0").has_value());
  size_t rules = 0;
  PolicyMessage last;
  while (session_.pending()) {
    last = decode_policy(session_.front()).value();
    rules += last.rule.has_value();
    session_.pop();
  }
  EXPECT_EQ(rules, 4u);
  EXPECT_EQ(last.header.error, EAGAIN);
  EXPECT_EQ(last.ruleset->count, 4u);
}

TEST_F(PolicySessionTest, HashedRulesComeFirstWithinADirection) {
  const auto add_to = [&](std::string_view remote) {
    PolicyMessage message = add("t0", gcm());
    if (!remote.empty()) message.selector.remote = net::Prefix::parse(remote).value();
    ASSERT_EQ(one(message).header.error, 0);
  };
  add_to("");
  add_to("10.0.0.1");
  std::vector<uint64_t> order;
  for (const PolicyMessage& message : ask(session_, command(PolicyCommand::dump, SPD_ACTIVE, "t0")))
    if (message.rule) order.push_back(message.rule->index);
  EXPECT_EQ(order, (std::vector<uint64_t>{5, 1, 2, 6, 3, 4}));
}

TEST_F(PolicySessionTest, StandbyIsTheConnectionsOwnUntilTheFlip) {
  ASSERT_EQ(one(add("a0", gcm())).header.error, 0);
  ASSERT_EQ(one(command(PolicyCommand::clone, SPD_ACTIVE, std::nullopt)).header.error, 0);
  ASSERT_EQ(one(add("b0", gcm(), SPD_STANDBY)).header.error, 0);
  PolicySession other(access_, {.uid = 0});
  EXPECT_EQ(ask(other, command(PolicyCommand::dump, SPD_STANDBY, std::nullopt)).size(), 2u);
  EXPECT_EQ(ask(session_, command(PolicyCommand::dump, SPD_STANDBY, std::nullopt)).size(), 10u);
  EXPECT_EQ(ask(session_, command(PolicyCommand::dump, SPD_ACTIVE, std::nullopt)).size(), 6u);
  ASSERT_EQ(one(command(PolicyCommand::flip, SPD_ACTIVE, std::nullopt)).header.error, 0);
  EXPECT_EQ(ask(session_, command(PolicyCommand::dump, SPD_ACTIVE, std::nullopt)).size(), 10u);
  EXPECT_EQ(ask(session_, command(PolicyCommand::dump, SPD_STANDBY, std::nullopt)).size(), 6u);
  ASSERT_EQ(one(command(PolicyCommand::flush, SPD_STANDBY, std::nullopt)).header.error, 0);
  EXPECT_EQ(access_.db.size(), 8u);
}

TEST_F(PolicySessionTest, AnOutdatedDraftIsRefusedUnlessForced) {
  ASSERT_EQ(one(add("b0", gcm(), SPD_STANDBY)).header.error, 0);
  ASSERT_TRUE(access_.db.add({}, "c0", {}).has_value());
  PolicySession other(access_, {.uid = 0});
  ASSERT_EQ(ask(other, add("a0", gcm())).front().header.error, 0);
  PolicyMessage flip = command(PolicyCommand::flip, SPD_ACTIVE, std::nullopt);
  EXPECT_EQ(one(flip).header.error, EAGAIN);
  EXPECT_EQ(one(flip).header.diagnostic, SPD_DIAGNOSTIC_OUTDATED_DRAFT);
  flip.transaction = PolicyTransactionExt{SPD_TRANSACTION_FORCE, 0, 0};
  const PolicyMessage answer = one(flip);
  EXPECT_EQ(answer.header.error, 0);
  EXPECT_EQ(answer.transaction->generation, access_.db.generation());
}

TEST_F(PolicySessionTest, NamespacesKeepToThemselves) {
  ASSERT_EQ(one(add("vpn0", gcm(), SPD_ACTIVE, "svc:/vpn")).header.error, 0);
  EXPECT_EQ(ask(session_, command(PolicyCommand::dump, SPD_ACTIVE, std::nullopt)).size(), 2u);
  ASSERT_EQ(one(command(PolicyCommand::flush, SPD_ACTIVE, std::nullopt)).header.error, 0);
  EXPECT_EQ(access_.db.size(), 4u);
  PolicyMessage remove = command(PolicyCommand::delete_rule, SPD_ACTIVE, "vpn0");
  remove.rule = PolicyRuleExt{0, SPD_RULE_FLAG_TUNNEL, 1};
  const auto refused = one(remove).header;
  EXPECT_EQ(refused.error, EPERM);
  EXPECT_EQ(refused.diagnostic, SPD_DIAGNOSTIC_NOT_PERMITTED);
  PolicyMessage all = command(PolicyCommand::dump, SPD_ACTIVE, std::nullopt);
  all.name_space = PolicyNamespaceExt{SPD_NAMESPACE_ALL, ""};
  const auto told = ask(session_, all);
  ASSERT_EQ(told.size(), 6u);
  EXPECT_EQ(told[1].name_space->name, "svc:/vpn");
  remove.name_space = PolicyNamespaceExt{SPD_NAMESPACE_OVERRIDE, ""};
  EXPECT_EQ(one(remove).header.error, 0);
  EXPECT_TRUE(access_.last_caller.owner.override_others);
}

TEST_F(PolicySessionTest, WhoMayNotGetsTheSentence) {
  access_.forbidden = true;
  PolicyMessage request = command(PolicyCommand::dump, SPD_ACTIVE, "");
  request.text = "";
  const PolicyMessage answer = one(request);
  EXPECT_EQ(answer.header.error, EPERM);
  EXPECT_EQ(*answer.text, "user 0 may not use PF_POLICY");
}

TEST_F(PolicySessionTest, LookupNamesTheDecidingRule) {
  ASSERT_EQ(one(add("mytun0", gcm())).header.error, 0);
  PolicyMessage request = command(PolicyCommand::lookup, SPD_ACTIVE, "mytun0");
  request.rule = PolicyRuleExt{0, SPD_RULE_FLAG_OUTBOUND, 0};
  request.selector.local = net::Prefix::parse("10.0.0.1").value();
  EXPECT_EQ(one(request).header.diagnostic, SPD_DIAGNOSTIC_MALFORMED_REMADDR);
  request.selector.remote = net::Prefix::parse("10.0.1.1").value();
  EXPECT_EQ(one(request).rule->index, 1u);
  request.tunnel = "other0";
  EXPECT_EQ(one(request).header.error, ENOENT);
}

TEST_F(PolicySessionTest, TheAlgorithmTableGoesBothWaysAndKeepsItsNames) {
  const PolicyMessage told = one(command(PolicyCommand::dump_algs, SPD_ACTIVE, ""));
  EXPECT_EQ(told.header.type, SPD_ALGLIST);
  PolicyMessage update = command(PolicyCommand::update_algs, SPD_ACTIVE, "");
  config::AlgorithmText text = config::builtin_algorithms();
  text.table.remove(crypto::AlgProto::esp, 2);
  update.actions = encode_algorithms(text);
  EXPECT_EQ(one(update).header.error, 0);
  EXPECT_EQ(access_.table.find(crypto::AlgProto::esp, "des"), nullptr);
  EXPECT_NE(access_.table.find(crypto::AlgProto::esp, "aes"), nullptr);
}

TEST_F(PolicySessionTest, NoiseGetsAnAnswerAndNothingElse) {
  for (size_t length = 0; length < 64; ++length) {
    session_.handle(std::vector<uint8_t>(length, 0xff));
    ASSERT_TRUE(session_.pending());
    EXPECT_EQ(session_.front().size(), 16u);
    session_.pop();
    EXPECT_FALSE(session_.pending());
  }
}

}  // namespace
}  // namespace adit::protocol
