#include "protocol/pf_policy/codec.h"

#include <adit/pfpolicy.h>
#include <gtest/gtest.h>

#include <random>

#include "protocol/pf_policy/actions.h"
#include "protocol/pf_policy/algorithms.h"

namespace adit::protocol {
namespace {

static_assert(std::endian::native == std::endian::little, "the golden bytes below are those of a little-endian host");

std::vector<uint8_t> from_hex(std::string_view text) {
  std::vector<uint8_t> bytes;
  std::string digits;
  for (const char c : text)
    if (std::isxdigit(static_cast<unsigned char>(c)) != 0) digits += c;
  for (size_t at = 0; at + 1 < digits.size(); at += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoi(digits.substr(at, 2), nullptr, 16)));
  return bytes;
}

// The IPD's rule for mytun0, with selectors, as ipsecconf sends it.
PolicyMessage add_rule() {
  PolicyMessage message;
  message.header = {.type = SPD_ADDRULE, .seq = 7, .pid = 42};
  message.rule = PolicyRuleExt{0x4fffff, SPD_RULE_FLAG_INBOUND | SPD_RULE_FLAG_OUTBOUND | SPD_RULE_FLAG_TUNNEL, 0};
  message.tunnel = "mytun0";
  message.selector.protocol = 6;
  message.selector.local_port = 22;
  message.selector.remote = net::Prefix::parse("10.0.1.0/24").value();
  message.selector.local = net::Prefix::parse("10.0.0.0/24").value();
  const spd::Action action{.verb = spd::Verb::ipsec, .encr = spd::Cipher{crypto::EncrAlg::aes_gcm16, {128, 256}}};
  message.actions = encode_actions(std::span(&action, 1));
  return message;
}

TEST(PolicyCodec, GoldenAddRule) {
  const auto expected = from_hex(
      "01 02 00 00 1500 0000 07000000 2a000000"
      "0300 0700 ffff4f00 07000000 00000000 0000000000000000"
      "0200 0a00 6d7974756e30 000000000000"
      "0100 0300 06 00 0000"
      "0100 0100 0016 0016"
      "0200 0500 02 18 0000 0a000100 00000000"
      "0200 0400 02 18 0000 0a000000 00000000"
      "0800 0600 0100 0000"
      "02000000 00000000"    // EMPTY
      "00010000 03000000"    // TYPE IPSEC
      "01010000 02000000"    // FLAGS ESP
      "03010000 14000000"    // ESP_ENCR 20
      "05010000 80000000"    // ENCR_MINBITS 128
      "06010000 00010000"    // ENCR_MAXBITS 256
      "01000000 00000000");  // END
  EXPECT_EQ(encode_policy(add_rule()).size(), expected.size());
  EXPECT_EQ(encode_policy(add_rule()), expected);
}

TEST(PolicyCodec, GoldenAditExtensions) {
  PolicyMessage message;
  message.header = {.type = SPD_FLIP, .seq = 1, .pid = 2};
  message.name_space = PolicyNamespaceExt{SPD_NAMESPACE_OVERRIDE, "vpn"};
  message.origin = spd::Origin{"a.conf", 3};
  message.transaction = PolicyTransactionExt{SPD_TRANSACTION_FORCE, 5, 60};
  message.text = "";
  EXPECT_EQ(encode_policy(message), from_hex("01 04 00 00 0b00 0000 01000000 02000000"
                                             "0200 0b00 02000000 76706e00 00000000"
                                             "0200 0c00 03000000 612e636f 6e660000"
                                             "0300 0e00 01000000 0500000000000000 3c000000 00000000"
                                             "0200 0d00 00000000 00000000 00000000"));
}

TEST(PolicyCodec, GoldenDumpRequests) {
  PolicyMessage all;
  all.header = {.type = SPD_DUMP, .seq = 1, .pid = 2};
  all.tunnel = "";
  EXPECT_EQ(encode_policy(all), from_hex("01 06 00 00 0300 0000 01000000 02000000 0100 0a00 00000000"));
  PolicyMessage trailer;
  trailer.header = {.type = SPD_DUMP, .error = EAGAIN, .seq = 1, .pid = 2};
  trailer.ruleset = PolicyRulesetExt{4, 9};
  EXPECT_EQ(encode_policy(trailer),
            from_hex("01 06 0b 00 0400 0000 01000000 02000000 0200 0800 04000000 0900000000000000"));
}

TEST(PolicyCodec, WhatIsEncodedIsDecoded) {
  PolicyMessage message = add_rule();
  message.selector.local = message.selector.remote = net::Prefix::parse("2001:db8::/33").value();
  message.selector.icmp = spd::IcmpRange{3, 5, 255, 255};
  message.origin = spd::Origin{"/etc/inet/ipsecinit.conf", 12};
  message.name_space = PolicyNamespaceExt{0, "svc:/site/vpn:default"};
  const auto back = decode_policy(encode_policy(message));
  ASSERT_TRUE(back.has_value()) << back.error().text;
  EXPECT_EQ(back->selector, message.selector);
  EXPECT_EQ(back->rule->priority, 0x4fffffu);
  EXPECT_EQ(*back->tunnel, "mytun0");
  EXPECT_EQ(back->origin->file, "/etc/inet/ipsecinit.conf");
  EXPECT_EQ(back->name_space->name, "svc:/site/vpn:default");
  EXPECT_EQ(back->actions->attributes, message.actions->attributes);
}

uint16_t diagnostic_of(std::vector<uint8_t> bytes) {
  const auto message = decode_policy(bytes);
  return message ? 0 : message.error().diagnostic;
}
std::vector<uint8_t> with(std::string_view extensions, std::string_view type = "02") {
  auto bytes =
      from_hex(std::string("01") + std::string(type) + "0000 0000 0000 01000000 02000000" + std::string(extensions));
  bytes[4] = static_cast<uint8_t>(bytes.size() / 8);
  return bytes;
}

TEST(PolicyCodec, RefusesWithTheDiagnosticOfTheTable) {
  EXPECT_EQ(diagnostic_of(with("", "00")), SPD_DIAGNOSTIC_BAD_MSG_TYPE);
  EXPECT_EQ(diagnostic_of(with("", "0b")), SPD_DIAGNOSTIC_BAD_MSG_TYPE);
  EXPECT_EQ(diagnostic_of(with("0100 0f00 00000000")), SPD_DIAGNOSTIC_UNKNOWN_EXT);
  EXPECT_EQ(diagnostic_of(with("0100 0000 00000000")), SPD_DIAGNOSTIC_UNKNOWN_EXT);
  EXPECT_EQ(diagnostic_of(with("0000 0100 00000000")), SPD_DIAGNOSTIC_BAD_EXTLEN);
  EXPECT_EQ(diagnostic_of(with("0200 0100 00000000")), SPD_DIAGNOSTIC_BAD_EXTLEN);
  EXPECT_EQ(diagnostic_of(with("0200 0100 00160016 0000000000000000")), SPD_DIAGNOSTIC_MALFORMED_LCLPORT);
  EXPECT_EQ(diagnostic_of(with("0100 0100 00160016 0100 0100 00160016")), SPD_DIAGNOSTIC_DUPLICATE_LCLPORT);
  EXPECT_EQ(diagnostic_of(with("0100 0200 00160016 0100 0200 00160016")), SPD_DIAGNOSTIC_DUPLICATE_REMPORT);
  EXPECT_EQ(diagnostic_of(with("0100 0300 06000000 0100 0300 06000000")), SPD_DIAGNOSTIC_DUPLICATE_PROTO);
  EXPECT_EQ(diagnostic_of(with("0300 0400 02180000 0a000000 00000000 0000000000000000")), SPD_DIAGNOSTIC_BAD_ADDR_LEN);
  EXPECT_EQ(diagnostic_of(with("0200 0400 63180000 0a000000 00000000")), SPD_DIAGNOSTIC_MALFORMED_LCLADDR);
  EXPECT_EQ(diagnostic_of(with("0200 0500 02210000 0a000000 00000000")), SPD_DIAGNOSTIC_MALFORMED_REMADDR);
  EXPECT_EQ(diagnostic_of(
                with("0200 0400 02180000 0a000000 00000000 0300 0500 0a400000 00000000 00000000 00000000 00000000")),
            SPD_DIAGNOSTIC_MIXED_AF);
  EXPECT_EQ(diagnostic_of(with("0100 0700 00000000")), SPD_DIAGNOSTIC_MALFORMED_RULE);
  EXPECT_EQ(diagnostic_of(with("0100 0900 08080000 0100 0900 08080000")), SPD_DIAGNOSTIC_DUPLICATE_ICMP_TYPECODE);
  EXPECT_EQ(diagnostic_of(with("0100 0a00 61626364")), SPD_DIAGNOSTIC_MALFORMED_TUN_NAME);
  EXPECT_EQ(diagnostic_of(with("0200 0600 0100 0000 1f010000 10000000")), SPD_DIAGNOSTIC_ALG_MECH_NAME_LEN);
  auto spdid = with("");
  spdid[3] = 2;
  EXPECT_EQ(diagnostic_of(spdid), SPD_DIAGNOSTIC_BAD_SPDID);
}

TEST(PolicyCodec, TheLengthMustBeTheLength) {
  auto bytes = encode_policy(add_rule());
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto message = decode_policy(ByteSpan(bytes).first(length));
    ASSERT_FALSE(message.has_value());
    EXPECT_EQ(message.error().code, EMSGSIZE);
  }
  // Truncated at every word with a length that agrees: never more than was sent is read.
  for (size_t words = 2; words < bytes.size() / 8; ++words) {
    std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<long>(words * 8));
    cut[4] = static_cast<uint8_t>(words);
    (void)decode_policy(cut);
  }
}

