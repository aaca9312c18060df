// libadit's C codec against the daemon's: what one writes the other reads, and the same.
#include "libadit/message.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "protocol/pf_policy/actions.h"
#include "protocol/pf_policy/codec.h"
#include "server/pf_policy_dump.h"

namespace {

using namespace adit;
using namespace adit::protocol;

adit_rule_t sample(const adit_action_t* actions, size_t count) {
  adit_rule_t rule{};
  rule.tunnel = "mytun0";
  rule.origin_file = "a.conf";
  rule.origin_line = 7;
  rule.actions = actions;
  rule.action_count = count;
  rule.priority = 99;
  rule.flags = SPD_RULE_FLAG_INBOUND | SPD_RULE_FLAG_OUTBOUND | SPD_RULE_FLAG_TUNNEL;
  EXPECT_EQ(adit_parse_prefix(&rule.local, "10.0.0.0/24"), 0);
  EXPECT_EQ(adit_parse_prefix(&rule.remote, "10.0.1.7"), 0);
  rule.protocol = 6;
  rule.local_port = 22;
  rule.remote_port = 2222;
  return rule;
}

TEST(LibaditMessage, TheDaemonReadsWhatItWrites) {
  adit_action_t actions[2]{};
  actions[0] = {SPD_ACTTYPE_IPSEC, SPD_APPLY_ESP | SPD_APPLY_ESPA, {}, {12, 256, 256, 0}, {7, 0, 0, 0}, 0};
  actions[1] = {SPD_ACTTYPE_IPSEC, SPD_APPLY_AH, {5, 256, 0, 0}, {}, {}, 0};
  const adit_rule_t rule = sample(actions, 2);
  static outgoing out;
  begin_message(&out, SPD_ADDRULE, SPD_STANDBY);
  put_rule(&out, &rule, 1);
  finish_message(&out, 5);
  ASSERT_FALSE(out.full);
  const auto message = decode_policy({out.bytes, out.size});
  ASSERT_TRUE(message.has_value()) << message.error().text;
  EXPECT_EQ(message->header.seq, 5u);
  EXPECT_EQ(message->tunnel, "mytun0");
  EXPECT_EQ(message->origin->file, "a.conf");
  EXPECT_EQ(message->origin->line, 7u);
  EXPECT_EQ(message->selector.remote->str(), "10.0.1.7/32");
  EXPECT_EQ(message->selector.local->str(), "10.0.0.0/24");
  EXPECT_EQ(message->selector.local_port, 22);
  const auto decoded = decode_actions(*message->actions, true);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().text;
  ASSERT_EQ(decoded->size(), 2u);
  EXPECT_EQ((*decoded)[0].encr->alg, crypto::EncrAlg::aes_cbc);
  EXPECT_EQ((*decoded)[0].espa->alg, crypto::AuthAlg::hmac_sha512);
  EXPECT_EQ((*decoded)[1].ah->bits.min, 256);
}

std::vector<uint8_t> told_rule() {
  spd::Rule rule{.index = 77, .priority = 5, .direction = spd::Direction::in, .mode = spd::Mode::tunnel};
  rule.selector.remote = net::Prefix::parse("2001:db8::/32").value();
  rule.selector.icmp = spd::IcmpRange{8, 9, 255, 255};
  rule.actions = {{.verb = spd::Verb::ipsec, .encr = spd::Cipher{crypto::EncrAlg::aes_gcm16, {128, 256}}},
                  {.verb = spd::Verb::drop}};
  rule.name_space = "svc:/a";
  rule.origin = {"b.conf", 3};
  PolicyHeader header{.type = SPD_DUMP, .seq = 9};
  return encode_policy(rule_message(header, "t0", rule, true));
}

TEST(LibaditMessage, ItReadsWhatTheDaemonWrites) {
  const auto bytes = told_rule();
  incoming message{};
  ASSERT_EQ(read_message(&message, bytes.data(), bytes.size()), 0);
  adit_rule_t rule{};
  actions list{};
  ASSERT_EQ(read_rule(&rule, &message, &list), 0);
  EXPECT_STREQ(rule.tunnel, "t0");
  EXPECT_STREQ(rule.name_space, "svc:/a");
  EXPECT_STREQ(rule.origin_file, "b.conf");
  EXPECT_EQ(rule.origin_line, 3u);
  EXPECT_EQ(rule.index, 77u);
  EXPECT_EQ(rule.flags, uint32_t{SPD_RULE_FLAG_INBOUND | SPD_RULE_FLAG_TUNNEL});
  EXPECT_EQ(rule.local.family, 0);
  EXPECT_EQ(rule.remote.length, 32);
  EXPECT_EQ(rule.icmp_type_end, 9);
  ASSERT_EQ(rule.action_count, 2u);
  EXPECT_EQ(rule.actions[0].cipher.number, 20);
  EXPECT_EQ(rule.actions[0].cipher.max_bits, 256);
  EXPECT_EQ(rule.actions[1].type, uint32_t{SPD_ACTTYPE_DROP});
  free(list.list);
}

TEST(LibaditMessage, BytesCutAnywhereAreRefused) {
  const auto bytes = told_rule();
  for (size_t length = 0; length < bytes.size(); ++length) {
    for (const bool honest : {false, true}) {
      auto cut = std::vector(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
      if (honest && length >= 16) cut[4] = static_cast<uint8_t>(length / 8), cut[5] = 0;
      incoming message{};
      if (read_message(&message, cut.data(), cut.size()) != 0) continue;
      ASSERT_TRUE(honest) << length;  // whole extensions: only then may it be read, and the rule lacks a part
      adit_rule_t rule{};
      actions list{};
      const int read = read_rule(&rule, &message, &list);
      EXPECT_TRUE(read == EPROTO || message.extension[SPD_EXT_ACTION] != nullptr) << length;
      free(list.list);
    }
  }
}

TEST(LibaditMessage, WhatALaterDaemonAddsIsPassedOver) {
  auto bytes = told_rule();
  const std::vector<uint8_t> extra = {2, 0, 200, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  bytes.insert(bytes.begin() + 16, extra.begin(), extra.end());
  bytes[4] = static_cast<uint8_t>(bytes[4] + 2);
  incoming message{};
  ASSERT_EQ(read_message(&message, bytes.data(), bytes.size()), 0);
  adit_rule_t rule{};
  actions list{};
  EXPECT_EQ(read_rule(&rule, &message, &list), 0);
  EXPECT_EQ(rule.index, 77u);
  free(list.list);
}

TEST(LibaditMessage, ARuleThatIsTooLargeIsNotCut) {
  const std::vector<adit_action_t> many(3000, adit_action_t{SPD_ACTTYPE_DROP, 0, {}, {}, {}, 0});
  const adit_rule_t rule = sample(many.data(), many.size());
  static outgoing out;
  begin_message(&out, SPD_ADDRULE, SPD_STANDBY);
  put_rule(&out, &rule, 1);
  EXPECT_TRUE(out.full);
}

TEST(LibaditPrefix, TakesAddressesAndNetworks) {
  adit_prefix_t prefix{};
  EXPECT_EQ(adit_parse_prefix(&prefix, "10.1.2.3"), 0);
  EXPECT_EQ(prefix.length, 32);
  EXPECT_EQ(adit_parse_prefix(&prefix, "::/0"), 0);
  EXPECT_EQ(prefix.length, 0);
  for (const char* wrong :
       {"", "10.1.2", "10.1.2.3/33", "10.1.2.3/", "10.1.2.3/-1", "::1/129", "fe80::1%eth0", "/8", "10.0.0.0/8x"})
    EXPECT_EQ(adit_parse_prefix(&prefix, wrong), EINVAL) << wrong;
}

}  // namespace
