#include "config/ipsecconf/ipsecconf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "config/ipsecconf/policy_file.h"
#include "config/ipsecconf/print.h"
#include "config/source/testing/fake_resolver.h"

namespace adit::config {
namespace {

using crypto::AlgorithmTable;
using spd::Direction;
using ::testing::HasSubstr;

net::Address address(std::string_view text) {
  return net::Address::parse(text).value();
}

class Ipsecconf : public ::testing::Test {
 protected:
  PolicyText parse(std::string_view text) { return parse_policy(text, source_, table_, resolver_); }

  // The rules of a text that must be right, each with its head, as `ipsecconf -ln` prints them.
  std::string listed(std::string_view text) {
    const PolicyText policy = parse(text);
    for (const Problem& problem : policy.problems)
      if (problem.severity == Severity::error) ADD_FAILURE() << problem.str();
    std::string lines;
    for (const auto& [head, rules] : policy.adds())
      for (const spd::Rule& rule : rules) lines += PolicyPrinter{table_}.rule(head, rule) + "\n";
    return lines;
  }
  // The first error of a text that must be wrong.
  Problem error_of(std::string_view text) {
    const PolicyText policy = parse(text);
    EXPECT_TRUE(policy.entries.empty());
    for (const Problem& problem : policy.problems)
      if (problem.severity == Severity::error) return problem;
    ADD_FAILURE() << "no error in " << text;
    return {};
  }
  std::vector<std::string> warnings(std::string_view text) {
    std::vector<std::string> found;
    for (const Problem& problem : parse(text).problems)
      if (problem.severity == Severity::warning) found.push_back(problem.text);
    return found;
  }

  AlgorithmTable table_ = AlgorithmTable::builtin();
  FakeResolver resolver_;
  PolicySource source_{.file = "ipsecinit.conf"};
};

// ---- the founding documents, literally

TEST_F(Ipsecconf, TheGuidesPolicy) {
  EXPECT_EQ(listed("{tunnel v4_bob0 negotiate tunnel}\n    ipsec {encr_algs aes encr_auth_algs sha512 sa shared}\n"),
            "{ tunnel v4_bob0 negotiate tunnel dir out } ipsec { encr_algs aes-cbc(128..256) encr_auth_algs "
            "hmac-sha512(512) sa shared }\n"
            "{ tunnel v4_bob0 negotiate tunnel dir out } ipsec { encr_algs aes-cbc(128..256) encr_auth_algs "
            "hmac-sha512(512) sa shared }\n"
            "{ tunnel v4_bob0 negotiate tunnel dir in } ipsec { encr_algs aes-cbc(128..256) encr_auth_algs "
            "hmac-sha512(512) sa shared }\n"
            "{ tunnel v4_bob0 negotiate tunnel dir in } ipsec { encr_algs aes-cbc(128..256) encr_auth_algs "
            "hmac-sha512(512) sa shared }\n");
}

constexpr std::string_view kIpdPolicy = R"({
    tunnel mytun0
    negotiate tunnel
} ipsec {
    encr_algs aes-gcm
    encr_auth_algs hmac-sha256
}
)";

TEST_F(Ipsecconf, TheIpdsPolicyListsAsTheIpdShowsIt) {
  const PolicyText policy = parse(kIpdPolicy);
  ASSERT_TRUE(policy.ok());
  auto adds = policy.adds();
  ASSERT_EQ(adds.size(), 1u);
  std::string listing;
  uint64_t index = 9;
  for (spd::Rule& rule : adds.front().second) {
    rule.index = index++;
    listing += PolicyPrinter{table_}.listing(adds.front().first, rule);
  }
  EXPECT_EQ(listing,
            "#INDEX mytun0,9\n"
            "{ tunnel mytun0 negotiate tunnel dir out } ipsec { encr_algs aes-gcm(128..256) encr_auth_algs "
            "hmac-sha256(256) sa shared }\n"
            "#INDEX mytun0,10\n"
            "{ tunnel mytun0 negotiate tunnel dir out } ipsec { encr_algs aes-gcm(128..256) encr_auth_algs "
            "hmac-sha256(256) sa shared }\n"
            "#INDEX mytun0,11\n"
            "{ tunnel mytun0 negotiate tunnel dir in } ipsec { encr_algs aes-gcm(128..256) encr_auth_algs "
            "hmac-sha256(256) sa shared }\n"
            "#INDEX mytun0,12\n"
            "{ tunnel mytun0 negotiate tunnel dir in } ipsec { encr_algs aes-gcm(128..256) encr_auth_algs "
            "hmac-sha256(256) sa shared }\n");
}

