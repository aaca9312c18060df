#include "config/ipseckey/ipseckey.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "config/source/testing/fake_resolver.h"
#include "protocol/pf_key/translate.h"
#include "sad/validate.h"

namespace adit::config {
namespace {

const std::string kKey128 = "0123456789abcdef0123456789abcdef";
const std::string kKey160 = kKey128 + "a1b2c3d4";
const std::string kKey512 = kKey128 + kKey128 + kKey128 + kKey128;

net::Address address(std::string_view text) {
  return *net::Address::parse(text);
}

class IpseckeyTest : public ::testing::Test {
 protected:
  KeyText parse(const std::string& text) { return parse_ipseckeys(text, source_, table_, names_); }

  // The only message of a right text.
  sad::KeyMessage message(const std::string& text) {
    KeyText parsed = parse(text);
    EXPECT_TRUE(parsed.ok()) << (parsed.problems.empty() ? "" : parsed.problems[0].str());
    if (parsed.commands.size() != 1 || parsed.commands[0].messages.size() != 1) {
      ADD_FAILURE() << "not one message: " << text;
      return {};
    }
    return std::move(parsed.commands[0].messages[0]);
  }
  // The text of the first error; no key may be in any of them.
  std::string error(const std::string& text) {
    const KeyText parsed = parse(text);
    EXPECT_FALSE(parsed.ok()) << text;
    for (const Problem& problem : parsed.problems) {
      EXPECT_EQ(problem.str().find("0123456789abcdef"), std::string::npos) << problem.str();
      if (problem.severity == Severity::error)
        return problem.text + (problem.expected.empty() ? "" : "; " + problem.expected);
    }
    return {};
  }
  std::vector<std::string> warnings(const std::string& text) {
    std::vector<std::string> texts;
    for (const Problem& problem : parse(text).problems) {
      EXPECT_EQ(problem.severity, Severity::warning) << problem.str();
      texts.push_back(problem.text);
    }
    return texts;
  }

