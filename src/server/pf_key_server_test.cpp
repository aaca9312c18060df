#include "server/pf_key_server.h"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include <adit/pfkeyv2.h>

#include "protocol/pf_key/client.h"
#include "protocol/pf_key/codec.h"
#include "server/pf_key_connection.h"
#include "server/testing/bare_key_access.h"

namespace adit::protocol {
namespace {
using namespace sad;
using D = Diagnostic;

net::Address address(std::string_view text) {
  return *net::Address::parse(text);
}

spd::Rule gcm_rule() {
  spd::Rule rule;
  rule.index = 1;
  rule.mode = spd::Mode::tunnel;
  rule.selector.local = *net::Prefix::parse("10.0.0.0/24");
  rule.selector.remote = *net::Prefix::parse("10.0.1.0/24");
  spd::Action gcm, cbc, ah;
  gcm.verb = cbc.verb = ah.verb = spd::Verb::ipsec;
  gcm.encr = spd::Cipher{crypto::EncrAlg::aes_gcm16, {256, 65535}};
  gcm.espa = spd::Integrity{crypto::AuthAlg::hmac_sha256, {}};
  cbc.encr = spd::Cipher{crypto::EncrAlg::aes_cbc, {128, 65535}};
  cbc.espa = spd::Integrity{crypto::AuthAlg::hmac_sha512, {512, 65535}};
  ah.ah = spd::Integrity{crypto::AuthAlg::hmac_sha256, {256, 256}};
  rule.actions = {gcm, cbc, ah};
  return rule;
}

class KeyServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/adit-pf-key-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/pf_key.sock";
    auto server = KeyServer::listen(io_, path_, access_);
    ASSERT_TRUE(server) << server.error().text;
    server_ = std::move(*server);
  }
  void TearDown() override {
    server_.reset();
    io_.poll();
    ::rmdir(directory_.c_str());
  }

  KeyClient client() {
    auto made = KeyClient::connect(path_);
    EXPECT_TRUE(made) << made.error().text;
    io_.poll();
    return std::move(*made);
  }
  // The server works until it has nothing left to do.
  void serve() {
    for (int i = 0; i < 50; ++i) {
      io_.restart();
      if (io_.poll() == 0) break;
    }
  }
  KeyMessage ask(KeyClient& client, KeyMessage message) {
    EXPECT_TRUE(client.send(message));
    serve();
    while (true) {
      auto answer = client.receive(Millis(1000));
      EXPECT_TRUE(answer) << answer.error().text;
      if (!answer) return {};
      if (answer->seq == message.seq && answer->type == message.type) return std::move(*answer);
    }
  }
  std::vector<KeyMessage> heard(KeyClient& client) {
    serve();
    std::vector<KeyMessage> all;
    while (true) {
      auto message = client.receive(Millis(20));
      if (!message) return all;
      all.push_back(std::move(*message));
    }
  }
  static KeyMessage of(KeyMessageType type, uint8_t satype = 3) {
    KeyMessage message;
    message.type = type;
    message.satype = satype;
    return message;
  }
  static KeyMessage named(KeyMessageType type, uint32_t spi) {
    KeyMessage m = of(type);
    m.sa = SaExtension{Spi{spi}, 0, 1, 0, 0, 0};
    m.source = AddressExtension{address("1.2.3.4"), 0, 0, 0};
    m.destination = AddressExtension{address("5.6.7.8"), 0, 0, 0};
    return m;
  }
  static KeyMessage add(uint32_t spi) {
    KeyMessage m = named(KeyMessageType::add, spi);
    m.sa->auth = SADB_AALG_SHA256HMAC;
    m.sa->encr = SADB_EALG_AES_GCM_16;
    m.sa->auth = 0;
    m.encr_key = KeyExtension{*Secret::from_hex("000102030405060708090a0b0c0d0e0f10111213"), 160, 0};
    return m;
  }