TEST_F(Ipsecconf, TheIpdsPolicyWarnsOnceThatTheSecondAlgorithmIsNotApplied) {
  const PolicyText policy = parse(kIpdPolicy);
  ASSERT_EQ(policy.problems.size(), 1u);
  EXPECT_EQ(policy.problems.front().str(),
            "ipsecinit.conf:6:20: warning: aes-gcm authenticates by itself; encr_auth_algs hmac-sha256 is not applied; "
            "leave it out\n"
            "        encr_auth_algs hmac-sha256\n"
            "                       ^");
}

TEST_F(Ipsecconf, TheIpdsClearTextShardGoesBothWays) {
  EXPECT_EQ(listed("{ lport 53 } bypass {}\n{ rport 53 } bypass {}\n"),
            "{ lport 53 dir out } pass { }\n{ lport 53 dir out } pass { }\n{ lport 53 dir in } pass { }\n{ lport 53 "
            "dir in } pass { }\n"
            "{ rport 53 dir out } pass { }\n{ rport 53 dir out } pass { }\n{ rport 53 dir in } pass { }\n{ rport 53 "
            "dir in } pass { }\n");
}

TEST_F(Ipsecconf, TheIpdsTunnelsDirectoryImpliesTheTunnel) {
  source_.file = "mytun0.conf";
  source_.implied_tunnel = "mytun0";
  EXPECT_THAT(listed("{\n    negotiate tunnel\n} ipsec {\n    encr_algs aes-gcm\n    encr_auth_algs hmac-sha256\n}\n"),
              HasSubstr("{ tunnel mytun0 negotiate tunnel dir out }"));
  EXPECT_THAT(listed("{ tunnel mytun0 negotiate tunnel } drop {}"),
              HasSubstr("{ tunnel mytun0 negotiate tunnel dir in } drop { }"));
  EXPECT_THAT(error_of("{ tunnel other0 negotiate tunnel } drop {}").expected,
              HasSubstr("this file is for tunnel mytun0"));
  EXPECT_THAT(error_of("{ } drop {}").text, HasSubstr("Requires Negotiate on line: 1"));
}

// ---- patterns

TEST_F(Ipsecconf, EverySelector) {
  EXPECT_EQ(listed("{ tunnel t0 negotiate tunnel ulp tcp laddr 10.0.0.1/24 lport ssh remote 10.0.1.2 rport 443 dir in "
                   "} ipsec { encr_algs aes-gcm(256) }"),
            "{ tunnel t0 negotiate tunnel ulp 6 laddr 10.0.0.0/24 lport 22 raddr 10.0.1.2/32 rport 443 dir in } ipsec "
            "{ encr_algs aes-gcm(256) sa shared }\n");
  EXPECT_EQ(listed("{ proto 47 local 2001:db8::/32 dir out } drop {}"),
            "{ ulp 47 laddr 2001:db8::/32 dir out } drop { }\n");
}