TEST(PolicyCodec, AnyBytesAreSafe) {
  std::mt19937 dice(5);
  const auto whole = encode_policy(add_rule());
  for (int round = 0; round < 20000; ++round) {
    auto bytes = whole;
    for (uint32_t changes = 1 + dice() % 4; changes > 0; --changes)
      bytes[16 + dice() % (bytes.size() - 16)] = static_cast<uint8_t>(dice());
    if (const auto message = decode_policy(bytes); message && message->actions)
      (void)decode_actions(*message->actions, true);
  }
}

TEST(PolicyCodec, AnEchoCarriesTheIndex) {
  const auto request = encode_policy(add_rule());
  const auto answer = decode_policy(echo_policy(request, {.index = 12, .generation = {}, .text = {}}));
  EXPECT_EQ(answer->rule->index, 12u);
  EXPECT_EQ(echo_policy(request, {}), request);
}

// ---- actions

PolicyResult<std::vector<spd::Action>> decoded(std::vector<PolicyAttribute> attributes, uint16_t count = 1,
                                               bool tunnel = true) {
  return decode_actions({count, std::move(attributes)}, tunnel);
}
constexpr uint32_t kIpsec = SPD_ACTTYPE_IPSEC, kEsp = SPD_APPLY_ESP;

TEST(PolicyActionsCodec, RoundTrip) {
  const std::vector<spd::Action> actions = {{.verb = spd::Verb::ipsec,
                                             .ah = spd::Integrity{crypto::AuthAlg::hmac_sha256, {256, 256}},
                                             .encr = spd::Cipher{crypto::EncrAlg::aes_cbc, {128, 256}},
                                             .espa = spd::Integrity{crypto::AuthAlg::hmac_sha512, {512, 512}}},
                                            {.verb = spd::Verb::pass, .bypass = true},
                                            {.verb = spd::Verb::drop}};
  EXPECT_EQ(decode_actions(encode_actions(actions), true).value(), actions);
}