  crypto::AlgorithmTable table_ = crypto::AlgorithmTable::builtin();
  FakeResolver names_;
  KeySource source_{"ipseckeys", false, ""};
  const std::string kEsp = "add esp spi 0x2001 src 1.2.3.4 dst 5.6.7.8 encr_alg aes encrkey " + kKey128 +
                           " auth_alg sha512 authkey " + kKey512;
};

TEST_F(IpseckeyTest, TheGuidesKindOfSa) {
  auto m = message(kEsp);
  EXPECT_EQ(m.type, sad::KeyMessageType::add);
  EXPECT_EQ(m.satype, 3);
  EXPECT_EQ(m.sa->spi, sad::Spi{0x2001});
  EXPECT_EQ(m.sa->encr, 12);
  EXPECT_EQ(m.sa->auth, 7);
  EXPECT_EQ(m.sa->state, 1);
  EXPECT_EQ(m.source->address, address("1.2.3.4"));
  EXPECT_EQ(m.destination->address, address("5.6.7.8"));
  EXPECT_EQ(m.auth_key->bits, 512);
  EXPECT_FALSE(m.inner_source || m.name_space);
  // And the SAD takes it.
  const auto request = sad::to_request(m, table_);
  ASSERT_TRUE(request) << request.error().text;
  EXPECT_FALSE(request->spec.inner);
  EXPECT_EQ(request->spec.replay_window, 1024u);
  EXPECT_TRUE(sad::validate(*request, table_));
}

TEST_F(IpseckeyTest, InnerAddressesMakeATunnelAndFillTheirOtherSide) {
  auto m = message(kEsp + " isrc 10.0.0.0/24");
  EXPECT_NE(m.sa->flags & sad::kSaTunnel, 0u);
  EXPECT_EQ(m.inner_source->prefix_length, 24);
  EXPECT_EQ(m.inner_destination->address, address("::"));
  EXPECT_EQ(m.inner_destination->prefix_length, 0);
  EXPECT_EQ(m.source->protocol, 4);
  const auto request = sad::to_request(m, table_);
  ASSERT_TRUE(request) << request.error().text;
  EXPECT_EQ(request->spec.inner->destination, net::Prefix::any(net::Family::v4));
  auto v6 = message(kEsp + " innerdst 2001:db8::/32 iproto 17 idport 53");
  EXPECT_EQ(v6.source->protocol, 41);
  EXPECT_EQ(v6.inner_destination->port, 53);
  EXPECT_EQ(v6.inner_source->protocol, 17);
  // Both sides any: no selectors, any family.
  auto any = message(kEsp + " isrc ::/0 idst ::/0");
  EXPECT_FALSE(sad::to_request(any, table_)->spec.inner);
}

TEST_F(IpseckeyTest, EveryAliasIsUnderstood) {
  for (const std::string src : {"saddr", "srcaddr", "src"}) {
    for (const std::string dst : {"daddr", "dstaddr", "dst"}) {
      const auto m = message("delete esp spi 256 " + src + " 1.1.1.1 " + dst + " 2.2.2.2");
      EXPECT_EQ(m.source->address, address("1.1.1.1"));
      EXPECT_EQ(m.destination->address, address("2.2.2.2"));
    }
  }
  for (const std::string isrc : {"innersrc", "proxyaddr", "proxy", "isrc"})
    EXPECT_EQ(message(kEsp + " " + isrc + " 10.0.0.0/8").inner_source->prefix_length, 8) << isrc;
  EXPECT_EQ(message("add ah spi 256 dst 5.6.7.8 authalg md5 authkey " + kKey128).sa->auth, 2);
  EXPECT_EQ(
      message("add esp spi 256 dst 5.6.7.8 encralg 12 encrkey " + kKey128 + " authalg 5 authkey " + kKey128 + kKey128)
          .sa->encr,
      12);
  for (const std::string type : {"esp", "ESP", "Esp", "3"}) EXPECT_EQ(message("flush " + type).satype, 3);
  EXPECT_EQ(message("flush").satype, 0);
  EXPECT_EQ(message("flush all").satype, 0);
  EXPECT_EQ(message("get ah spi 256 dst ::1").satype, 2);
}

TEST_F(IpseckeyTest, NumbersAreCStyle) {
  EXPECT_EQ(message("get esp spi 0x1000 dst 5.6.7.8").sa->spi, sad::Spi{0x1000});
  EXPECT_EQ(message("get esp spi 01000 dst 5.6.7.8").sa->spi, sad::Spi{512});
  EXPECT_EQ(message("get esp spi 1000 dst 5.6.7.8").sa->spi, sad::Spi{1000});
  EXPECT_EQ(message("get esp spi 0xFFFFFFFF dst 5.6.7.8").sa->spi, sad::Spi{0xffffffff});
  EXPECT_NE(error("get esp spi 0x100000000 dst 5.6.7.8").find("too large"), std::string::npos);
  EXPECT_EQ(error("get esp spi 09 dst 5.6.7.8").find("Expecting a number, not \"09\"!"), 0u);
  EXPECT_EQ(error("get esp spi -1 dst 5.6.7.8").find("Expecting a number"), 0u);
}

TEST_F(IpseckeyTest, LifetimesPairsAndTheRestArrive) {
  auto m = message(kEsp +
                   " hard_alloc 1 hard_bytes 2 hard_addtime 3 hard_usetime 4 soft_alloc 1 soft_bytes 1 soft_addtime 1"
                   " soft_usetime 1 idle_addtime 1 idle_usetime 2 pair-spi 0x3001 inbound replay_value 9 esn"
                   " srcidtype fqdn alice.example dstidtype MAILBOX \"bob@example\"");
  EXPECT_EQ(m.hard->bytes, 2u);
  EXPECT_EQ(m.soft->use_seconds, 1u);
  EXPECT_EQ(m.idle->use_seconds, 2u);
  EXPECT_EQ(*m.pair, sad::Spi{0x3001});
  EXPECT_EQ(m.sa->flags, sad::kSaInbound | sad::kSaEsn);
  EXPECT_EQ(m.replay_value->full, 9u);
  EXPECT_EQ(m.source_identity->text, "alice.example");
  EXPECT_EQ(m.destination_identity->type, 3);
}

TEST_F(IpseckeyTest, UdpEncapsulationHasDefaults) {
  auto m = message(kEsp + " encap udp");
  EXPECT_EQ(m.natt_local->address, address("1.2.3.4"));
  EXPECT_EQ(m.natt_remote->port, 4500);
  auto given = message(kEsp + " encap udp nat_loc 10.1.1.1 nat_rem 10.2.2.2 nat_lport 1 nat_rport 2");
  EXPECT_EQ(given.natt_local->address, address("10.1.1.1"));
  EXPECT_EQ(given.natt_remote->port, 2);
  EXPECT_EQ(error(kEsp + " nat_loc 10.1.1.1"), "Must specify 'encap udp' with any NAT-T port/address.");
  EXPECT_EQ(error(kEsp + " nat_rport 5"), "Must specify 'encap udp' with any NAT-T port/address.");
  EXPECT_EQ(error(kEsp + " encap tcp"), "Can only specify udp encapsulation.");
}

TEST_F(IpseckeyTest, ReplayWindows) {
  EXPECT_EQ(message(kEsp + " replay 0").sa->flags & sad::kSaNoReplay, sad::kSaNoReplay);
  EXPECT_EQ(message(kEsp + " replay 64").sa->replay, 64);
  EXPECT_EQ(message(kEsp + " replay 4096").window(), 4096u);
  EXPECT_NE(error(kEsp + " replay 4097").find("at most 4096"), std::string::npos);
}

TEST_F(IpseckeyTest, EspWithoutACipherIsNull) {
  auto m = message("add esp spi 256 dst 5.6.7.8 auth_alg sha256 authkey " + kKey128 + kKey128);
  EXPECT_EQ(m.sa->encr, 11);
  EXPECT_TRUE(m.source->address.is_unspecified());
}

TEST_F(IpseckeyTest, CombinedCiphersTakeTheirSaltWithTheKey) {
  auto m = message("add esp spi 256 dst 5.6.7.8 encr_alg aes-gcm encrkey 0x" + kKey160);
  EXPECT_EQ(m.encr_key->bits, 160);
  const auto request = sad::to_request(m, table_);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->spec.encr_key.size(), 16u);
  EXPECT_EQ(request->spec.salt.size(), 4u);
  EXPECT_EQ(error("add esp spi 256 dst 5.6.7.8 encr_alg aes-gcm encrkey " + kKey128),
            "the key has 128 bits; aes-gcm takes 160, 224 or 288 bits (the last 32 are the salt)");
  EXPECT_NE(error("add esp spi 256 dst 5.6.7.8 encr_alg aes-gcm encrkey " + kKey160 + " auth_alg sha256 authkey " +
                  kKey128 + kKey128)
                .find("authenticates by itself"),
            std::string::npos);
}

TEST_F(IpseckeyTest, KeysMayHaveBitsAndOddDigits) {
  auto shorter = message("add ah spi 256 dst 5.6.7.8 auth_alg md5 authkey " + kKey128 + "ff/128");
  EXPECT_EQ(shorter.auth_key->bits, 128);
  const auto odd = warnings("add ah spi 256 dst 5.6.7.8 auth_alg 2 authkey " + kKey128.substr(1));
  EXPECT_TRUE(std::ranges::any_of(
      odd, [](const auto& w) { return w.find("odd number of hex digits (31)") != std::string::npos; }));
  auto padded = message("add ah spi 256 dst 5.6.7.8 auth_alg md5 authkey " + kKey128.substr(1));
  EXPECT_EQ(padded.auth_key->key.bytes().back(), 0xf0);
  EXPECT_EQ(error("add ah spi 256 dst 5.6.7.8 auth_alg md5 authkey " + kKey128 + "/129"),
            "bit length 129 is too big for authkey.");
  EXPECT_EQ(error("add ah spi 256 dst 5.6.7.8 auth_alg md5 authkey " + kKey128 + "zz")
                .find("the string after authkey is not a hex value"),
            0u);
  EXPECT_NE(error("add ah spi 256 dst 5.6.7.8 auth_alg md5 authkey " + kKey128 + "/x").find("bit specifier"),
            std::string::npos);
  EXPECT_EQ(error("add ah spi 256 dst 5.6.7.8 auth_alg sha256 authkey " + kKey128),
            "the key has 128 bits; hmac-sha256 takes 256 bits");
}

TEST_F(IpseckeyTest, EveryRefusal) {
  const std::string e = kEsp;
  const std::pair<std::string, std::string> cases[] = {
      {e + " colour blue", "Unknown extension field \"colour\""},
      {e + " spi 0x2002", "Can only specify single SPI value."},
      {e + " dst 5.6.7.9", "Can only specify single destination address."},
      {e + " daddr6 ::1", "Can only specify single destination address."},
      {e + " encr_alg 3des", "Can only specify single encryption algorithm."},
      {e + " authkey 12", "Can only specify single authentication key."},
      {e + " dpd 1", "Don't use extension dpd for add/update."},
      {e + " current_bytes 1", "Don't use extension current_bytes for add/update."},
      {"delete esp spi 256 dst 5.6.7.8 hard_bytes 1", "Don't use extension hard_bytes for 'delete'."},
      {"update-pair esp spi 256 dst 5.6.7.8 pair-spi 300",
       "pair-spi can not be used with the \"update-pair\" command."},
      {"add esp spi 256 encr_alg aes encrkey " + kKey128, "Need destination address for add."},
      {"delete esp spi 256", "Need destination address for delete."},
      {"add esp dst 5.6.7.8 encr_alg aes encrkey " + kKey128, "Need to define SPI for add."},
      {"get esp dst 5.6.7.8", "Need SA parameters for get."},
      {"add esp dst 5.6.7.8", "Need SA parameters for add."},
      {"add esp spi 256 dst 5.6.7.8", "Select at least one algorithm for this add."},
      {"add esp spi 256 dst 5.6.7.8 encr_alg aes", "Must have at least one key for an add."},
      {"add ah spi 256 dst 5.6.7.8 encr_alg aes", "Cannot specify encryption with SA type ah."},
      {"add ah spi 256 dst 5.6.7.8 auth_alg md5 encrkey " + kKey128, "Cannot specify encryption with SA type ah."},
      {"add esp spi 256 dst 5.6.7.8 encr_alg null encrkey " + kKey128,
       "Cannot specify a key with NULL encryption algorithm."},
      {"add esp spi 0 dst 5.6.7.8", "Invalid SPI value \"0\" ."},
      {"add esp spi 255 dst 5.6.7.8", "SPI 255 is reserved (RFC 4303 §2.1)"},
      {"add vpn spi 256", "Unknown SA type (\"vpn\")."},
      {"add", "Unexpected end of command line, was expecting an SA type."},
      {"add esp spi", "Unexpected end of command line, was expecting a number."},
      {"add esp spi 256 dst", "Unexpected end of command line, was expecting an address."},
      {e + " state", "Unexpected end of command line, was expecting a state."},
      {"add esp spi 256 encr_alg", "Unexpected end of command line, was expecting an algorithm name."},
      {"add esp spi 256 encrkey", "Unexpected end of command line, was expecting a key."},
      {e + " srcidtype fqdn", "Unexpected end of command line, was expecting an identity."},
      {e + " state asleep", "Unknown state type \"asleep\""},
      {e + " srcidtype shoe size", "Unknown identity type \"shoe\""},
      {"add esp spi 256 encr_alg rot13", "Unknown encryption algorithm type \"rot13\""},
      {"add esp spi 256 auth_alg rot13", "Unknown authentication algorithm type \"rot13\""},
      {"add esp spi 256 encr_alg 99", "Unknown encryption algorithm type \"99\""},
      {"get esp spi 256 dst nowhere.example", "Unknown destination address \"nowhere.example\""},
      {"get esp spi 256 dst6 1.2.3.4", "Unknown destination address \"1.2.3.4\""},
      {e + " isrc 10.0.0.0/33", "Invalid prefix /33."},
      {e + " isrc 10.0.0.0/x", "Invalid prefix /x."},
      {e + " isrc 10.0.0.0/8 idst 2001:db8::/32", "the inner addresses are of different address families"},
      {e + " sport 70000", "70000 is too large"},
      {"destroy all", "Unrecognized command \"destroy\""},
      {"flush esp now", "flush takes no \"now\""},
      {"monitor esp", "monitor takes no \"esp\""},
      {"add esp spi 256 dst 5.6.7.8 encr_alg aes encrkey " + kKey128 + " auth_alg sha256",
       "the authentication key is missing"},
      {"add esp spi 256 dst 5.6.7.8 auth_alg sha256 authkey " + kKey128 + kKey128 + " encr_alg aes",
       "the encryption key is missing"},
      {"add esp spi 256 dst 5.6.7.8 \"encr_alg", "the quoted text does not end on its line"},
      {std::string("add esp\x01spi"), "this is not text"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(error(text).find(expected), 0u) << text << "\n -> " << error(text);
}

TEST_F(IpseckeyTest, WarningsThatDoNotStop) {
  const auto warns = [&](const std::string& text, const std::string& expected) {
    const auto found = warnings(text);
    EXPECT_TRUE(std::ranges::any_of(found, [&](const auto& w) { return w.find(expected) != std::string::npos; }))
        << text;
  };
  warns(kEsp + " replay 64", "Replay with manual keying considered harmful.");
  warns(kEsp + " state larval", "larval");
  warns(kEsp + " isrc 10.0.0.0/8 proto 6", "not for use with Tunnel-Mode");
  warns("add esp spi 256 dst 5.6.7.8 encr_alg aes-gcm encrkey " + kKey160,
        "Counter mode algorithm such as \"aes-gcm\"");
  warns("add ah spi 256 dst 5.6.7.8 auth_alg md5 authkey " + kKey128 + "ff/128", "Lower bits will be truncated");
  warns("add ah spi 256 dst 5.6.7.8 auth_alg md5 authkey " + kKey128, "hmac-md5 is weak");
  warns("add esp spi 256 dst 5.6.7.8 encr_alg aes encrkey " + kKey128, "encryption without authentication");
  EXPECT_TRUE(warnings(kEsp).empty());
}

TEST_F(IpseckeyTest, WeaknessIsSaidOnceAText) {
  const std::string line = "add ah spi 256 dst 5.6.7.8 auth_alg md5 authkey " + kKey128 + "\n";
  EXPECT_EQ(warnings(line + line + line).size(), 1u);
}

TEST_F(IpseckeyTest, AFileHasCommentsContinuationAndQuotes) {
  const KeyText parsed = parse(
      "# keys of the site\n\n"
      "add esp \\\n   spi 0x2001 src 1.2.3.4 \\\r\n dst 5.6.7.8 # both ends\n"
      " flush ah   # nothing of those\n"
      "\t\n"
      "delete \"esp\" spi 0x100 dst \"5.6.7.8\"");
  // The first lacks algorithms; the others are taken.
  ASSERT_EQ(parsed.problems.size(), 1u);
  EXPECT_EQ(parsed.problems[0].line, 3u);
  ASSERT_EQ(parsed.commands.size(), 2u);
  EXPECT_EQ(parsed.commands[0].verb, KeyVerb::flush);
  EXPECT_EQ(parsed.commands[0].line, 6u);
  EXPECT_EQ(parsed.commands[1].messages[0].sa->spi, sad::Spi{0x100});
}

TEST_F(IpseckeyTest, AnErrorPointsAtItsWordAndShowsNoKey) {
  const KeyText parsed =
      parse("flush\nadd esp spi 0x2001 dst 5.6.7.8 \\\n  encr_alg aes encrkey " + kKey128 + " authalg sha3\n");
  ASSERT_EQ(parsed.problems.size(), 1u);
  const Problem& problem = parsed.problems[0];
  EXPECT_EQ(problem.file, "ipseckeys");
  EXPECT_EQ(problem.line, 3u);
  EXPECT_EQ(problem.column, 3u + 13 + 8 + 33 + 8);
  EXPECT_EQ(problem.source, "  encr_alg aes encrkey " + std::string(32, '*') + " authalg sha3");
  EXPECT_EQ(problem.str().find(kKey128), std::string::npos);
}

TEST_F(IpseckeyTest, AKeyInTheWrongPlaceIsNotShownEither) {
  for (const std::string& text :
       {"add esp spi 256 dst 5.6.7.8 encr_alg aes " + kKey128, "add esp spi 256 enckrey " + kKey128, "add " + kKey128,
        kKey128, "add esp spi " + kKey128, "flush esp 0x" + kKey128, "add esp encrkey \\\n " + kKey128 + "zz",
        "add esp authkey \"" + kKey128 + "zz\"", "get esp spi 256 dst " + kKey128, "add esp spi 256 state " + kKey128,
        kEsp + " encrkey" + kKey128, kEsp + " encrkey=" + kKey128, "add esp spi" + kKey128, "flush.esp/0x" + kKey128}) {
    const KeyText parsed = parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    for (const Problem& problem : parsed.problems)
      EXPECT_EQ(problem.str().find("0123456789abcdef"), std::string::npos) << problem.str();
  }
}

TEST_F(IpseckeyTest, NamesWithSeveralAddressesMakeSeveralSas) {
  names_.hosts["bob"] = {address("5.6.7.8"), address("2001:db8::8")};
  names_.hosts["alice"] = {address("1.2.3.4"), address("2001:db8::4"), address("2001:db8::5")};
  const KeyText parsed = parse("add ah spi 256 src alice dst bob auth_alg sha256 authkey " + kKey128 + kKey128);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.commands.size(), 1u);
  const auto& messages = parsed.commands[0].messages;
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0].source->address, address("1.2.3.4"));
  EXPECT_TRUE(messages[1].source->address.is_unspecified());  // two of that family
  EXPECT_FALSE(messages[1].auth_key->key.empty());
  EXPECT_EQ(parsed.problems.size(), 1u);
  EXPECT_NE(error(kEsp + " isrc bob").find("Vague"), std::string::npos);
  source_.numeric = true;
  EXPECT_NE(error("get esp spi 256 dst bob").find("-n"), std::string::npos);
}