TEST_F(Ipsecconf, IcmpTypesAndCodes) {
  EXPECT_THAT(listed("{ ulp icmp type echo } bypass {}"), HasSubstr("ulp 1 type 8 dir out"));
  EXPECT_THAT(listed("{ type 3-5 code 1-4 } drop {}"), HasSubstr("type 3-5 code 1-4 dir out"));
  EXPECT_THAT(listed("{ type unreach code cutoff-preced } drop {}"), HasSubstr("type 3 code 15 "));
  EXPECT_THAT(listed("{ ulp ipv6-icmp type router-sol6 } drop {}"), HasSubstr("ulp 58 type 133 dir"));
  EXPECT_THAT(listed("{ type 255 code 0-3 } drop {}"), HasSubstr("type 255 code 0-3 "));
  EXPECT_EQ(error_of("{ type 5-3 } drop {}").text, "Bad ICMP type on line: 1");
  EXPECT_EQ(error_of("{ type 256 } drop {}").text, "Bad ICMP type on line: 1");
  EXPECT_EQ(error_of("{ code 1 } drop {}").text, "Bad ICMP code on line: 1");
  EXPECT_EQ(error_of("{ ulp tcp type echo } drop {}").text, "Bad ICMP type on line: 1");
}

TEST_F(Ipsecconf, DirectionIsMatchedAsAPrefix) {
  EXPECT_EQ(listed("{ laddr 10.0.0.1 dir inbound } drop {}"), "{ laddr 10.0.0.1/32 dir in } drop { }\n");
  EXPECT_EQ(listed("{ laddr 10.0.0.1 dir outgoing } drop {}"), "{ laddr 10.0.0.1/32 dir out } drop { }\n");
  EXPECT_EQ(listed("{ laddr 10.0.0.1 dir both } drop {}"),
            "{ laddr 10.0.0.1/32 dir out } drop { }\n{ laddr 10.0.0.1/32 dir in } drop { }\n");
  EXPECT_EQ(error_of("{ dir sideways } drop {}").text, "Bad Direction on line: 1");
}

TEST_F(Ipsecconf, AHostOfSeveralAddressesMakesSeveralRules) {
  resolver_.hosts["nas"] = {address("10.0.0.5"), address("2001:db8::5"), address("10.0.0.6")};
  resolver_.hosts["client"] = {address("10.9.0.1")};
  EXPECT_EQ(listed("{ laddr client raddr nas dir out } drop {}"),
            "{ laddr 10.9.0.1/32 raddr 10.0.0.5/32 dir out } drop { }\n{ laddr 10.9.0.1/32 raddr 10.0.0.6/32 dir out } "
            "drop { }\n");
  EXPECT_EQ(error_of("{ raddr nas/24 } drop {}").expected, "Can't set /24 prefix on multi-host name.");
  EXPECT_EQ(listed("{ raddr client/24 dir out } drop {}"), "{ raddr 10.9.0.0/24 dir out } drop { }\n");
  EXPECT_EQ(error_of("{ laddr 2001:db8::1 raddr client } drop {}").text, "No matching IPv4 or IPv6 saddr/daddr pairs");
}

TEST_F(Ipsecconf, NetworkNamesAreTriedAfterHosts) {
  resolver_.networks.emplace("lan", net::Prefix::parse("10.0.0.0/8").value());
  EXPECT_EQ(listed("{ raddr lan dir out } drop {}"), "{ raddr 10.0.0.0/8 dir out } drop { }\n");
  EXPECT_EQ(error_of("{ raddr nowhere } drop {}").expected, "Could not resolve address nowhere.");
}

TEST_F(Ipsecconf, BadAddressesSayWhy) {
  EXPECT_EQ(error_of("{ laddr 10.0.0.0/33 } drop {}").expected, "/33 prefix is too big!");
  EXPECT_EQ(error_of("{ laddr ::1/129 } drop {}").expected, "/129 prefix is too big!");
  EXPECT_EQ(error_of("{ laddr 10.0.0.0/x } drop {}").expected, "Unparseable prefix: 'x'.");
  EXPECT_EQ(error_of("{ laddr 10.0.0.0/ } drop {}").expected, "Unparseable prefix: ''.");
  EXPECT_EQ(error_of("{ laddr 10.0.0.300 } drop {}").expected, "'10.0.0.300' is not a valid address");
  EXPECT_EQ(error_of("{ raddr 10.0.0.300 } drop {}").text, "Bad Destination Address on line: 1");
}