TEST(PolicyActionsCodec, TheTemplateDoesNotSurviveNext) {  // decision 15
  const auto actions = decoded({{SPD_ATTR_TYPE, kIpsec},
                                {SPD_ATTR_FLAGS, kEsp},
                                {SPD_ATTR_ESP_ENCR, 12},
                                {SPD_ATTR_NEXT, 0},
                                {SPD_ATTR_TYPE, kIpsec},
                                {SPD_ATTR_FLAGS, kEsp},
                                {SPD_ATTR_END, 0}},
                               2);
  ASSERT_TRUE(actions.has_value());
  EXPECT_EQ((*actions)[0].encr->alg, crypto::EncrAlg::aes_cbc);
  EXPECT_EQ((*actions)[1].encr->alg, crypto::EncrAlg::none);  // any, not AES again
}

TEST(PolicyActionsCodec, Diagnostics) {
  const auto diagnostic = [](auto... arguments) {
    const auto actions = decoded(arguments...);
    return actions ? 0 : actions.error().diagnostic;
  };
  using Attributes = std::vector<PolicyAttribute>;
  const Attributes drop = {{SPD_ATTR_TYPE, SPD_ACTTYPE_DROP}, {SPD_ATTR_END, 0}};
  EXPECT_EQ(diagnostic(drop), 0);
  EXPECT_EQ(diagnostic(drop, uint16_t{2}), SPD_DIAGNOSTIC_ADD_WRONG_ACT_COUNT);
  EXPECT_EQ(diagnostic(Attributes{{SPD_ATTR_TYPE, SPD_ACTTYPE_DROP}, {SPD_ATTR_NEXT, 0}}),
            SPD_DIAGNOSTIC_ADD_WRONG_ACT_COUNT);
  EXPECT_EQ(diagnostic(Attributes{}, uint16_t{0}), SPD_DIAGNOSTIC_ADD_WRONG_ACT_COUNT);
  EXPECT_EQ(diagnostic(Attributes{{SPD_ATTR_TYPE, 4}, {SPD_ATTR_END, 0}}), SPD_DIAGNOSTIC_ADD_BAD_TYPE);
  EXPECT_EQ(diagnostic(Attributes{{SPD_ATTR_TYPE, 1}, {SPD_ATTR_FLAGS, 0x80}, {SPD_ATTR_END, 0}}),
            SPD_DIAGNOSTIC_ADD_BAD_FLAGS);
  EXPECT_EQ(diagnostic(Attributes{{SPD_ATTR_TYPE, 1}, {SPD_ATTR_FLAGS, kEsp}, {SPD_ATTR_END, 0}}),
            SPD_DIAGNOSTIC_ADD_INCON_FLAGS);
  EXPECT_EQ(diagnostic(Attributes{{SPD_ATTR_TYPE, kIpsec}, {SPD_ATTR_END, 0}}), SPD_DIAGNOSTIC_ADD_INCON_FLAGS);
  const Attributes unique = {
      {SPD_ATTR_TYPE, kIpsec}, {SPD_ATTR_FLAGS, kEsp | SPD_APPLY_UNIQUE}, {SPD_ATTR_ESP_ENCR, 20}, {SPD_ATTR_END, 0}};
  EXPECT_EQ(diagnostic(unique), SPD_DIAGNOSTIC_ADD_INCON_FLAGS);
  EXPECT_EQ(diagnostic(unique, uint16_t{1}, false), 0);
  EXPECT_EQ(diagnostic(Attributes{{0x999, 0}, {SPD_ATTR_END, 0}}), SPD_DIAGNOSTIC_MALFORMED_ACTION);
}

