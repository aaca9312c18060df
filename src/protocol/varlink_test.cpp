#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "protocol/varlink_client.h"
#include "protocol/varlink_server.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

class Varlink : public ::testing::Test {
 protected:
  Varlink() {
    char pattern[] = "/tmp/adit-varlink-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    methods_.describe("io.adit.test", "interface io.adit.test\nmethod Echo(text: string) -> (text: string)\n");
    methods_.add("io.adit.test.Echo", Access::read, [](const json& in, const Caller&) -> Result<json> {
      TRY_ASSIGN(const std::string text, text_parameter(in, "text"));
      return json{{"text", text}};
    });
    methods_.add("io.adit.test.Typed", Access::read,
                 [](const json& in, const Caller&) -> Result<json> { return json{{"n", in.at("n").get<int>() + 1}}; });
    methods_.add_stream("io.adit.test.Count", Access::read,
                        [](const json&, const Caller&, Emit emit) -> Result<Unsubscribe> {
                          for (int i = 1; i <= 3; ++i) emit({{"n", i}});
                          return Unsubscribe{};
                        });
    methods_.add_stream("io.adit.test.Flood", Access::read,
                        [this](const json&, const Caller&, Emit emit) -> Result<Unsubscribe> {
                          const std::string much(65536, 'x');
                          while (emit({{"text", much}})) ++flooded_;
                          return Unsubscribe{};
                        });
    server_ = std::move(*VarlinkServer::listen(io_, path(), methods_));
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Varlink() override {
    asio::post(io_, [this] { server_.reset(); });
    thread_.join();
    std::filesystem::remove_all(directory_);
  }
  std::string path() const { return directory_ + "/adit.sock"; }

  std::atomic<size_t> flooded_ = 0;
  asio::io_context io_;
  VarlinkMethods methods_;
  std::string directory_;
  std::unique_ptr<VarlinkServer> server_;
  std::thread thread_;
};

TEST_F(Varlink, CallsAndErrorsComeBackWithTheirErrno) {
  auto client = VarlinkClient::connect(path());
  ASSERT_TRUE(client) << client.error().text;
  EXPECT_EQ(client->call("io.adit.test.Echo", {{"text", "hej"}})->at("text"), "hej");
  const auto wrong = client->call("io.adit.test.Echo", {{"text", 5}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, EINVAL);
  EXPECT_EQ(wrong.error().text, "parameter 'text' must be a string");
  EXPECT_EQ(client->call("io.adit.test.Typed", {{"n", "x"}}).error().code, EINVAL);
  EXPECT_EQ(client->call("io.adit.test.Nothing", json::object()).error().code, EPROTO);
  EXPECT_EQ(client->call("io.adit.test.Echo", {{"text", "still here"}})->at("text"), "still here");
}

TEST_F(Varlink, DescribesItself) {
  auto client = VarlinkClient::connect(path());
  const auto info = client->call("org.varlink.service.GetInfo", json::object());
  EXPECT_EQ(info->at("interfaces"), json::array({"org.varlink.service", "io.adit.test"}));
  EXPECT_TRUE(client->call("org.varlink.service.GetInterfaceDescription", {{"interface", "io.adit.test"}})
                  ->at("description")
                  .get<std::string>()
                  .starts_with("interface io.adit.test"));
}

TEST_F(Varlink, StreamsUntilTheReaderHasEnough) {
  auto client = VarlinkClient::connect(path());
  int seen = 0;
  ASSERT_TRUE(client->follow("io.adit.test.Count", json::object(), [&](const json& part) {
    seen = part.at("n");
    return seen < 3;
  }));
  EXPECT_EQ(seen, 3);
}

TEST_F(Varlink, AReaderThatStopsIsLetGoBeforeItHoldsMuch) {
  auto deaf = VarlinkClient::connect(path());
  ASSERT_TRUE(deaf);
  size_t read = 0;
  const auto flooded = deaf->follow("io.adit.test.Flood", json::object(), [&](const json&) { return ++read > 0; });
  EXPECT_FALSE(flooded) << "the connection ended";
  EXPECT_GT(flooded_, 0u);
  EXPECT_LE(flooded_, kMaxVarlinkMessage / 65536 + 1);
  auto other = VarlinkClient::connect(path());
  ASSERT_TRUE(other);
  EXPECT_TRUE(other->call("io.adit.test.Echo", {{"text", "hej"}}));
}

TEST_F(Varlink, NoiseEndsTheConnectionAndNothingElse) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const char noise[] = "\x01\xff{[[[";
  ASSERT_EQ(::send(fd, noise, sizeof noise, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof noise));
  char byte;
  EXPECT_LE(::recv(fd, &byte, 1, 0), 0);
  ::close(fd);
  auto client = VarlinkClient::connect(path());
  EXPECT_TRUE(client->call("io.adit.test.Echo", {{"text", "x"}}));
}

TEST(VarlinkClient, SaysThatNoDaemonRuns) {
  const auto client = VarlinkClient::connect("/tmp/adit-no-such-directory/adit.sock");
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().text,
            "aditd is not running (no answer at /tmp/adit-no-such-directory/adit.sock); start it with 'aditd'");
}

}  // namespace
}  // namespace adit::protocol