TEST_F(Ipsecconf, OldStyle) {
  source_.allow_host_ipsec = true;
  EXPECT_EQ(listed("{ saddr 10.0.0.1 dport 23 ulp tcp } apply { encr_algs aes-gcm }"),
            "{ ulp 6 laddr 10.0.0.1/32 rport 23 dir out } ipsec { encr_algs aes-gcm(128..256) sa shared }\n");
  EXPECT_EQ(listed("{ saddr 10.0.0.1 dport 23 ulp tcp } permit { encr_algs aes-gcm }"),
            "{ ulp 6 lport 23 raddr 10.0.0.1/32 dir in } ipsec { encr_algs aes-gcm(128..256) sa shared }\n");
  EXPECT_EQ(listed("{ src 10.0.0.1 dst 10.0.0.2 } ipsec { auth_algs sha256 dir in }"),
            "{ laddr 10.0.0.2/32 raddr 10.0.0.1/32 dir in } ipsec { auth_algs hmac-sha256(256) sa shared }\n");
  EXPECT_EQ(listed("{ srcaddr 10.1.0.0 smask 0xffff0000 dstaddr 10.2.3.4 dmask 255.255.255.0 dir out } drop {}"),
            "{ laddr 10.1.0.0/16 raddr 10.2.3.0/24 dir out } drop { }\n");
  EXPECT_EQ(listed("{ saddr 10.0.0.1 } bypass {}"),
            "{ laddr 10.0.0.1/32 dir out } pass { }\n{ raddr 10.0.0.1/32 dir in } pass { }\n");
}

TEST_F(Ipsecconf, OldStyleErrors) {
  source_.allow_host_ipsec = true;
  EXPECT_EQ(error_of("{ saddr 10.0.0.1 laddr 10.0.0.2 } drop {}").text, "Bad Source Address on line: 1");
  EXPECT_EQ(error_of("{ laddr 10.0.0.1 } drop { dir in }").text, "Bad Direction on line: 1");
  EXPECT_EQ(error_of("{ saddr 10.0.0.1 } ipsec { encr_algs aes-gcm }").text, "Requires Direction on line: 1");
  EXPECT_EQ(error_of("{ smask 255.0.0.0 } drop {}").text, "Requires Source Address on line: 1");
  EXPECT_EQ(error_of("{ daddr 10.0.0.1 dmask 255.0.255.0 } drop {}").text, "Bad Destination Mask on line: 1");
  EXPECT_EQ(error_of("{ daddr 10.0.0.1/8 dmask 255.0.0.0 } drop {}").text, "Can't set mask and /8 prefix.");
  EXPECT_EQ(error_of("{ saddr 10.0.0.1 dir in } apply { encr_algs aes-gcm }").text,
            "Direction in conflict with action");
  EXPECT_EQ(error_of("{ saddr 10.0.0.1 dir in } ipsec { encr_algs aes-gcm } or ipsec { encr_algs aes-gcm(256) }").text,
            "or's only with new style");
  EXPECT_EQ(error_of("{ dest 10.0.0.1 } drop {}").text, "Invalid pattern on line 1: dest");
}

// ---- actions

TEST_F(Ipsecconf, KeyLengthSuffixes) {
  const auto bits = [&](std::string_view word) {
    const std::string line = listed(
        fmt::format("{{ tunnel t0 negotiate tunnel dir out }} ipsec {{ encr_algs {} encr_auth_algs sha1 }}", word));
    const size_t from = line.find("encr_algs ") + 10;
    return line.substr(from, line.find(' ', from) - from);
  };
  EXPECT_EQ(bits("aes"), "aes-cbc(128..256)");
  EXPECT_EQ(bits("aes(256)"), "aes-cbc(256)");
  EXPECT_EQ(bits("AES-CBC(192..)"), "aes-cbc(192..256)");
  EXPECT_EQ(bits("12(..192)"), "aes-cbc(128..192)");
  EXPECT_EQ(bits("aes(128..192)"), "aes-cbc(128..192)");
  EXPECT_EQ(bits("blowfish"), "blowfish-cbc(128..448)");
  EXPECT_EQ(bits("null"), "null");
  for (const std::string_view wrong :
       {"aes(", "aes()", "aes(..)", "aes(256..128)", "aes(x)", "aes(512)", "aes(..64)", "rot13", "0", "256"})
    EXPECT_EQ(error_of(fmt::format("{{ tunnel t0 negotiate tunnel }} ipsec {{ encr_algs {} }}", wrong)).text,
              "Bad Encryption Algorithm on line: 1")
        << wrong;
}