  asio::io_context io_;
  BareKeyAccess access_;
  std::string directory_, path_;
  std::unique_ptr<KeyServer> server_;
};

TEST_F(KeyServerTest, AnExceptionEndsTheRequestOnly) {
  auto one = client();
  KeyMessage request = add(0x1001);
  request.seq = 5;
  request.name_space = NamespaceExtension{"throws", false};
  EXPECT_EQ(ask(one, std::move(request)).error, ENOMEM);
  EXPECT_EQ(ask(one, add(0x1001)).error, 0);
}

TEST_F(KeyServerTest, AnAddIsToldToAllAndNeverItsKey) {
  KeyClient one = client(), two = client();
  const KeyMessage answer = ask(one, add(0x2001));
  EXPECT_EQ(answer.error, 0);
  EXPECT_FALSE(answer.encr_key || answer.auth_key);
  EXPECT_EQ(answer.sa->state, SADB_SASTATE_MATURE);
  const auto others = heard(two);
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].type, KeyMessageType::add);
  EXPECT_FALSE(others[0].encr_key);
  EXPECT_EQ(access_.database.size(), 1u);
  EXPECT_EQ(access_.last_peer.pid, ::getpid());
}

TEST_F(KeyServerTest, ErrorsAreTheBaseHeaderAlone) {
  KeyClient one = client(), two = client();
  (void)ask(one, add(0x2001));
  const KeyMessage answer = ask(one, add(0x2001));
  EXPECT_EQ(answer.error, EEXIST);
  EXPECT_EQ(answer.words, 2);
  EXPECT_FALSE(answer.sa);
  const KeyMessage bad = ask(one, add(0));
  EXPECT_EQ(bad.error, EINVAL);
  EXPECT_EQ(bad.diagnostic, SADB_X_DIAGNOSTIC_RESERVED_SPI);
  EXPECT_EQ(heard(two).size(), 1u);  // only the success was told
}

TEST_F(KeyServerTest, AMessageThatIsNotAsLongAsItSaysIsAnsweredWithEmsgsize) {
  KeyClient one = client();
  const uint8_t shorter[16] = {2, SADB_FLUSH, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0};
  for (const size_t length : {size_t{3}, sizeof shorter}) {
    ASSERT_EQ(::send(one.fd(), shorter, length, 0), static_cast<ssize_t>(length));
    serve();
    const auto answer = one.receive(Millis(1000));
    // A reply to three bytes has no type; it cannot be decoded, but it came.
    if (length == sizeof shorter) {
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->error, EMSGSIZE);
      EXPECT_EQ(answer->seq, 5u);
    }
  }
  EXPECT_EQ(ask(one, of(KeyMessageType::flush, 0)).error, 0);  // the connection lives
}

TEST_F(KeyServerTest, GetShowsKeysToTheAskerAndPromiscuousSocketsOnly) {
  KeyClient one = client(), two = client(), watcher = client();
  EXPECT_EQ(ask(watcher, of(KeyMessageType::promisc, 1)).error, 0);
  (void)ask(one, add(0x2001));
  (void)heard(two), (void)heard(watcher);
  const KeyMessage answer = ask(one, named(KeyMessageType::get, 0x2001));
  ASSERT_TRUE(answer.encr_key);
  EXPECT_EQ(answer.encr_key->bits, 160);
  EXPECT_EQ(answer.encr_key->reserved, 32);
  EXPECT_TRUE(heard(two).empty());
  EXPECT_EQ(heard(watcher).size(), 1u);
  EXPECT_EQ(ask(watcher, of(KeyMessageType::promisc, 0)).error, 0);
  (void)ask(one, named(KeyMessageType::get, 0x2001));
  EXPECT_TRUE(heard(watcher).empty());
}