TEST(PolicyActionsCodec, IntegrityAloneIsNullEncryption) {
  const auto actions = decoded(
      {{SPD_ATTR_TYPE, kIpsec}, {SPD_ATTR_FLAGS, kEsp | SPD_APPLY_ESPA}, {SPD_ATTR_ESP_AUTH, 5}, {SPD_ATTR_END, 0}});
  EXPECT_EQ(actions->front().encr->alg, crypto::EncrAlg::null);
  EXPECT_EQ(actions->front().espa->alg, crypto::AuthAlg::hmac_sha256);
}

// ---- algorithms

TEST(PolicyAlgorithms, TheTableSurvivesTheWire) {
  config::AlgorithmText text = config::builtin_algorithms();
  text.table.remove(crypto::AlgProto::esp, 2);
  text.protocols[1].async = true;
  PolicyMessage message;
  message.header.type = SPD_UPDATEALGS;
  message.actions = encode_algorithms(text);
  const auto back = decode_policy(encode_policy(message));
  ASSERT_TRUE(back.has_value());
  const auto table = decode_algorithms(*back->actions);
  ASSERT_TRUE(table.has_value()) << table.error().text;
  EXPECT_EQ(config::write_algorithms(*table), config::write_algorithms(text));
}

TEST(PolicyAlgorithms, ErrorsHaveTheirDiagnostics) {
  const auto diagnostic = [](std::vector<PolicyAttribute> attributes) {
    const auto table = decode_algorithms({1, std::move(attributes)});
    return table ? 0 : table.error().diagnostic;
  };
  EXPECT_EQ(diagnostic({{SPD_ATTR_ALG_ID, 999}, {SPD_ATTR_ALG_PROTO, 3}, {SPD_ATTR_END, 0}}),
            SPD_DIAGNOSTIC_ALG_ID_RANGE);
  EXPECT_EQ(diagnostic({{SPD_ATTR_ALG_ID, 12},
                        {SPD_ATTR_ALG_PROTO, 3},
                        {SPD_ATTR_ALG_NKEYSIZES, 2},
                        {SPD_ATTR_ALG_KEYSIZE, 128},
                        {SPD_ATTR_END, 0}}),
            SPD_DIAGNOSTIC_ALG_NUM_KEY_SIZES);
  EXPECT_EQ(diagnostic({{SPD_ATTR_ALG_ID, 12},
                        {SPD_ATTR_ALG_PROTO, 3},
                        {SPD_ATTR_ALG_NKEYSIZES, 1},
                        {SPD_ATTR_ALG_KEYSIZE, 128},
                        {SPD_ATTR_ALG_NBLOCKSIZES, 1},
                        {SPD_ATTR_END, 0}}),
            SPD_DIAGNOSTIC_ALG_NUM_BLOCK_SIZES);
}

TEST(PolicyAlgorithms, TheShortListIsOrderedByKeySize) {
  const PolicyActions list = encode_algorithm_list(crypto::AlgorithmTable::builtin());
  uint32_t before = 0, ciphers = 0;
  for (const PolicyAttribute& attribute : list.attributes)
    if (attribute.tag == SPD_ATTR_ENCR_MINBITS) {
      EXPECT_GE(attribute.value, before);
      before = attribute.value;
      ++ciphers;
    }
  EXPECT_GE(ciphers, 13u);
  EXPECT_EQ(list.attributes.back().tag, uint32_t{SPD_ATTR_END});
}

}  // namespace
}  // namespace adit::protocol