TEST_F(Ipsecconf, NoneIsIgnoredAndAnyIsSpelledOut) {
  EXPECT_EQ(error_of("{ tunnel t0 negotiate tunnel } ipsec { encr_algs none auth_algs NONE }").text,
            "No IPsec algorithms given");
  const std::string any = listed("{ tunnel t0 negotiate tunnel dir out } ipsec { auth_algs any }");
  EXPECT_THAT(
      any,
      HasSubstr("ipsec { auth_algs hmac-sha256(256) sa shared } or ipsec { auth_algs hmac-sha384(384) sa shared }"));
}

TEST_F(Ipsecconf, IntegrityAloneIsEspWithNullEncryption) {
  EXPECT_THAT(listed("{ tunnel t0 negotiate tunnel } ipsec { encr_auth_algs sha256 }"),
              HasSubstr("ipsec { encr_algs null encr_auth_algs hmac-sha256(256) sa shared }"));
}

TEST_F(Ipsecconf, AlternativesKeepTheirOrder) {
  EXPECT_THAT(listed("{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes-gcm(256) } or ipsec { encr_algs "
                     "chacha20-poly1305 } or pass {}"),
              HasSubstr("ipsec { encr_algs aes-gcm(256) sa shared } or ipsec { encr_algs chacha20-poly1305(256) sa "
                        "shared } or pass { }"));
}

TEST_F(Ipsecconf, ActionErrors) {
  EXPECT_EQ(error_of("{ tunnel t0 negotiate tunnel } ipsec {}").text, "No IPsec algorithms given");
  EXPECT_EQ(error_of("{ lport 1 } bypass { encr_algs aes }").text, "Algorithms found for bypass policy");
  EXPECT_EQ(error_of("{ lport 1 } encrypt { }").text, "Invalid action on line 1: encrypt");
  EXPECT_EQ(error_of("{ tunnel t0 negotiate tunnel } ipsec { encr_alg aes }").text,
            "Invalid properties on line 1: encr_alg");
  EXPECT_EQ(error_of("{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes encr_algs des }").text,
            "Duplicate Encryption Algorithm on line: 1");
  EXPECT_EQ(error_of("{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes sa private }").text, "Bad SA on line: 1");
}

TEST_F(Ipsecconf, UniqueIsExplained) {
  EXPECT_THAT(error_of("{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes-gcm sa unique }").text,
              HasSubstr("write 'sa shared'"));
  EXPECT_THAT(listed("{ tunnel t0 negotiate transport } ipsec { encr_algs aes-gcm sa unique }"),
              HasSubstr("sa unique }"));
}

TEST_F(Ipsecconf, TheHostIsNotProtectedYetAndTheErrorSaysSo) {
  const Problem problem = error_of("\n{ raddr 10.0.0.1 } ipsec { encr_algs aes-gcm }");
  EXPECT_EQ(problem.headline(),
            "ipsecinit.conf:2:20: error: protecting the host's own traffic with IPsec is not there yet; "
            "protect it with a tunnel: '{ tunnel NAME negotiate tunnel } ipsec { ... }'");
}

TEST_F(Ipsecconf, TransportModeTakesNoSelectorsAndDoesNotMix) {
  EXPECT_THAT(error_of("{ tunnel t0 negotiate transport ulp tcp } ipsec { encr_algs aes-gcm }").text,
              HasSubstr("cannot select by address"));
  const Problem mixed =
      error_of("{ tunnel t0 negotiate transport } ipsec { encr_algs aes-gcm }\n{ tunnel t0 negotiate tunnel } drop {}");
  EXPECT_EQ(mixed.line, 2u);
  EXPECT_EQ(mixed.expected, "line 1 has the other");
}

