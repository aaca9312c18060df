#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "protocol/varlink_client.h"
#include "protocol/varlink_message.h"
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
    methods_.add("io.adit.test.Throw", Access::read, [](const json& in, const Caller&) -> Result<json> {
      if (in.contains("memory")) throw std::bad_alloc();
      return json{{"n", in.at("n").get<int>() + 1}};  // throws on a wrong type
    });
    methods_.add_stream("io.adit.test.ThrowStream", Access::read,
                        [](const json& in, const Caller&, const Emit&) -> Result<Unsubscribe> {
                          (void)in.at("n").get<int>();
                          return Unsubscribe{};
                        });
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

  // What ends the connection: waits for that.
  void send_raw(const std::string& bytes) const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t sent = ::send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (sent <= 0) break;  // it has ended already
      done += static_cast<size_t>(sent);
    }
    char byte;
    EXPECT_LE(::recv(fd, &byte, 1, 0), 0);
    ::close(fd);
  }

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
  EXPECT_EQ(client->call("io.adit.test.Nothing", json::object()).error().code, EPROTO);
  EXPECT_EQ(client->call("io.adit.test.Echo", {{"text", "still here"}})->at("text"), "still here");
}

TEST_F(Varlink, AnExceptionEndsTheRequestOnly) {
  auto client = VarlinkClient::connect(path());
  EXPECT_EQ(client->call("io.adit.test.Throw", {{"n", "x"}}).error().code, EIO);
  EXPECT_EQ(client->call("io.adit.test.Throw", {{"memory", true}}).error().code, ENOMEM);
  EXPECT_EQ(client->follow("io.adit.test.ThrowStream", {{"n", "x"}}, [](const json&) { return true; }).error().code,
            EIO);
  EXPECT_EQ(client->call("io.adit.test.Throw", {{"n", 1}})->at("n"), 2);
}

TEST_F(Varlink, AWrongTypeAnywhereInARequestIsAnswered) {
  auto client = VarlinkClient::connect(path());
  for (const json& wrong : {json(5), json(), json(true), json::array({1}), json::object()})
    EXPECT_NE(client->call("org.varlink.service.GetInterfaceDescription", {{"interface", wrong}})
                  .error()
                  .text.find("InvalidParameter"),
              std::string::npos);
  EXPECT_NE(client->call("io.adit.test.Echo", json::array()).error().text.find("parameters"), std::string::npos);
}

TEST_F(Varlink, WhatNestsDeepIsNotParsed) {
  EXPECT_EQ(nesting_of(R"({"a[[[":"\"[[["})"), 1u);
  EXPECT_EQ(nesting_of("]]]][[{"), 3u);
  EXPECT_EQ(nesting_of("[\"\\\\\"[["), 3u);
  const auto nested = [](size_t depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_TRUE(parse_varlink(nested(kMaxVarlinkDepth)));
  EXPECT_FALSE(parse_varlink(nested(kMaxVarlinkDepth + 1)));
  for (const std::string& opening : {std::string("["), std::string("{\"a\":")}) {
    std::string deep = R"({"method":"io.adit.test.Echo","parameters":{"text":)";
    for (int i = 0; i < 500'000; ++i) deep += opening;
    send_raw(deep + '\0');
  }
  auto client = VarlinkClient::connect(path());
  EXPECT_TRUE(client->call("io.adit.test.Echo", {{"text", "still here"}}));
}

TEST(VarlinkParameters, AreOfTheirTypeOrRefused) {
  const json in =
      json::parse(R"({"text":"x","number":7,"minus":-1,"real":1.5,"texts":["a","b"],"mixed":["a",1],"map":{"k":"v"},)"
                  R"("wrong_map":{"k":1},"null":null,"numbers":[1,2]})");
  EXPECT_EQ(number_parameter(in, "number", 7).value(), 7u);
  EXPECT_EQ(number_parameter(in, "null", 7).value(), std::nullopt);
  EXPECT_EQ(number_parameter(in, "none", 7).value(), std::nullopt);
  for (const char* name : {"text", "minus", "real", "texts", "map"})
    EXPECT_FALSE(number_parameter(in, name, 7)) << name;
  EXPECT_FALSE(number_parameter(in, "number", 6));
  EXPECT_EQ(texts_parameter(in, "texts").value(), (std::vector<std::string>{"a", "b"}));
  for (const char* name : {"text", "mixed", "map", "number"}) EXPECT_FALSE(texts_parameter(in, name)) << name;
  EXPECT_EQ(numbers_parameter(in, "numbers", 2).value(), (std::vector<uint64_t>{1, 2}));
  for (const char* name : {"text", "mixed", "map", "number"}) EXPECT_FALSE(numbers_parameter(in, name, 2)) << name;
  EXPECT_FALSE(numbers_parameter(in, "numbers", 1));
  EXPECT_EQ(text_map_parameter(in, "map").value().at("k"), "v");
  for (const char* name : {"text", "mixed", "wrong_map", "number"}) EXPECT_FALSE(text_map_parameter(in, name)) << name;
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
  send_raw(std::string("\x01\xff{[[[") + '\0');
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
