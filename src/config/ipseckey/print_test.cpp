#include "config/ipseckey/print.h"

#include <gtest/gtest.h>

#include "config/ipseckey/ipseckey.h"
#include "config/source/system_resolver.h"
#include "protocol/pf_key/translate.h"

namespace adit::config {
namespace {

net::Address address(std::string_view text) {
  return *net::Address::parse(text);
}

sad::KeyMessage dumped() {
  sad::KeyMessage m;
  m.type = sad::KeyMessageType::dump;
  m.satype = 3;
  m.seq = 1;
  m.pid = 42;
  m.words = 60;
  m.sa = sad::SaExtension{
      sad::Spi{0x2001}, 255, 1, 7, 12, sad::kSaTunnel | sad::kSaUsed | sad::kSaInbound | sad::kSaPaired};
  m.replay_window = 1024;
  m.source = sad::AddressExtension{address("1.2.3.4"), 0, 4, 0};
  m.destination = sad::AddressExtension{address("5.6.7.8"), 0, 4, 0};
  m.inner_source = sad::AddressExtension{address("10.0.0.0"), 24, 0, 0};
  m.inner_destination = sad::AddressExtension{address("10.0.1.0"), 24, 0, 0};
  m.encr_key = sad::KeyExtension{*Secret::from_hex("000102030405060708090a0b0c0d0e0f"), 128, 0};
  m.auth_key = sad::KeyExtension{*Secret::from_hex(std::string(128, 'a')), 512, 0};
  m.current = sad::Lifetime{5, 2048, 1'700'000'000, 1'700'000'010};
  m.hard = sad::Lifetime{0, 4096, 7200, 0};
  m.soft = sad::Lifetime{0, 0, 3600, 0};
  m.idle = sad::Lifetime{0, 0, 30, 90};
  m.pair = sad::Spi{0x3001};
  m.replay_value = sad::ReplayValue{17, 0};
  m.cookie = sad::KmCookie{sad::KmProtocol::ike, 9};
  return m;
}

class PrintTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  std::string print(const sad::KeyMessage& message, KeyPrintOptions options = {}) {
    return std::string(print_key_message(message, table_, options));
  }
  crypto::AlgorithmTable table_ = crypto::AlgorithmTable::builtin();
};

TEST_F(PrintTest, ADumpedSaInNumbers) {
  KeyPrintOptions options;
  options.now = 1'700'000'100;
  EXPECT_EQ(print(dumped(), options),
            "Base message (version 2) type DUMP, SA type ESP.\n"
            "Message length 480 bytes, seq=1, pid=42.\n"
            "SA: SADB_ASSOC spi=0x2001, replay window size=1024, state=MATURE\n"
            "SA: Authentication algorithm = hmac-sha512\n"
            "SA: Encryption algorithm = aes-cbc\n"
            "SA: flags=0x80034000 < X_USED X_PAIRED X_INBOUND X_TUNNEL >\n"
            "SRC: Source address (proto=4)\n"
            "SRC: AF_INET: port 0, 1.2.3.4\n"
            "DST: Destination address (proto=4)\n"
            "DST: AF_INET: port 0, 5.6.7.8\n"
            "INS: Inner source address (proto=0)\n"
            "INS: AF_INET: port 0, 10.0.0.0/24\n"
            "IND: Inner destination address (proto=0)\n"
            "IND: AF_INET: port 0, 10.0.1.0/24\n"
            "AKY: Authentication key.\n"
            "AKY: " +
                std::string(128, 'a') +
                "/512\n"
                "EKY: Encryption key.\n"
                "EKY: 000102030405060708090a0b0c0d0e0f/128\n"
                "KMC: Protocol 1, cookie=\"IKE\" (9)\n"
                "OTH: Paired with spi=0x3001\n"
                "RPL: Replay Value 17\n"
                " LT: Lifetime information\n"
                "CLT: Current lifetime information:\n"
                "CLT: 2048 bytes (2.00 KiB) protected, 5 allocations used.\n"
                "CLT: SA added at time: Tue Nov 14 22:13:20 2023\n"
                "CLT: SA first used at time Tue Nov 14 22:13:30 2023\n"
                "CLT: Time now is Tue Nov 14 22:15:00 2023\n"
                "SLT: Soft lifetime information:\n"
                "SLT: 0 bytes of lifetime, 0 allocations.\n"
                "SLT: 3600 seconds (1.00 hours) of post-add lifetime.\n"
                "SLT: 0 seconds of post-use lifetime.\n"
                "SLT: Soft expiration occurs in 3500 seconds (58.33 minutes)\n"
                "SLT: Time of expiration: Tue Nov 14 23:13:20 2023.\n"
                "HLT: Hard lifetime information:\n"
                "HLT: 4096 bytes (4.00 KiB) of lifetime, 0 allocations.\n"
                "HLT: 7200 seconds (2.00 hours) of post-add lifetime.\n"
                "HLT: 0 seconds of post-use lifetime.\n"
                "HLT: 2048 bytes (2.00 KiB) more can be protected.\n"
                "HLT: Hard expiration occurs in 7100 seconds (1.97 hours)\n"
                "HLT: Time of expiration: Wed Nov 15 00:13:20 2023.\n"
                "ILT: Idle lifetime information:\n"
                "ILT: 30 seconds of post-add lifetime.\n"
                "ILT: 90 seconds (1.50 minutes) of post-use lifetime.\n");
}

TEST_F(PrintTest, HiddenKeysAreNotThere) {
  KeyPrintOptions options;
  options.hide_keys = true;
  const std::string text = print(dumped(), options);
  EXPECT_EQ(text.find("0001020304"), std::string::npos);
  EXPECT_EQ(text.find("aaaaaaaa"), std::string::npos);
  EXPECT_NE(text.find("EKY: <hidden>/128"), std::string::npos);
}

TEST_F(PrintTest, ErrorsMonitorsAndNames) {
  sad::KeyMessage m;
  m.type = sad::KeyMessageType::delete_pair;
  m.satype = 2;
  m.error = ESRCH;
  m.diagnostic = 76;
  m.source = sad::AddressExtension{address("0.0.0.0"), 0, 0, 0};
  SystemResolver resolver;
  KeyPrintOptions options;
  options.timestamp = 1'700'000'000;
  options.resolver = &resolver;
  EXPECT_EQ(print(m, options),
            "Timestamp: Tue Nov 14 22:13:20 2023\n"
            "Base message (version 2) type DELETE PAIR, SA type AH.\n"
            "Error No such process from PF_KEY.\n"
            "  Diagnostic code 76:  the SA to pair with was not found.\n"
            "Message length 0 bytes, seq=0, pid=0.\n"
            "SRC: Source address (proto=0/<unspecified>)\n"
            "SRC: AF_INET: port 0, 0.0.0.0 (<unspecified>)\n");
}

TEST_F(PrintTest, ProposalsAndAlgorithmLists) {
  sad::KeyMessage m;
  m.type = sad::KeyMessageType::acquire;
  m.extended_proposal =
      sad::ExtendedProposal{64, {{0, {}, {0, 0, 28800, 0}, {{3, 2, 20, 32, 128, 256}, {3, 1, 5, 0, 256, 256}}}}};
  m.supported_encr = std::vector<sad::SupportedAlgorithm>{{20, 8, 64, 32, 128, 256}};
  m.range = sad::SpiRange{256, 0xffff};
  const std::string text = print(m);
  EXPECT_NE(text.find("SA type <unspecified/all>."), std::string::npos);
  EXPECT_NE(text.find("EPR: Extended Proposal, replay counter = 64, number of combinations = 1.\n"), std::string::npos);
  EXPECT_NE(text.find("EPR:  Alg #1 for ESP Encryption = aes-gcm  minbits=128, maxbits=256, saltbits=32\n"),
            std::string::npos);
  EXPECT_NE(text.find("EPR:  Alg #2 for ESP Authentication = hmac-sha256  minbits=256"), std::string::npos);
  EXPECT_NE(text.find("SUE: aes-gcm minbits=128, maxbits=256, ivlen=8, saltbits=32, increment=64.\n"),
            std::string::npos);
  EXPECT_NE(text.find("SPR: SPI Range, min=0x100, max=0xffff\n"), std::string::npos);
}

TEST_F(PrintTest, WhatAPeerNamedCannotDriveTheTerminal) {
  sad::KeyMessage m;
  m.type = sad::KeyMessageType::get;
  m.source_identity = sad::Identity{2, 0, "evil\x1b[2J"};
  EXPECT_EQ(print(m).find('\x1b'), std::string::npos);
}

// save, then the grammar, then the SAD's terms: nothing is lost.
TEST_F(PrintTest, WhatIsSavedMakesTheSameSaAgain) {
  sad::KeyMessage saved = dumped();
  saved.natt_local = sad::AddressExtension{address("1.2.3.4"), 0, 17, 4500};
  saved.natt_remote = sad::AddressExtension{address("9.9.9.9"), 0, 17, 4501};
  saved.source_identity = sad::Identity{2, 0, "alice.example"};
  const std::string text = save_header() + std::string(save_association(saved, table_));
  EXPECT_NE(text.find("# begin assoc\nadd esp \\\n    spi 0x2001"), std::string::npos);
  EXPECT_NE(text.find("\n# end assoc\n"), std::string::npos);
  SystemResolver resolver;
  KeyText parsed = parse_ipseckeys(text, {"saved", true, ""}, table_, resolver);
  ASSERT_TRUE(parsed.ok()) << parsed.problems[0].str();
  ASSERT_EQ(parsed.commands.size(), 1u);
  const auto again = sad::to_request(parsed.commands[0].messages.at(0), table_);
  ASSERT_TRUE(again) << again.error().text;
  const sad::SaSpec& spec = again->spec;
  EXPECT_EQ(spec.spi, sad::Spi{0x2001});
  EXPECT_EQ(spec.replay_window, 1024u);
  EXPECT_TRUE(spec.inbound);
  EXPECT_EQ(spec.pair, sad::Spi{0x3001});
  EXPECT_EQ(spec.inner->destination, *net::Prefix::parse("10.0.1.0/24"));
  EXPECT_EQ(spec.nat->remote, address("9.9.9.9"));
  EXPECT_EQ(spec.nat->remote_port, 4501);
  EXPECT_TRUE(spec.encr_key == dumped().encr_key->key);
  EXPECT_TRUE(spec.auth_key == dumped().auth_key->key);
  EXPECT_EQ(again->hard->bytes, 4096u);
  EXPECT_EQ(again->idle->use_seconds, 90u);
  EXPECT_EQ(again->replay_value, 17u);
  EXPECT_EQ(spec.source_identity->text, "alice.example");
}

// A delegated user's, who may name himself as he likes.
TEST_F(PrintTest, AnIdentityThatNoFileHoldsKeepsNoSavedFileFromLoading) {
  for (const char* name : {"evil\x1b[2J", "two\nlines", "a\"quote", "bell\x07", "delete\x7f"}) {
    sad::KeyMessage saved = dumped();
    saved.source_identity = sad::Identity{2, 0, name};
    const std::string text = save_header() + std::string(save_association(saved, table_));
    SystemResolver resolver;
    const KeyText parsed = parse_ipseckeys(text, {"saved", true, ""}, table_, resolver);
    EXPECT_TRUE(parsed.ok()) << parsed.problems[0].str();
    EXPECT_EQ(parsed.commands.size(), 1u);
  }
}

TEST(ListingResolver, AsksOnceForEachAddressAndGivesUpWhereNobodyAnswers) {
  int asked = 0;
  const auto ask = [&](const net::Address&) {
    ++asked;
    return std::optional<std::string>("alice");
  };
  const auto one = net::Address::v4(0x01020304), two = net::Address::v4(0x05060708);
  const ListingResolver quick(ask, std::chrono::hours(1));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(quick.host_name(one), "alice");
  EXPECT_EQ(quick.host_name(two), "alice");
  EXPECT_EQ(asked, 2);
  const ListingResolver slow(ask, std::chrono::milliseconds(0));
  EXPECT_EQ(slow.host_name(one), "alice");
  EXPECT_EQ(slow.host_name(two), std::nullopt);
  EXPECT_EQ(slow.host_name(one), "alice");
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace adit::config