TEST_F(Ipsecconf, Warnings) {
  EXPECT_THAT(warnings("{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes }"),
              ::testing::ElementsAre("DANGER:  Rule on line 1 has encryption with no authentication."));
  EXPECT_TRUE(warnings("{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes auth_algs sha256 }").empty());
  EXPECT_TRUE(warnings("{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes-ccm }").empty());
  EXPECT_THAT(warnings("{ tunnel t0 negotiate tunnel } ipsec { encr_algs 3des encr_auth_algs md5 }\n"
                       "{ tunnel t1 negotiate tunnel } ipsec { encr_algs 3des encr_auth_algs md5 }"),
              ::testing::ElementsAre("3des-cbc is weak", "hmac-md5 is weak"));
  EXPECT_THAT(warnings("{ lport 1 } drop {}\n{ lport 1 } drop {}"),
              ::testing::ElementsAre("Duplicate policy entry (ignored)"));
  EXPECT_EQ(parse("{ lport 1 } drop {}\n{ lport 1 } drop {}").entries.size(), 1u);
}

// ---- order and origin

TEST_F(Ipsecconf, PrioritiesCountDownAndOriginsStay) {
  source_.name_space = "svc:/a";
  const PolicyText policy = parse("{ lport 1 } drop {}\n\n{ lport 2 } bypass {}\n");
  const auto adds = policy.adds();
  ASSERT_EQ(adds.size(), 2u);
  EXPECT_EQ(adds[0].second.front().priority, 0x000fffffu);
  EXPECT_EQ(adds[1].second.front().priority, 0x008fffffu - 1);
  EXPECT_EQ(adds[1].second.front().origin.file, "ipsecinit.conf");
  EXPECT_EQ(adds[1].second.front().origin.line, 3u);
  EXPECT_EQ(adds[1].second.front().name_space, "svc:/a");
  EXPECT_EQ(policy.entries[1].text, "{ lport 2 } bypass {}");
}

// ---- form

TEST_F(Ipsecconf, CommentsAndNewlinesAreFree) {
  EXPECT_EQ(listed("# all\n\n{#x\nlport # the port\n 1 }\n drop\n\n{ } # } {\n\n"), listed("{lport 1}drop{}"));
  EXPECT_TRUE(parse("").ok());
  EXPECT_TRUE(parse("  # nothing\n").entries.empty());
}

TEST_F(Ipsecconf, OrStandsOnTheLineOfTheBraceBeforeIt) {
  EXPECT_TRUE(parse("{ lport 1 } drop {\n} or\n bypass {}").ok());
  const Problem problem = error_of("{ lport 1 } drop {}\nor bypass {}");
  EXPECT_EQ(problem.text, "line 2 : pattern must start with \"{\" character");
  EXPECT_THAT(problem.expected, HasSubstr("'or' on the line"));
}

TEST_F(Ipsecconf, FormErrors) {
  EXPECT_EQ(error_of("laddr 1").text, "line 1 : pattern must start with \"{\" character");
  EXPECT_EQ(error_of("{ lport 1").text, "Pattern or Properties incomplete.");
  EXPECT_EQ(error_of("{ lport 1 }").text, "Missing action token.");
  EXPECT_EQ(error_of("{ lport 1 } drop").text, "Missing properties.");
  EXPECT_EQ(error_of("{ lport 1 } drop {} \\\n").text, "Invalid line continuation character.");
  EXPECT_EQ(error_of("{ lport 1 } drop {} xx").text, "Error before or at line 1");
  EXPECT_EQ(error_of("{ lport }  drop {}").text, "Bad Source Port on line: 1");
  EXPECT_EQ(error_of("{ lport 1 lport 2 }  drop {}").text, "Duplicate Source Port on line: 1");
  EXPECT_EQ(error_of("{ lport 0 } drop {}").text, "Bad Source Port on line: 1");
  EXPECT_EQ(error_of("{ ulp gre lport 1 } drop {}").text, "Bad Source Port on line: 1");
  EXPECT_EQ(error_of("{ tunnel t0 } drop {}").text,
            "Requires Negotiate on line: 1: tunnel and negotiate tokens must occur together");
  EXPECT_EQ(error_of("{ negotiate tunnel } drop {}").text,
            "Requires Tunnel on line: 1: tunnel and negotiate tokens must occur together");
  EXPECT_EQ(error_of("{ tunnel a234567890123456 negotiate tunnel } drop {}").text, "Bad Tunnel on line: 1");
  EXPECT_EQ(error_of("{ tunnel t0 negotiate nothing } drop {}").text, "Bad Negotiate on line: 1");
}