TEST_F(KeyServerTest, DeleteFlushAndTheirRefusals) {
  KeyClient one = client();
  (void)ask(one, add(0x2001));
  EXPECT_EQ(ask(one, named(KeyMessageType::del, 0x2001)).error, 0);
  const KeyMessage gone = ask(one, named(KeyMessageType::del, 0x2001));
  EXPECT_EQ(gone.error, ESRCH);
  EXPECT_EQ(gone.diagnostic, SADB_X_DIAGNOSTIC_SA_NOTFOUND);
  (void)ask(one, add(0x2001));
  KeyMessage flush = named(KeyMessageType::flush, 0x2001);
  EXPECT_EQ(ask(one, std::move(flush)).diagnostic, SADB_X_DIAGNOSTIC_NO_EXT);
  EXPECT_EQ(access_.database.size(), 1u);
  EXPECT_EQ(ask(one, of(KeyMessageType::flush, 2)).error, 0);
  EXPECT_EQ(access_.database.size(), 1u);
  EXPECT_EQ(ask(one, of(KeyMessageType::flush, 0)).error, 0);
  EXPECT_EQ(access_.database.size(), 0u);
  EXPECT_EQ(ask(one, of(KeyMessageType::flush, 9)).diagnostic, SADB_X_DIAGNOSTIC_UNKNOWN_SATYPE);
}

TEST_F(KeyServerTest, SaTypeZeroIsRefusedWhereOneIsNeeded) {
  KeyClient one = client();
  for (const auto type :
       {KeyMessageType::getspi, KeyMessageType::add, KeyMessageType::update, KeyMessageType::update_pair,
        KeyMessageType::del, KeyMessageType::delete_pair, KeyMessageType::get}) {
    KeyMessage m = named(type, 0x2001);
    m.satype = 0;
    const KeyMessage answer = ask(one, std::move(m));
    EXPECT_EQ(answer.error, EINVAL);
    EXPECT_EQ(answer.diagnostic, SADB_X_DIAGNOSTIC_SATYPE_NEEDED) << static_cast<int>(type);
  }
  EXPECT_EQ(ask(one, of(KeyMessageType::expire)).error, EOPNOTSUPP);
}

TEST_F(KeyServerTest, MissingPartsHaveTheirDiagnostics) {
  KeyClient one = client();
  const auto without = [&](KeyMessage m, auto field) {
    (m.*field).reset();
    return ask(one, std::move(m)).diagnostic;
  };
  EXPECT_EQ(without(add(0x2001), &KeyMessage::source), SADB_X_DIAGNOSTIC_MISSING_SRC);
  EXPECT_EQ(without(add(0x2001), &KeyMessage::destination), SADB_X_DIAGNOSTIC_MISSING_DST);
  EXPECT_EQ(without(add(0x2001), &KeyMessage::sa), SADB_X_DIAGNOSTIC_MISSING_SA);
  EXPECT_EQ(without(add(0x2001), &KeyMessage::encr_key), SADB_X_DIAGNOSTIC_MISSING_EKEY);
  EXPECT_EQ(without(named(KeyMessageType::getspi, 1), &KeyMessage::range), SADB_X_DIAGNOSTIC_MISSING_RANGE);
  KeyMessage inner = add(0x2001);
  inner.inner_source = AddressExtension{address("10.0.0.0"), 24, 0, 0};
  EXPECT_EQ(ask(one, std::move(inner)).diagnostic, SADB_X_DIAGNOSTIC_MISSING_INNER_DST);
  KeyMessage nat = add(0x2001);
  nat.sa->flags = SADB_X_SAFLAGS_NATT_REM;
  EXPECT_EQ(ask(one, std::move(nat)).diagnostic, SADB_X_DIAGNOSTIC_MISSING_NATT_REM);
  KeyMessage ports = add(0x2001);
  ports.source->port = 5;
  ports.inner_source = ports.inner_destination = AddressExtension{address("10.0.0.0"), 24, 17, 53};
  EXPECT_EQ(ask(one, std::move(ports)).diagnostic, SADB_X_DIAGNOSTIC_DUAL_PORT_SETS);
  KeyMessage flags = add(0x2001);
  flags.sa->flags = SADB_X_SAFLAGS_USED;
  EXPECT_EQ(ask(one, std::move(flags)).diagnostic, SADB_X_DIAGNOSTIC_BAD_SAFLAGS);
  EXPECT_EQ(access_.database.size(), 0u);
}

