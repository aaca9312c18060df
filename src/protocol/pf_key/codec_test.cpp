#include "protocol/pf_key/codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>

#include <adit/pfkeyv2.h>

namespace adit::protocol {
namespace {
using namespace sad;
using D = Diagnostic;

net::Address address(std::string_view text) {
  return *net::Address::parse(text);
}
AddressExtension host(std::string_view text, uint8_t protocol = 0, uint16_t port = 0) {
  return {address(text), 0, protocol, port};
}
KeyExtension key(std::string_view hex) {
  Secret secret = *Secret::from_hex(hex);
  const auto bits = static_cast<uint16_t>(secret.size() * 8);
  return {std::move(secret), bits, 0};
}

KeyMessage base(KeyMessageType type, uint8_t satype = 3) {
  KeyMessage message;
  message.type = type;
  message.satype = satype;
  message.seq = 7;
  message.pid = 42;
  return message;
}

KeyMessage full_add() {
  KeyMessage m = base(KeyMessageType::add);
  m.sa = SaExtension{Spi{0x2001}, 64, 1, 7, 12, kSaTunnel | kSaInbound};
  m.hard = Lifetime{1, 2, 3, 4};
  m.soft = Lifetime{5, 6, 7, 8};
  m.idle = Lifetime{0, 0, 9, 10};
  m.source = host("1.2.3.4", 4);
  m.destination = host("5.6.7.8", 4);
  m.inner_source = AddressExtension{address("2001:db8::"), 32, 17, 4000};
  m.inner_destination = AddressExtension{address("2001:db9::"), 32, 17, 53};
  m.natt_local = host("1.2.3.4", 17, 4500);
  m.natt_remote = host("5.6.7.8", 17, 4501);
  m.auth_key = key("00112233445566778899");
  m.encr_key = key("0123456789abcdef0123456789abcdef");
  m.source_identity = Identity{2, 0, "alice.example"};
  m.destination_identity = Identity{3, 5, "bob@example"};
  m.cookie = KmCookie{KmProtocol::ikev2, 0x1122334455667788};
  m.pair = Spi{0x3001};
  m.replay_value = ReplayValue{17, 0};
  m.replay_window = 2048;
  m.name_space = NamespaceExtension{"svc:/vpn", true};
  m.text = "because";
  return m;
}

std::vector<KeyMessage> one_of_each() {
  std::vector<KeyMessage> all;
  KeyMessage& getspi = all.emplace_back(base(KeyMessageType::getspi));
  getspi.source = host("::1");
  getspi.destination = host("2001:db8::1");
  getspi.range = SpiRange{0x100, 0xfffffffe};
  all.push_back(full_add());
  KeyMessage& update = all.emplace_back(full_add());
  update.type = KeyMessageType::update;
  for (const auto type : {KeyMessageType::del, KeyMessageType::get, KeyMessageType::delete_pair,
                          KeyMessageType::delete_pair_state, KeyMessageType::update_pair}) {
    KeyMessage& named = all.emplace_back(base(type));
    named.sa = SaExtension{Spi{0x2001}, 0, 1, 0, 0, 0};
    named.source = host("1.2.3.4");
    named.destination = host("5.6.7.8");
  }
  KeyMessage& acquire = all.emplace_back(base(KeyMessageType::acquire, 0));
  acquire.source = host("1.2.3.4", 4);
  acquire.destination = host("5.6.7.8", 4);
  Combination combination;
  combination.auth = 5, combination.encr = 12, combination.auth_min = combination.auth_max = 256;
  combination.encr_min = 128, combination.encr_max = 256, combination.hard.add_seconds = 28800;
  acquire.proposal = Proposal{255, {combination, combination}};
  acquire.extended_proposal = ExtendedProposal{255,
                                               {{0, {}, {0, 0, 28800, 0}, {{3, 2, 20, 32, 128, 256}}},
                                                {0, {}, {}, {{3, 2, 12, 0, 128, 256}, {3, 1, 5, 0, 256, 256}}}}};
  KeyMessage& reg = all.emplace_back(base(KeyMessageType::reg, 0));
  reg.extended_register = std::vector<uint8_t>{2, 3};
  reg.supported_auth = std::vector<SupportedAlgorithm>{{5, 0, 0, 0, 256, 256}};
  reg.supported_encr = std::vector<SupportedAlgorithm>{{12, 16, 64, 0, 128, 256}, {20, 8, 64, 32, 128, 256}};
  KeyMessage& expire = all.emplace_back(base(KeyMessageType::expire));
  expire.sa = SaExtension{Spi{0x2001}, 0, 2, 0, 0, 0};
  expire.current = Lifetime{1, 2, 3, 4};
  expire.soft = Lifetime{1, 2, 3, 4};
  all.push_back(base(KeyMessageType::flush, 0));
  KeyMessage& dump = all.emplace_back(base(KeyMessageType::dump, 0));
  dump.dump_timeout = 600;
  all.push_back(base(KeyMessageType::promisc, 1));
  KeyMessage& inverse = all.emplace_back(base(KeyMessageType::inverse_acquire, 0));
  inverse.source = host("1.2.3.4");
  inverse.destination = host("5.6.7.8");
  KeyMessage& odd = all.emplace_back(base(KeyMessageType::add));
  odd.sensitivity = SensitivityExtension{std::vector<uint8_t>(12, 0)};
  odd.string_auth = SecretBytes{'s', 'e', 'c', 'r', 'e', 't'};
  return all;
}

Diagnostic diagnostic_of(const SecretBytes& bytes) {
  const auto decoded = decode_key_message(bytes);
  return decoded ? D::none : decoded.error().diagnostic;
}

// Puts an extension's bytes behind a message and mends the length.
void append(SecretBytes& message, const SecretBytes& extension) {
  message.insert(message.end(), extension.begin(), extension.end());
  const auto words = static_cast<uint16_t>(message.size() / 8);
  std::memcpy(&message[4], &words, 2);
}
SecretBytes extension_of(const std::function<void(KeyMessage&)>& set) {
  KeyMessage message = base(KeyMessageType::add);
  set(message);
  const auto bytes = encode_key_message(message);
  return {bytes.begin() + kKeyHeaderBytes, bytes.end()};
}

TEST(KeyCodec, WhatIsEncodedDecodesToTheSameBytes) {
  for (const KeyMessage& message : one_of_each()) {
    const auto bytes = encode_key_message(message);
    EXPECT_EQ(bytes.size() % 8, 0u);
    const auto decoded = decode_key_message(bytes);
    ASSERT_TRUE(decoded) << static_cast<int>(message.type) << ' ' << decoded.error().text;
    EXPECT_EQ(decoded->words * 8u, bytes.size());
    EXPECT_EQ(encode_key_message(*decoded), bytes) << static_cast<int>(message.type);
  }
}

TEST(KeyCodec, EveryFieldOfAnAddArrives) {
  const auto m = decode_key_message(encode_key_message(full_add()));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->sa->spi, Spi{0x2001});
  EXPECT_EQ(m->sa->encr, 12);
  EXPECT_EQ(m->hard->bytes, 2u);
  EXPECT_EQ(m->idle->use_seconds, 10u);
  EXPECT_EQ(m->destination->address, address("5.6.7.8"));
  EXPECT_EQ(m->inner_destination->port, 53);
  EXPECT_EQ(m->inner_source->prefix_length, 32);
  EXPECT_EQ(m->natt_remote->port, 4501);
  EXPECT_EQ(m->auth_key->bits, 80);
  EXPECT_TRUE(m->encr_key->key == *Secret::from_hex("0123456789abcdef0123456789abcdef"));
  EXPECT_EQ(m->source_identity->text, "alice.example");
  EXPECT_EQ(m->cookie->cookie, 0x1122334455667788u);
  EXPECT_EQ(*m->pair, Spi{0x3001});
  EXPECT_EQ(m->window(), 2048u);
  EXPECT_EQ(m->name_space->name, "svc:/vpn");
  EXPECT_TRUE(m->name_space->override_owner);
  EXPECT_EQ(m->text, "because");
}

// The layout that was released: little-endian hosts.
TEST(KeyCodec, GoldenBytesOfADelete) {
  if (std::endian::native != std::endian::little) GTEST_SKIP();
  KeyMessage m = base(KeyMessageType::del);
  m.sa = SaExtension{Spi{0x2001}, 0, 1, 0, 0, 0};
  m.destination = host("5.6.7.8");
  const SecretBytes expected = {
      2, 4, 0, 3, 7, 0, 0,    0,    7, 0, 0, 0, 42, 0, 0, 0,  // version type errno satype, 7 words, seq, pid
      2, 0, 1, 0, 0, 0, 0x20, 0x01, 0, 1, 0, 0, 0,  0, 0, 0,  // SA: spi in network order, state 1
      3, 0, 6, 0, 0, 0, 0,    0,    2, 0, 0, 0, 5,  6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0};  // ADDRESS_DST: AF_INET
  EXPECT_EQ(encode_key_message(m), expected);
}

TEST(KeyCodec, EveryTruncationOfEveryMessageIsRefusedAndHarmless) {
  for (const KeyMessage& message : one_of_each()) {
    const auto bytes = encode_key_message(message);
    for (size_t length = 0; length < bytes.size(); ++length) {
      // A buffer of exactly that size, so that a sanitizer sees any step beyond.
      const SecretBytes cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
      const auto decoded = decode_key_message(cut);
      ASSERT_FALSE(decoded);
      ASSERT_EQ(decoded.error().code, EMSGSIZE);
      // The same, but with a header that agrees: now the extensions have to be looked at.
      if (length < kKeyHeaderBytes || length % 8 != 0) continue;
      SecretBytes agreeing = cut;
      const auto words = static_cast<uint16_t>(length / 8);
      std::memcpy(&agreeing[4], &words, 2);
      if (const auto partial = decode_key_message(agreeing); !partial) {
        ASSERT_EQ(partial.error().code, EINVAL);
      }
    }
  }
}

TEST(KeyCodec, RandomBytesInsideMessagesAreHarmless) {
  std::mt19937 random(4);
  for (const KeyMessage& message : one_of_each()) {
    const auto bytes = encode_key_message(message);
    for (int i = 0; i < 3000; ++i) {
      SecretBytes spoiled = bytes;
      for (unsigned j = 0; j <= random() % 4; ++j) spoiled[random() % spoiled.size()] = static_cast<uint8_t>(random());
      if (const auto decoded = decode_key_message(spoiled)) {
        (void)encode_key_message(*decoded);
      }
    }
  }
}

TEST(KeyCodec, HeadersThatLieAreRefused) {
  auto bytes = encode_key_message(base(KeyMessageType::flush));
  bytes.resize(24);
  EXPECT_EQ(decode_key_message(bytes).error().code, EMSGSIZE);  // longer than it says
  auto version = encode_key_message(base(KeyMessageType::flush));
  version[0] = 3;
  EXPECT_EQ(diagnostic_of(version), D::bad_version);
  for (const uint8_t type : {0, 16, 255}) {
    auto unknown = encode_key_message(base(KeyMessageType::flush));
    unknown[1] = type;
    EXPECT_EQ(diagnostic_of(unknown), D::unknown_message) << +type;
  }
}

TEST(KeyCodec, UnknownAndImpossibleExtensionsAreRefused) {
  const auto with = [](SecretBytes extension) {
    auto bytes = encode_key_message(base(KeyMessageType::add));
    append(bytes, extension);
    return diagnostic_of(bytes);
  };
  EXPECT_EQ(with({1, 0, 0, 0, 0, 0, 0, 0}), D::unknown_extension);
  EXPECT_EQ(with({1, 0, 99, 0, 0, 0, 0, 0}), D::unknown_extension);
  EXPECT_EQ(with({0, 0, 1, 0, 0, 0, 0, 0}), D::bad_extension_length);  // no length: would never end
  EXPECT_EQ(with({9, 0, 1, 0, 0, 0, 0, 0}), D::bad_extension_length);  // beyond the end
}

TEST(KeyCodec, EachExtensionThatIsThereTwiceHasItsDiagnostic) {
  struct Case {
    D expected;
    std::function<void(KeyMessage&)> set;
  };
  const Case cases[] = {{D::duplicate_source, [](auto& m) { m.source = host("1.2.3.4"); }},
                        {D::duplicate_destination, [](auto& m) { m.destination = host("1.2.3.4"); }},
                        {D::duplicate_sa, [](auto& m) { m.sa = SaExtension{Spi{0x2001}, 0, 1, 0, 0, 0}; }},
                        {D::duplicate_encr_key, [](auto& m) { m.encr_key = key("01"); }},
                        {D::duplicate_auth_key, [](auto& m) { m.auth_key = key("01"); }},
                        {D::duplicate_range, [](auto& m) { m.range = SpiRange{256, 300}; }},
                        {D::duplicate_km_cookie, [](auto& m) { m.cookie = KmCookie{}; }},
                        {D::duplicate_natt_local, [](auto& m) { m.natt_local = host("1.2.3.4"); }},
                        {D::duplicate_natt_remote, [](auto& m) { m.natt_remote = host("1.2.3.4"); }},
                        {D::duplicate_inner_source, [](auto& m) { m.inner_source = host("1.2.3.4"); }},
                        {D::duplicate_inner_destination, [](auto& m) { m.inner_destination = host("1.2.3.4"); }},
                        {D::duplicate_extension, [](auto& m) { m.hard = Lifetime{}; }},
                        {D::duplicate_extension, [](auto& m) { m.idle = Lifetime{}; }},
                        {D::duplicate_extension, [](auto& m) { m.pair = Spi{0x100}; }},
                        {D::duplicate_extension, [](auto& m) { m.name_space = NamespaceExtension{"a", false}; }},
                        {D::duplicate_string_key, [](auto& m) { m.string_auth = SecretBytes{'a'}; }}};
  for (const Case& c : cases) {
    auto bytes = encode_key_message(base(KeyMessageType::add));
    append(bytes, extension_of(c.set));
    ASSERT_EQ(diagnostic_of(bytes), D::none) << &c - cases;
    append(bytes, extension_of(c.set));
    EXPECT_EQ(diagnostic_of(bytes), c.expected) << &c - cases;
  }
}

TEST(KeyCodec, EachMalformedExtensionHasItsDiagnostic) {
  // Extension bytes are spoiled in place: `at` is an offset in the extension.
  struct Case {
    D expected;
    std::function<void(KeyMessage&)> set;
    std::function<void(SecretBytes&)> spoil;
  };
  const auto put = [](size_t at, uint8_t value) { return [=](SecretBytes& e) { e[at] = value; }; };
  const auto grow = [](SecretBytes& e) { e.resize(e.size() + 8), e[0] = static_cast<uint8_t>(e[0] + 1); };
  const auto shrink = [](SecretBytes& e) { e.resize(e.size() - 8), e[0] = static_cast<uint8_t>(e[0] - 1); };
  const auto v4 = [](auto& m) { m.source = host("1.2.3.4"); };
  const auto v6 = [](auto& m) { m.destination = host("2001:db8::1"); };
  const auto inner = [](auto& m) { m.inner_source = AddressExtension{address("10.0.0.0"), 8, 0, 0}; };
  const auto mapped = [](auto& m) { m.inner_destination = AddressExtension{address("::ffff:10.0.0.0"), 104, 0, 0}; };
  const Case cases[] = {
      {D::malformed_source, v4, grow},
      {D::malformed_source, v4, shrink},
      {D::malformed_source, v4, put(5, 33)},
      {D::bad_source_af, v4, put(8, 99)},
      {D::malformed_destination, v6, shrink},
      {D::malformed_destination, v6, put(5, 129)},
      {D::bad_destination_af, v6, put(8, 99)},
      {D::bad_inner_source_af, inner, put(8, 99)},
      {D::bad_inner_source_prefix, inner, put(5, 33)},
      {D::malformed_inner_source, inner, shrink},
      {D::bad_inner_destination_prefix, mapped, put(5, 95)},
      {D::bad_inner_destination_af, mapped, put(8, 99)},
      {D::malformed_natt_local, [](auto& m) { m.natt_local = host("1.2.3.4"); }, grow},
      {D::bad_natt_remote_af, [](auto& m) { m.natt_remote = host("1.2.3.4"); }, put(8, 99)},
      {D::malformed_sa, [](auto& m) { m.sa = SaExtension{}; }, grow},
      {D::malformed_encr_key, [](auto& m) { m.encr_key = key("0123456789abcdef"); }, put(4, 0)},
      {D::malformed_encr_key, [](auto& m) { m.encr_key = key("0123456789abcdef"); }, put(4, 65)},
      {D::malformed_encr_key, [](auto& m) { m.encr_key = key("0100000000000000"); }, put(8, 0)},  // all zero
      {D::malformed_auth_key, [](auto& m) { m.auth_key = key("0123456789abcdef"); }, grow},
      {D::malformed_auth_key, [](auto& m) { m.auth_key = key("0123456789abcdef"); }, put(5, 1)},
      {D::malformed_range, [](auto& m) { m.range = SpiRange{256, 300}; }, put(4, 1)},
      {D::malformed_range, [](auto& m) { m.range = SpiRange{256, 300}; }, grow},
      {D::bad_extension_length, [](auto& m) { m.hard = Lifetime{}; }, grow},
      {D::bad_extension_length, [](auto& m) { m.pair = Spi{1}; }, grow},
      {D::malformed_extension, [](auto& m) { m.proposal = Proposal{0, {{}}}; }, grow},
      {D::malformed_extension, [](auto& m) { m.extended_proposal = ExtendedProposal{0, {{}}}; }, put(6, 2)},
      {D::malformed_extension, [](auto& m) { m.extended_proposal = ExtendedProposal{0, {{}}}; }, put(8, 1)},
      {D::malformed_extension, [](auto& m) { m.extended_register = std::vector<uint8_t>{2, 3, 0}; },
       [](SecretBytes& e) { e[6] = e[7] = 3; }},
      {D::bad_label, [](auto& m) { m.sensitivity = SensitivityExtension{std::vector<uint8_t>(12, 0)}; }, put(9, 1)},
      {D::malformed_namespace, [](auto& m) { m.name_space = NamespaceExtension{"vpn", false}; }, put(4, 0x80)},
      {D::malformed_namespace, [](auto& m) { m.name_space = NamespaceExtension{"vpn", false}; }, put(8, 7)},
      {D::malformed_namespace, [](auto& m) { m.name_space = NamespaceExtension{"sevenxx", false}; }, put(15, 'y')},
      {D::malformed_extension, [](auto& m) { m.text = "sevenxx"; }, put(15, 'y')},
      {D::malformed_string_key, [](auto& m) { m.string_auth = SecretBytes{'a', 'b', 'c'}; }, put(4, 0)},
  };
  for (const Case& c : cases) {
    auto extension = extension_of(c.set);
    c.spoil(extension);
    auto bytes = encode_key_message(base(KeyMessageType::add));
    append(bytes, extension);
    EXPECT_EQ(diagnostic_of(bytes), c.expected) << &c - cases;
  }
}

TEST(KeyCodec, MappedAddressesBecomeIpv4WithTheirOwnPrefix) {
  KeyMessage m = base(KeyMessageType::add);
  m.inner_source = AddressExtension{address("::ffff:10.1.0.0"), 112, 0, 0};
  m.source = host("::ffff:1.2.3.4");
  const auto decoded = decode_key_message(encode_key_message(m));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->inner_source->address, address("10.1.0.0"));
  EXPECT_EQ(decoded->inner_source->prefix_length, 16);
  EXPECT_EQ(decoded->source->address, address("1.2.3.4"));
}

TEST(KeyCodec, TheHeaderAndTheTableOfDiagnosticsAgree) {
  EXPECT_EQ(static_cast<int>(D::missing_source), SADB_X_DIAGNOSTIC_MISSING_SRC);
  EXPECT_EQ(static_cast<int>(D::inner_protocol_mismatch), SADB_X_DIAGNOSTIC_INNER_PROTO_MISMATCH);
  EXPECT_EQ(static_cast<int>(D::malformed_string_key), SADB_X_DIAGNOSTIC_MALFORMED_ASTR);
  EXPECT_EQ(static_cast<int>(D::not_permitted), SADB_X_DIAGNOSTIC_NOT_PERMITTED);
  EXPECT_EQ(static_cast<int>(crypto::EncrAlg::chacha20_poly1305), SADB_X_EALG_CHACHA20_POLY1305);
  EXPECT_EQ(kSaEsn, SADB_X_SAFLAGS_ESN);
  EXPECT_EQ(kSaTunnel, SADB_X_SAFLAGS_TUNNEL);
}

}  // namespace
}  // namespace adit::protocol