TEST_F(Ipsecconf, Limits) {
  std::string words;
  for (int count = 0; count < 21; ++count) words += "x ";
  EXPECT_EQ(error_of("{" + words + "} drop {}").text, "Number of Arguments exceeded 20");
  EXPECT_EQ(error_of("{ lport 1 } drop {" + std::string(1100, ' ') + "}").text,
            "line 1 is longer than 1024 characters");
  std::string lines;
  for (int count = 0; count < 9; ++count) lines += std::string(1000, ' ') + "\n";
  EXPECT_EQ(error_of("{ lport 1 } drop {" + lines + "}").text, "the entry is longer than 8192 characters");
  std::string ors = "{ lport 1 } drop {}";
  for (int count = 0; count < 20; ++count) ors += " or\npass {}";
  EXPECT_EQ(error_of(ors).text, "Too many actions.");
}

TEST_F(Ipsecconf, EveryErrorOfTheTextIsTold) {
  const PolicyText policy = parse(
      "{ lport nothing } drop {}\n"
      "{ lport 1 } drop {}\n"
      "{ tunnel t0 negotiate tunnel } ipsec { encr_algs rot13 }\n"
      "{ lport 5 drop {}\n"
      "{ laddr 10.0.0.0/99 rport x } bypass { auth_algs md4 }\n");
  std::vector<uint32_t> lines;
  for (const Problem& problem : policy.problems) lines.push_back(problem.line);
  EXPECT_THAT(lines, ::testing::ElementsAre(1, 3, 4, 5, 5, 5));
  EXPECT_TRUE(policy.entries.empty());
}

TEST_F(Ipsecconf, AnErrorPointsAtTheWord) {
  EXPECT_EQ(error_of("{\n\tlport 1\n\traddr 10.0.0.0/40 dir in\n} drop {}").str(),
            "ipsecinit.conf:3:8: error: Bad Destination Address on line: 3; /40 prefix is too big!\n"
            "    \traddr 10.0.0.0/40 dir in\n"
            "    \t      ^");
}

TEST_F(Ipsecconf, BinaryNoiseIsRefusedInOneSentence) {
  std::string noise = "{ lport 1 } drop {}\n";
  for (int byte = 0; byte < 4096; ++byte) noise += static_cast<char>(byte * 37);
  const PolicyText policy = parse(noise);
  ASSERT_EQ(policy.problems.size(), 1u);
  EXPECT_THAT(policy.problems.front().text, HasSubstr("is not text"));
}