TEST_F(KeyServerTest, RegisterListsAlgorithmsAndAcquiresFindTheirListeners) {
  KeyClient plain = client(), extended = client(), bystander = client();
  const KeyMessage algorithms = ask(plain, of(KeyMessageType::reg, 3));
  EXPECT_EQ(algorithms.error, 0);
  ASSERT_TRUE(algorithms.supported_encr && algorithms.supported_auth);
  EXPECT_GE(algorithms.supported_encr->size(), 10u);
  EXPECT_EQ(ask(extended, of(KeyMessageType::reg, 0)).error, EINVAL);  // no EREG
  KeyMessage ereg = of(KeyMessageType::reg, 0);
  ereg.extended_register = std::vector<uint8_t>{2, 3};
  EXPECT_EQ(ask(extended, std::move(ereg)).error, 0);
  KeyMessage again = of(KeyMessageType::reg, 0);
  again.extended_register = std::vector<uint8_t>{3};
  EXPECT_EQ(ask(extended, std::move(again)).error, EBUSY);
  EXPECT_EQ(ask(extended, of(KeyMessageType::reg, 3)).error, EBUSY);
  (void)heard(extended), (void)heard(bystander), (void)heard(plain);

  access_.database.acquire({"tun0", 1}, {address("1.2.3.4"), address("5.6.7.8")}, gcm_rule(), {});
  access_.keys_changed();
  EXPECT_TRUE(heard(bystander).empty());
  const auto simple = heard(plain);
  ASSERT_EQ(simple.size(), 1u);
  EXPECT_EQ(simple[0].satype, 3);
  ASSERT_TRUE(simple[0].proposal);
  EXPECT_EQ(simple[0].proposal->combinations.size(), 2u);  // the AH alternative is not ESP's
  EXPECT_EQ(simple[0].proposal->combinations[0].auth, 0);  // decision 1
  const auto whole = heard(extended);
  ASSERT_EQ(whole.size(), 1u);
  EXPECT_EQ(whole[0].satype, 0);
  EXPECT_GE(whole[0].seq, 0x80000000u);
  EXPECT_EQ(whole[0].inner_source->address, address("10.0.0.0"));
  EXPECT_EQ(whole[0].inner_source->prefix_length, 24);
  EXPECT_EQ(whole[0].source->protocol, 4);
  const auto& combinations = whole[0].extended_proposal->combinations;
  ASSERT_EQ(combinations.size(), 3u);
  ASSERT_EQ(combinations[0].algorithms.size(), 1u);
  EXPECT_EQ(combinations[0].algorithms[0].min_bits, 256);
  EXPECT_EQ(combinations[0].algorithms[0].max_bits, 256);  // an open end is the algorithm's
  EXPECT_EQ(combinations[0].algorithms[0].salt_bits, 32);
  EXPECT_EQ(combinations[1].algorithms.size(), 2u);
  EXPECT_EQ(combinations[2].algorithms[0].satype, SADB_SATYPE_AH);

  // Who registers late hears what is still open.
  KeyClient late = client();
  KeyMessage late_ereg = of(KeyMessageType::reg, 0);
  late_ereg.extended_register = std::vector<uint8_t>{3};
  ASSERT_TRUE(late.send(late_ereg));
  const auto caught_up = heard(late);
  ASSERT_EQ(caught_up.size(), 2u);
  EXPECT_EQ(caught_up[1].type, KeyMessageType::acquire);

  // The key manager gives up.
  KeyMessage failure = of(KeyMessageType::acquire, 3);
  failure.error = ECONNREFUSED;
  failure.seq = whole[0].seq;
  SecretBytes bytes = encode_key_message(failure);
  ASSERT_EQ(::send(extended.fd(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  serve();
  EXPECT_TRUE(access_.database.acquires().empty());
}

TEST_F(KeyServerTest, ExpiryIsToldToAll) {
  KeyClient one = client(), two = client();
  KeyMessage m = add(0x2001);
  m.hard = Lifetime{.add_seconds = 100};
  m.soft = Lifetime{.add_seconds = 50};
  (void)ask(one, std::move(m));
  (void)heard(two);
  access_.clock.advance(Seconds(50));
  access_.database.tick();
  access_.keys_changed();
  const auto told = heard(two);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].type, KeyMessageType::expire);
  EXPECT_TRUE(told[0].soft && told[0].current && told[0].source && told[0].destination && !told[0].hard);
  EXPECT_EQ(told[0].sa->state, SADB_SASTATE_DYING);
  access_.clock.advance(Seconds(50));
  access_.database.tick();
  access_.keys_changed();
  const auto last = heard(two);
  ASSERT_EQ(last.size(), 1u);
  EXPECT_TRUE(last[0].hard);
}

TEST_F(KeyServerTest, GetSpiThenUpdateMakesAnSa) {
  KeyClient one = client();
  KeyMessage wish = named(KeyMessageType::getspi, 0);
  wish.sa.reset();
  wish.range = SpiRange{0x1000, 0x1fff};
  const KeyMessage larval = ask(one, std::move(wish));
  ASSERT_EQ(larval.error, 0);
  EXPECT_EQ(larval.sa->state, SADB_SASTATE_LARVAL);
  const auto spi = static_cast<uint32_t>(larval.sa->spi);
  EXPECT_TRUE(spi >= 0x1000 && spi <= 0x1fff);
  KeyMessage complete = add(spi);
  complete.type = KeyMessageType::update;
  EXPECT_EQ(ask(one, std::move(complete)).sa->state, SADB_SASTATE_MATURE);
  EXPECT_EQ(access_.database.size(), 1u);
}

TEST_F(KeyServerTest, TheWindowIsTheDefaultUnlessSaid) {
  KeyClient one = client();
  EXPECT_EQ(ask(one, add(0x2001)).window(), 1024u);
  KeyMessage none = add(0x2002);
  none.sa->flags = SADB_SAFLAGS_NOREPLAY;
  EXPECT_EQ(ask(one, std::move(none)).window(), 0u);
  KeyMessage small = add(0x2003);
  small.sa->replay = 32;
  EXPECT_EQ(ask(one, std::move(small)).window(), 32u);
  KeyMessage wide = add(0x2004);
  wide.replay_window = 4096;
  EXPECT_EQ(ask(one, std::move(wide)).window(), 4096u);
  KeyMessage wider = add(0x2005);
  wider.replay_window = 4097;
  EXPECT_EQ(ask(one, std::move(wider)).diagnostic, SADB_X_DIAGNOSTIC_BAD_REPLAY_WINDOW);
}

TEST_F(KeyServerTest, NamespacesSeparateAndOldClientsAreTheGlobalOne) {
  KeyClient one = client();
  KeyMessage mine = add(0x2001);
  mine.name_space = NamespaceExtension{"vpn", false};
  const KeyMessage told = ask(one, std::move(mine));
  EXPECT_EQ(told.name_space->name, "vpn");
  (void)ask(one, add(0x2002));
  EXPECT_EQ(ask(one, named(KeyMessageType::del, 0x2001)).diagnostic, SADB_X_DIAGNOSTIC_OTHER_NAMESPACE);
  EXPECT_EQ(ask(one, of(KeyMessageType::flush, 0)).error, 0);
  EXPECT_EQ(access_.database.size(), 1u);
  KeyMessage override_flush = of(KeyMessageType::flush, 0);
  override_flush.name_space = NamespaceExtension{"", true};
  EXPECT_EQ(ask(one, std::move(override_flush)).error, 0);
  EXPECT_EQ(access_.database.size(), 0u);
  KeyMessage forbidden = of(KeyMessageType::dump, 0);
  forbidden.name_space = NamespaceExtension{"forbidden", false};
  const KeyMessage refused = ask(one, std::move(forbidden));
  EXPECT_EQ(refused.error, EPERM);
  EXPECT_EQ(refused.diagnostic, SADB_X_DIAGNOSTIC_NOT_PERMITTED);
}

TEST_F(KeyServerTest, WhatIsDoneWithOverrideIsReported) {
  KeyClient one = client();
  KeyMessage mine = add(0x2001);
  mine.name_space = NamespaceExtension{"vpn", false};
  (void)ask(one, std::move(mine));
  for (const auto type : {KeyMessageType::get, KeyMessageType::del}) {
    KeyMessage bold = named(type, 0x2001);
    bold.name_space = NamespaceExtension{"", true};
    EXPECT_EQ(ask(one, std::move(bold)).error, 0);
  }
  ASSERT_EQ(access_.overridden.size(), 1u) << "to look is not to touch";
  EXPECT_NE(access_.overridden[0].find("DELETE of SPI 0x2001"), std::string::npos);
}

TEST_F(KeyServerTest, AUserHearsAndDoesWhatIsItsOwn) {
  KeyClient root = client(), user = client();
  (void)ask(root, add(0x2001));
  access_.privileged = false;
  const auto refused = [&](KeyMessage message) {
    message.text = "";
    KeyMessage answer = ask(user, std::move(message));
    EXPECT_EQ(answer.error, EPERM);
    EXPECT_TRUE(answer.text && answer.text->size() > 10);
    return answer;
  };
  (void)refused(of(KeyMessageType::promisc, 1));
  KeyMessage wish = named(KeyMessageType::acquire, 0);
  wish.sa.reset();
  (void)refused(std::move(wish));
  KeyMessage elsewhere = add(0x2003);
  elsewhere.destination->address = address("5.6.7.9");
  EXPECT_NE(refused(std::move(elsewhere)).text->find("5.6.7.9"), std::string::npos);
  access_.rule = gcm_rule();
  KeyMessage question = named(KeyMessageType::inverse_acquire, 0);
  question.sa.reset();
  question.satype = 0;
  (void)refused(std::move(question));

  EXPECT_EQ(ask(root, add(0x2002)).error, 0);  // the global namespace's: not for the user's ears
  KeyMessage mine = add(0x2004);
  mine.name_space = NamespaceExtension{"vpn", false};
  EXPECT_EQ(ask(root, std::move(mine)).error, 0);
  const auto heard = user.receive(Millis(1000));
  ASSERT_TRUE(heard) << heard.error().text;
  EXPECT_EQ(heard->sa->spi, Spi{0x2004});
  EXPECT_FALSE(heard->encr_key);
}

TEST_F(KeyServerTest, InverseAcquireAnswersWithThePolicy) {
  KeyClient one = client();
  KeyMessage question = named(KeyMessageType::inverse_acquire, 0);
  question.sa.reset();
  question.satype = 0;
  EXPECT_EQ(ask(one, std::move(question)).error, ENOENT);
  access_.rule = gcm_rule();
  KeyMessage again = named(KeyMessageType::inverse_acquire, 0);
  again.sa.reset();
  again.satype = 0;
  const KeyMessage answer = ask(one, std::move(again));
  EXPECT_EQ(answer.extended_proposal->combinations.size(), 3u);
  KeyMessage half = named(KeyMessageType::inverse_acquire, 0);
  half.inner_source = AddressExtension{address("10.0.0.1"), 0, 0, 0};
  EXPECT_EQ(ask(one, std::move(half)).diagnostic, SADB_X_DIAGNOSTIC_MISSING_INNER_DST);
}

// ---- dumps and slow readers: the server on a thread of its own

class SlowReaderTest : public KeyServerTest {
 protected:
  void fill(uint32_t count) {
    const auto& table = access_.table;
    for (uint32_t i = 0; i < count; ++i) {
      KeyMessage message = add(0x10000 + i);
      auto request = to_request(message, table);
      ASSERT_TRUE(request);
      ASSERT_TRUE(access_.database.add(std::move(*request), {}));
    }
    (void)access_.database.take_events();
  }
};

TEST_F(SlowReaderTest, ALargeDumpComesWholeAndEndsWithSeqZero) {
  fill(1500);
  KeyClient reader = client();
  std::jthread server([this](std::stop_token stop) {
    const auto work = asio::make_work_guard(io_);
    while (!stop.stop_requested()) io_.restart(), io_.run_for(std::chrono::milliseconds(5));
  });
  KeyMessage question = of(KeyMessageType::dump, 0);
  ASSERT_TRUE(reader.send(question));
  size_t count = 0;
  while (true) {
    const auto message = reader.receive(Seconds(10));
    ASSERT_TRUE(message) << message.error().text;
    ASSERT_EQ(message->error, 0);
    if (message->seq == 0) break;
    ASSERT_TRUE(message->encr_key);
    ++count;
  }
  EXPECT_EQ(count, 1500u);
}

TEST_F(SlowReaderTest, AReaderThatStopsHoldsNeitherMemoryNorOthers) {
  fill(1500);
  KeyClient asleep = client(), deaf = client(), busy = client();
  KeyMessage question = of(KeyMessageType::dump, 0);
  ASSERT_TRUE(asleep.send(question));  // asks, and never reads
  serve();
  uint32_t added = 0;
  while (server_->lost_messages() == 0 && added < 20'000) {  // deaf hears of each, and never reads
    const KeyMessage answer = ask(busy, add(0x20000 + added));
    ASSERT_EQ(answer.error, 0) << added;
    ++added;
  }
  EXPECT_GT(server_->lost_messages(), 0u);
  EXPECT_EQ(access_.database.size(), 1500u + added);
  // Awake again, the dump goes on to its end: also over what came meanwhile.
  size_t seen = 0;
  bool ended = false;
  while (!ended) {
    serve();
    const auto message = asleep.receive(Millis(2000));
    ASSERT_TRUE(message) << message.error().text;
    if (message->type != KeyMessageType::dump) continue;
    ended = message->seq == 0;
    seen += ended ? 0 : 1;
  }
  EXPECT_EQ(seen, 1500u + added);
}

TEST_F(SlowReaderTest, ASecondDumpOnTheSameSocketIsRefusedWhileOneRuns) {
  fill(1500);
  KeyClient reader = client();
  KeyMessage first = of(KeyMessageType::dump, 0), second = of(KeyMessageType::dump, 0);
  ASSERT_TRUE(reader.send(first));
  ASSERT_TRUE(reader.send(second));
  bool refused = false, ended = false;
  while (!ended) {
    serve();
    const auto message = reader.receive(Millis(2000));
    ASSERT_TRUE(message) << message.error().text;
    refused |= message->error == ENOMEM;
    ended = message->error == 0 && message->seq == 0;
  }
  EXPECT_TRUE(refused);
}

TEST_F(KeyServerTest, ClientsComeAndGo) {
  for (int i = 0; i < 200; ++i) {
    KeyClient one = client();
    KeyMessage question = of(KeyMessageType::dump, 0);
    ASSERT_TRUE(one.send(question));
    if (i % 2 == 0) serve();
  }
  serve();
  EXPECT_EQ(server_->clients(), 0u);
}

TEST_F(KeyServerTest, TheSocketIsNotForEveryone) {
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0660u);
}

TEST(KeyClientTest, NoDaemonIsSaidSo) {
  const auto client = KeyClient::connect("/tmp/adit-no-such-dir/pf_key.sock");
  ASSERT_FALSE(client);
  EXPECT_NE(client.error().text.find("start it"), std::string::npos);
}

}  // namespace
}  // namespace adit::protocol
