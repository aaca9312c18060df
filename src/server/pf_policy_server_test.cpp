#include "server/pf_policy_server.h"

#include <adit/pfpolicy.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "protocol/pf_policy/client.h"
#include "protocol/pf_policy/codec.h"
#include "server/testing/fake_policy_access.h"

namespace adit::protocol {
namespace {

using namespace std::chrono_literals;

class PolicyServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/adit-pfp-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    AdmissionLimits limits;
    limits.of_all[static_cast<size_t>(Standing::privileged)].connections = 8;
    limits.unread = 1s;
    auto server = PolicyServer::listen(io_, path(), access_, 0660,
                                       std::make_shared<Admission>(clock_, Admission::by_user, limits));
    ASSERT_TRUE(server.has_value()) << server.error().text;
    server_ = std::move(*server);
  }
  void run() {
    thread_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    asio::post(io_, [this] { server_.reset(); });
    if (thread_.joinable()) thread_.join();
    io_.run();
    std::filesystem::remove_all(folder_);
  }
  std::string path() const { return folder_ + "/pf_policy.sock"; }
  int raw_client() const {
    const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  void fill(uint32_t hosts) {
    spd::Draft draft = access_.db.empty_draft("");
    for (uint32_t host = 0; host < hosts; ++host) {
      spd::RuleSpec spec{.inbound = true, .outbound = true, .mode = spd::Mode::tunnel};
      spec.selector.remote = net::Prefix::host(net::Address::v4(0x0a000000 | host));
      spec.actions = {{.verb = spd::Verb::ipsec, .encr = spd::Cipher{crypto::EncrAlg::aes_gcm16, {128, 256}}}};
      ASSERT_TRUE(access_.db.add(draft, "mytun0", spd::expand(spec)).has_value());
    }
    ASSERT_TRUE(access_.db.flip_all(draft).has_value());
  }

  const SystemClock clock_;
  asio::io_context io_;
  FakePolicyAccess access_;
  std::unique_ptr<PolicyServer> server_;
  std::thread thread_;
  std::string folder_;
};

TEST_F(PolicyServerTest, TwentyThousandRulesArriveWhole) {
  fill(10'000);
  run();
  auto client = PolicyClient::connect(path());
  ASSERT_TRUE(client.has_value()) << client.error().text;
  const auto rules = client->dump(std::nullopt, std::nullopt);
  ASSERT_TRUE(rules.has_value()) << rules.error().text;
  EXPECT_EQ(rules->size(), 20'000u);
  EXPECT_EQ(rules->front().head, "mytun0");
}

TEST_F(PolicyServerTest, AClientCommitsATransaction) {
  run();
  auto client = PolicyClient::connect(path());
  ASSERT_TRUE(client.has_value());
  spd::RuleSpec spec{.priority = 5,
                     .inbound = true,
                     .outbound = true,
                     .mode = spd::Mode::tunnel,
                     .name_space = "svc:/a",
                     .origin = {"a.conf", 7}};
  spec.actions = {{.verb = spd::Verb::drop}};
  EXPECT_EQ(client->add(SPD_STANDBY, "t0", spec).value(), 4u);
  EXPECT_TRUE(client->dump(std::nullopt, std::nullopt)->empty());
  ASSERT_TRUE(client->command(PolicyCommand::flip, SPD_ACTIVE, std::nullopt, "svc:/a").has_value());
  const auto rules = client->dump(std::nullopt, "svc:/a");
  ASSERT_EQ(rules->size(), 4u);
  EXPECT_EQ(rules->front().rule.origin.file, "a.conf");
  EXPECT_EQ(rules->front().rule.name_space, "svc:/a");
  EXPECT_TRUE(client->dump(std::nullopt, "")->empty());
  const auto again = client->add(SPD_ACTIVE, "t0", spec);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, EEXIST);
  EXPECT_EQ(again.error().text, "tunnel t0 has the same entry already, index 1");
}

TEST_F(PolicyServerTest, WhoDoesNotReadIsClosedAndHoldsUpNobody) {
  fill(5'000);
  run();
  const int stuck = raw_client();
  const auto request = encode_policy(policy_request(PolicyCommand::dump, SPD_ACTIVE, std::nullopt, ""));
  ASSERT_EQ(::send(stuck, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
  auto client = PolicyClient::connect(path());
  ASSERT_TRUE(client.has_value());
  EXPECT_EQ(client->dump(std::nullopt, "")->size(), 10'000u);
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  std::atomic<size_t> clients = 2;
  while (clients > 1 && std::chrono::steady_clock::now() < deadline) {
    asio::post(io_, [&] { clients = server_->clients(); });
    std::this_thread::sleep_for(50ms);
  }
  EXPECT_EQ(clients, 1u);
  ::close(stuck);
}

TEST_F(PolicyServerTest, ASlowReaderGetsTheWholeDumpWhileRulesChange) {
  fill(2'000);
  run();
  const int slow = raw_client();
  const auto request = encode_policy(policy_request(PolicyCommand::dump, SPD_ACTIVE, std::nullopt, ""));
  ASSERT_GT(::send(slow, request.data(), request.size(), MSG_NOSIGNAL), 0);
  std::vector<uint8_t> buffer(65536);
  size_t rules = 0;
  for (int message = 0;; ++message) {
    if (message % 1000 == 0) {
      asio::post(io_, [&] {
        (void)access_.db.add({}, "other0", {});
        access_.db.flush_all({.name_space = "x"});
      });
      std::this_thread::sleep_for(100ms);
    }
    if (message == 500) asio::post(io_, [&] { (void)access_.db.flush({}, "mytun0"); });
    const ssize_t got = ::recv(slow, buffer.data(), buffer.size(), 0);
    ASSERT_GT(got, 0);
    const auto told = decode_policy(ByteSpan(buffer).first(static_cast<size_t>(got)));
    ASSERT_TRUE(told.has_value());
    if (told->rule) ++rules;
    if (message > 0 && told->ruleset) {
      EXPECT_EQ(told->ruleset->count, 4'000u);
      EXPECT_EQ(told->header.error, EAGAIN);
      break;
    }
  }
  EXPECT_EQ(rules, 4'000u);
  ::close(slow);
}

TEST_F(PolicyServerTest, AMessageTooLongIsEmsgsize) {
  run();
  const int fd = raw_client();
  const std::vector<uint8_t> huge(100'000, 1);
  ASSERT_GT(::send(fd, huge.data(), huge.size(), MSG_NOSIGNAL), 0);
  uint8_t answer[64];
  ASSERT_EQ(::recv(fd, answer, sizeof answer, 0), 16);
  EXPECT_EQ(answer[2], EMSGSIZE);
  ::close(fd);
}

TEST_F(PolicyServerTest, TooManyClientsAreTurnedAway) {
  run();
  std::vector<PolicyClient> clients;
  for (int count = 0; count < 8; ++count) clients.push_back(std::move(*PolicyClient::connect(path())));
  for (PolicyClient& client : clients) EXPECT_TRUE(client.dump(std::nullopt, "").has_value());
  auto ninth = PolicyClient::connect(path());
  ASSERT_TRUE(ninth.has_value());
  EXPECT_FALSE(ninth->dump(std::nullopt, "").has_value());
}

TEST(PolicyClient, WithoutADaemonSaysSo) {
  const auto client = PolicyClient::connect("/nonexistent/pf_policy.sock");
  ASSERT_FALSE(client.has_value());
  EXPECT_NE(client.error().text.find("aditd is not running"), std::string::npos);
}

}  // namespace
}  // namespace adit::protocol