TEST_F(Ipsecconf, AFloodOfErrorsEnds) {
  std::string text;
  for (int count = 0; count < 100'000; ++count) text += "{ bad word } drop {}\n";
  const PolicyText policy = parse(text);
  EXPECT_EQ(policy.problems.size(), kMaxProblems);
  EXPECT_THAT(policy.problems.back().text, HasSubstr("too many errors"));
}

TEST_F(Ipsecconf, EveryTruncationIsSafe) {
  const std::string whole =
      "{ tunnel t0 negotiate tunnel ulp icmp type 3-5 code 1 laddr 10.0.0.0/8 dir both } ipsec { encr_algs "
      "aes(128..256) encr_auth_algs sha1 sa shared } or drop {}\n";
  for (size_t length = 0; length <= whole.size(); ++length) {
    const PolicyText policy = parse(std::string_view(whole).substr(0, length));
    EXPECT_EQ(policy.ok(), policy.entries.size() <= 1 && count_errors(policy.problems) == 0);
  }
}

// ---- listings

TEST_F(Ipsecconf, ListingsUseNamesUnlessAsked) {
  resolver_.hosts["nas"] = {address("10.0.0.5")};
  const PolicyText policy = parse("{ ulp tcp laddr 10.0.0.0/24 lport 22 raddr nas rport 7 dir out } drop {}");
  const spd::Rule rule = policy.adds().front().second.front();
  EXPECT_EQ((PolicyPrinter{table_, &resolver_}.rule("", rule)),
            "{ ulp tcp laddr 10.0.0.0/24 lport ssh raddr nas/32 rport 7 dir out } drop { }");
  EXPECT_EQ((PolicyPrinter{table_}.listing("", rule)),
            "#INDEX 0\n{ ulp 6 laddr 10.0.0.0/24 lport 22 raddr 10.0.0.5/32 rport 7 dir out } drop { }\n");
}

TEST_F(Ipsecconf, AListingCanBeReadBack) {
  const std::string text =
      "{ tunnel t0 negotiate tunnel ulp 6 laddr 10.0.0.0/24 lport 22 raddr 10.0.1.0/24 rport 443 dir out } "
      "ipsec { auth_algs hmac-sha256(256) encr_algs aes-cbc(128..256) encr_auth_algs hmac-sha512(512) sa shared }\n";
  EXPECT_EQ(listed(text), text);
}

TEST_F(Ipsecconf, JsonHasTheParts) {
  const PolicyText policy =
      parse("{ tunnel t0 negotiate tunnel ulp 1 type 8 dir out raddr 10.0.0.0/8 } ipsec { encr_algs aes-gcm(256) }");
  const nlohmann::json json = PolicyPrinter{table_}.json("t0", policy.adds().front().second.front());
  EXPECT_EQ(json["tunnel"], "t0");
  EXPECT_EQ(json["selector"]["remote"], "10.0.0.0/8");
  EXPECT_EQ(json["selector"]["icmp_type"], nlohmann::json({8, 8}));
  EXPECT_EQ(json["actions"][0]["encryption"],
            nlohmann::json({{"algorithm", "aes-gcm"}, {"min_bits", 256}, {"max_bits", 256}}));
  EXPECT_EQ(json["origin"]["line"], 1);
  EXPECT_EQ(json["direction"], "out");
}

// ---- files

class PolicyFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/adit-policy-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& text) {
    const std::string path = folder_ + "/p.conf";
    std::ofstream(path) << text;
    return path;
  }
  std::string folder_;
};

TEST_F(PolicyFile, IsReadWhole) {
  EXPECT_EQ(read_policy_file(write("{ } drop {}\n")).value(), "{ } drop {}\n");
}

TEST_F(PolicyFile, AHundredMegabytesAreRefusedUnread) {
  const std::string path = write("");
  std::filesystem::resize_file(path, 100u << 20);
  const auto text = read_policy_file(path);
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().code, EFBIG);
  EXPECT_THAT(text.error().text, HasSubstr("16777216"));
}

TEST_F(PolicyFile, WhatIsNoFileIsRefused) {
  EXPECT_EQ(read_policy_file(folder_).error().code, EINVAL);
  EXPECT_EQ(read_policy_file("/dev/zero").error().code, EINVAL);
  EXPECT_EQ(read_policy_file(folder_ + "/none").error().code, ENOENT);
}

TEST_F(PolicyFile, OthersMayNotWriteATrustedOne) {
  const std::string path = write("");
  std::filesystem::permissions(path, std::filesystem::perms(0644));
  EXPECT_TRUE(read_trusted_policy_file(path).has_value());
  std::filesystem::permissions(path, std::filesystem::perms(0664));
  EXPECT_EQ(read_trusted_policy_file(path).error().code, EPERM);
  EXPECT_TRUE(read_policy_file(path).has_value()) << "what an operator names is not held to it";
}

}  // namespace
}  // namespace adit::config
