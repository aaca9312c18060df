#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "protocol/varlink/varlink_client.h"
#include "protocol/varlink/varlink_message.h"
#include "server/varlink_server.h"

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
                          return [this] { ++unsubscribed_; };
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
  std::atomic<int> unsubscribed_ = 0;
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

// Everybody is a user without privilege, and patience is short.
class VarlinkOfUsers : public ::testing::Test {
 protected:
  using Clock = std::chrono::steady_clock;
  VarlinkOfUsers() {
    char pattern[] = "/tmp/adit-varlink-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    methods_.add("io.adit.test.Echo", Access::read,
                 [](const json&, const Caller&) -> Result<json> { return json::object(); });
    methods_.add("io.adit.test.Work", Access::read, [](const json&, const Caller&) -> Result<json> {
      std::this_thread::sleep_for(Millis(20));
      return json::object();
    });
    methods_.add("io.adit.test.Much", Access::read, [this](const json&, const Caller&) -> Result<json> {
      ++answered_;
      return json{{"text", std::string(1 << 20, 'x')}};
    });
    methods_.add_stream("io.adit.test.Follow", Access::read,
                        [](const json&, const Caller&, Emit) -> Result<Unsubscribe> { return Unsubscribe{}; });
    AdmissionLimits limits;
    limits.half = limits.idle = limits.unread = Seconds(1);
    limits.of_user[0].streams = 1;
    limits.burst = Millis(30);
    const auto admission =
        std::make_shared<Admission>(clock_, [](uid_t) { return Admission::Rank{Standing::anyone}; }, limits);
    server_ = std::move(*VarlinkServer::listen(io_, path(), methods_, 0660, admission));
    thread_ = std::thread([this] { io_.run(); });
  }
  ~VarlinkOfUsers() override {
    asio::post(io_, [this] { server_.reset(); });
    thread_.join();
    std::filesystem::remove_all(directory_);
  }
  std::string path() const { return directory_ + "/adit.sock"; }
  int raw(const std::string& bytes) const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    return fd;
  }
  // How long until the server ends it.
  static Millis ends_after(int fd) {
    const auto began = Clock::now();
    char buffer[4096];
    while (::recv(fd, buffer, sizeof buffer, 0) > 0) {
    }
    ::close(fd);
    return std::chrono::duration_cast<Millis>(Clock::now() - began);
  }

  const SystemClock clock_;
  asio::io_context io_;
  VarlinkMethods methods_;
  std::string directory_;
  std::unique_ptr<VarlinkServer> server_;
  std::thread thread_;
  std::atomic<int> answered_ = 0;
};

TEST_F(VarlinkOfUsers, IdleOnesEndAndHalfMessagesDoHoweverTheyDrip) {
  const int idle = raw(""), half = raw("{");
  EXPECT_GE(ends_after(idle), Millis(700));
  ends_after(half);
  const int dripping = raw("{");
  const auto began = Clock::now();
  while (::send(dripping, " ", 1, MSG_NOSIGNAL) == 1 && Clock::now() - began < Seconds(20))
    std::this_thread::sleep_for(Millis(50));
  EXPECT_LT(Clock::now() - began, Seconds(20));
  ::close(dripping);
}

TEST_F(VarlinkOfUsers, WhoFollowsSomethingMayBeSilentAndOneMayNotFollowAll) {
  const std::string follow = std::string(R"({"method":"io.adit.test.Follow","more":true})") + '\0';
  const int follower = raw(follow);
  std::this_thread::sleep_for(Millis(1500));
  char byte;
  EXPECT_EQ(::recv(follower, &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN) << "it is still there";
  auto second = VarlinkClient::connect(path());
  EXPECT_EQ(second->follow("io.adit.test.Follow", json::object(), [](const json&) { return true; }).error().code,
            EBUSY);
  ::close(follower);
}

TEST_F(VarlinkOfUsers, AUsersMessageIsSmall) {
  auto client = VarlinkClient::connect(path());
  EXPECT_TRUE(client->call("io.adit.test.Echo", {{"text", std::string(60'000, 'x')}}));
  EXPECT_FALSE(client->call("io.adit.test.Echo", {{"text", std::string(70'000, 'x')}}));
  auto whole = VarlinkClient::connect(path());
  EXPECT_FALSE(whole->call("io.adit.test.Echo", {{"text", std::string(1'000'000, 'x')}}));
}

TEST_F(VarlinkOfUsers, WhatIsNotReadIsBoundedAndEnds) {
  std::string asked;
  for (int i = 0; i < 200; ++i) asked += std::string(R"({"method":"io.adit.test.Much"})") + '\0';
  const int fd = raw(asked);
  std::this_thread::sleep_for(Millis(2500));
  EXPECT_LE(answered_, 3) << "further requests wait until answers are read";
  char buffer[65536];
  size_t got = 0;
  for (ssize_t part; (part = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) got += static_cast<size_t>(part);
  EXPECT_LT(got, size_t{1} << 20) << "it has ended";
  ::close(fd);
}

TEST_F(VarlinkOfUsers, AUserWaitsForWhatHeUsed) {
  auto client = VarlinkClient::connect(path());
  const auto began = Clock::now();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(client->call("io.adit.test.Work", json::object()));
  EXPECT_GT(Clock::now() - began, Millis(300)) << "100 ms of a tenth, 30 of them at once";
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

TEST_F(Varlink, AFollowerThatGoesWhileItIsToldTheFirstIsForgotten) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::string asked = std::string(R"({"method":"io.adit.test.Flood","more":true})") + '\0';
  ASSERT_GT(::send(fd, asked.data(), asked.size(), MSG_NOSIGNAL), 0);
  for (int tries = 0; unsubscribed_ == 0 && tries < 3000; ++tries) std::this_thread::sleep_for(Millis(20));
  EXPECT_EQ(unsubscribed_, 1);
  ::close(fd);
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