TEST_F(IpseckeyTest, TheNamespaceTravelsWithEveryMessage) {
  source_.name_space = "svc:/vpn";
  EXPECT_EQ(message(kEsp).name_space->name, "svc:/vpn");
  EXPECT_EQ(message("flush").name_space->name, "svc:/vpn");
  EXPECT_EQ(message("dump esp").name_space->name, "svc:/vpn");
}

TEST_F(IpseckeyTest, WordsOfACommandLine) {
  const std::vector<std::string> right{"save", "all", "/tmp/keys"}, wrong{"flush", "esp", "x"};
  const auto saved = parse_ipseckey_words(right, source_, table_, names_);
  ASSERT_TRUE(saved.ok());
  EXPECT_EQ(saved.commands[0].file, "/tmp/keys");
  const auto refused = parse_ipseckey_words(wrong, {"ipseckey", false, ""}, table_, names_);
  EXPECT_EQ(refused.problems.at(0).str(), "ipseckey: error: flush takes no \"x\"");
}

TEST_F(IpseckeyTest, TheServicesFileIsAddsAndFlushes) {
  const auto requests =
      associations_of(parse(kEsp + "\nflush esp\nadd ah spi 0x300 dst 5.6.7.8 auth_alg sha256 authkey " + kKey128 +
                            kKey128 + "\n" + kEsp),
                      table_);
  ASSERT_TRUE(requests) << requests.error().text;
  ASSERT_EQ(requests->size(), 2u);
  EXPECT_EQ((*requests)[0].spec.type, sad::SaType::ah);
  EXPECT_EQ((*requests)[1].spec.spi, sad::Spi{0x2001});
  EXPECT_NE(associations_of(parse("delete esp spi 256 dst 5.6.7.8"), table_).error().text.find("add and flush only"),
            std::string::npos);
  EXPECT_EQ(associations_of(parse("add\nadd\n"), table_).error().text, "The configuration file contained 2 errors.");
}

TEST_F(IpseckeyTest, EveryTruncationOfAFileIsHarmless) {
  const std::string text = "# x\n" + kEsp + " isrc 10.0.0.0/24 \\\n idst \"10.0.1.0/24\"\nflush\n";
  for (size_t length = 0; length <= text.size(); ++length) (void)parse(text.substr(0, length));
}

TEST_F(IpseckeyTest, NoiseAndHugeTextsAreRefusedQuickly) {
  std::string noise;
  for (int i = 0; i < 200'000; ++i) noise += static_cast<char>(i * 7919 >> 3);
  EXPECT_FALSE(parse(noise).ok());
  EXPECT_FALSE(parse(std::string(kMaxKeyFileBytes + 1, 'x')).ok());
  EXPECT_FALSE(parse(std::string(1 << 20, 'x')).ok());
}

}  // namespace
}  // namespace adit::config
