// ipseckey against a real PF_KEY server on a thread of its own.
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "cli/command_table.h"
#include "server/pf_key_server.h"
#include "server/testing/bare_key_access.h"

namespace adit::cli {
namespace {

const std::string kKey = "0123456789abcdef0123456789abcdef";

class IpseckeyCommandTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/adit-ipseckey-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    auto server = protocol::KeyServer::listen(io_, directory_ + "/pf_key.sock", access_);
    ASSERT_TRUE(server) << server.error().text;
    server_ = std::move(*server);
    loop_ = std::thread([this] {
      const auto work = asio::make_work_guard(io_);
      io_.run();
    });
  }
  void TearDown() override {
    io_.stop();
    loop_.join();
    server_.reset();
    io_.restart();
    io_.poll();
    std::filesystem::remove_all(directory_);
  }

  int run(std::vector<std::string> args, const std::string& input = {}) {
    out_.str({}), err_.str({});
    std::istringstream in(input);
    Context context{"", directory_, "ipseckey", in, out_, err_};
    return cmd_ipseckey(context, args);
  }
  int run_line(const std::string& line) {
    std::istringstream words(line);
    return run({std::istream_iterator<std::string>(words), {}});
  }
  // On the server's thread, so that nothing is looked at while it works.
  template <typename Look>
  auto in_engine(Look look) {
    std::packaged_task<decltype(look(access_))()> task([&] { return look(access_); });
    auto result = task.get_future();
    asio::post(io_, [&] { task(); });
    return result.get();
  }
  size_t count() {
    return in_engine([](auto& access) { return access.database.size(); });
  }
  std::string key_file(const std::string& text, mode_t mode = 0600) {
    const std::string path = directory_ + "/keys";
    ::unlink(path.c_str());
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }

  const std::string kAdd = "add esp spi 0x2001 src 1.2.3.4 dst 5.6.7.8 encr_alg aes encrkey " + kKey +
                           " auth_alg sha256 authkey " + kKey + kKey;
  asio::io_context io_;
  protocol::BareKeyAccess access_;
  std::string directory_;
  std::unique_ptr<protocol::KeyServer> server_;
  std::thread loop_;
  std::ostringstream out_, err_;
};

TEST_F(IpseckeyCommandTest, AddGetDumpDelete) {
  EXPECT_EQ(run_line(kAdd), kOk) << err_.str();
  EXPECT_TRUE(out_.str().empty());
  EXPECT_EQ(run_line("-n get esp spi 0x2001 dst 5.6.7.8"), kOk);
  EXPECT_NE(out_.str().find("type GET, SA type ESP."), std::string::npos);
  EXPECT_NE(out_.str().find(kKey + "/128"), std::string::npos);
  EXPECT_EQ(run_line("-np dump"), kOk);
  EXPECT_NE(out_.str().find("SA: SADB_ASSOC spi=0x2001, replay window size=1024, state=MATURE"), std::string::npos);
  EXPECT_EQ(out_.str().find(kKey), std::string::npos);
  EXPECT_TRUE(out_.str().ends_with("Dump succeeded for SA type 0.\n"));
  EXPECT_EQ(run_line("delete esp spi 0x2001 dst 5.6.7.8"), kOk);
  EXPECT_EQ(count(), 0u);
}

TEST_F(IpseckeyCommandTest, RefusalsReadAsOnIllumos) {
  ASSERT_EQ(run_line(kAdd), kOk);
  EXPECT_EQ(run_line(kAdd), kFailed);
  EXPECT_EQ(err_.str(), "ipseckey: Association (type = ESP) with spi 0x2001 and addr 5.6.7.8 already exists.\n");
  EXPECT_EQ(run_line("delete ah spi 0x2001 dst 5.6.7.8"), kFailed);
  EXPECT_EQ(err_.str(), "ipseckey: Association (type = AH) with spi 0x2001 and addr 5.6.7.8 does not exist.\n");
  EXPECT_EQ(run_line("delete-pair esp spi 0x2001 dst 5.6.7.8"), kFailed);
  EXPECT_EQ(err_.str(), "ipseckey: PF_KEY Diagnostic code 76: the SA to pair with was not found.\n");
  EXPECT_EQ(run_line("add esp spi 0x2001"), kFailed);
  EXPECT_NE(err_.str().find("Need destination address for add."), std::string::npos);
  EXPECT_EQ(run_line("-x"), kUsage);
  EXPECT_EQ(run_line("-f"), kUsage);
  EXPECT_EQ(run_line("-f a -c b"), kUsage);
  EXPECT_EQ(run_line("-f a flush"), kUsage);
}

TEST_F(IpseckeyCommandTest, VerboseShowsTheMessageAndHidesKeysIfAsked) {
  EXPECT_EQ(run_line("-nvp " + kAdd), kOk);
  EXPECT_NE(out_.str().find("VERBOSE ON:  Message to kernel looks like:"), std::string::npos);
  EXPECT_EQ(out_.str().find(kKey), std::string::npos);
}

TEST_F(IpseckeyCommandTest, AFileIsDoneWholeOrNotAtAll) {
  EXPECT_EQ(run({"-f", key_file("flush\n" + kAdd + "\n")}), kOk) << err_.str();
  EXPECT_EQ(count(), 1u);
  EXPECT_EQ(run({"-f", key_file("flush\nadd esp spi 0x2002 colour blue\n")}), kFailed);
  EXPECT_EQ(count(), 1u);
  EXPECT_NE(err_.str().find("/keys:2:20: error: Unknown extension field \"colour\""), std::string::npos);
  EXPECT_NE(err_.str().find("\n                       ^"), std::string::npos);
  EXPECT_NE(err_.str().find("nothing was done"), std::string::npos);
  // What the engine refuses is counted, with its line.
  EXPECT_EQ(run({"-f", key_file(kAdd + "\nflush\n")}), kFailed);
  EXPECT_NE(err_.str().find("line 1)"), std::string::npos);
  EXPECT_NE(err_.str().find("The configuration file contained 1 errors."), std::string::npos);
  EXPECT_NE(err_.str().find("1 actions successfully processed."), std::string::npos);
}

TEST_F(IpseckeyCommandTest, CheckingChangesNothing) {
  EXPECT_EQ(run({"-c", key_file(kAdd)}), kOk);
  EXPECT_NE(out_.str().find("does not contain any errors"), std::string::npos);
  EXPECT_EQ(run({"-c", key_file("add esp\n")}), kFailed);
  EXPECT_EQ(run({"-c", key_file(kAdd, 0644)}), kFailed);
  EXPECT_NE(err_.str().find("chmod 600"), std::string::npos);
  EXPECT_EQ(count(), 0u);
}

TEST_F(IpseckeyCommandTest, WhatIsSavedCanBeLoaded) {
  ASSERT_EQ(run_line(kAdd + " isrc 10.0.0.0/24 hard_addtime 5000"), kOk);
  const std::string saved = directory_ + "/saved";
  EXPECT_EQ(run({"-s", saved}), kOk) << err_.str();
  struct stat info{};
  ASSERT_EQ(::stat(saved.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0400u);
  ASSERT_EQ(run_line("flush"), kOk);
  EXPECT_EQ(run({"-n", "-f", saved}), kOk) << err_.str();
  const auto hard = in_engine([](auto& access) { return access.database.page({}, 0, 10).at(0)->hard().add_seconds; });
  EXPECT_EQ(hard, 5000u);
  EXPECT_EQ(run_line("save esp"), kOk);
  EXPECT_NE(out_.str().find("# begin assoc\nadd esp"), std::string::npos);
}

TEST_F(IpseckeyCommandTest, NamespacesAreKeptApart) {
  ASSERT_EQ(run_line("-N vpn " + kAdd), kOk);
  for (const char* of_all : {"-n dump", "-n get esp spi 0x2001 dst 5.6.7.8", "-n -N vpn dump"}) {
    EXPECT_EQ(run_line(of_all), kOk);
    EXPECT_NE(out_.str().find("NSP: Namespace \"vpn\""), std::string::npos) << of_all;
  }
  EXPECT_EQ(run_line("-N other dump"), kOk);
  EXPECT_EQ(out_.str(), "Dump succeeded for SA type 0.\n");
  EXPECT_EQ(run_line("flush"), kOk);
  EXPECT_EQ(count(), 1u);
  EXPECT_EQ(run_line("delete esp spi 0x2001 dst 5.6.7.8"), kFailed);
  EXPECT_NE(err_.str().find("belongs to vpn"), std::string::npos);
  EXPECT_EQ(run_line("-N forbidden flush"), kFailed);
  EXPECT_NE(err_.str().find("not yours"), std::string::npos);
  EXPECT_EQ(run_line("--override delete esp spi 0x2001 dst 5.6.7.8"), kOk);
  EXPECT_EQ(count(), 0u);
}

TEST_F(IpseckeyCommandTest, InteractiveGoesOnAfterAnErrorAndEndsOnQuit) {
  EXPECT_EQ(run({}, kAdd.substr(0, 30) + " \\\n" + kAdd.substr(30) + "\nadd nonsense\nhelp\nquit\nflush\n"), kOk)
      << err_.str();
  EXPECT_EQ(count(), 1u);  // the flush behind quit was not done
  EXPECT_NE(out_.str().find("ipseckey> "), std::string::npos);
  EXPECT_NE(out_.str().find("Commands:"), std::string::npos);
  EXPECT_NE(err_.str().find("Unknown SA type"), std::string::npos);
  EXPECT_EQ(run({}, "flush\n"), kOk);
  EXPECT_EQ(count(), 0u);
}

TEST_F(IpseckeyCommandTest, MonitorShowsWhatOthersDoUntilTheDaemonEnds) {
  std::ostringstream seen, problems;
  std::thread watcher([&] {
    std::istringstream in;
    Context context{"", directory_, "ipseckey", in, seen, problems};
    const std::vector<std::string> args{"-np", "monitor"};
    EXPECT_EQ(cmd_ipseckey(context, args), kFailed);  // the daemon closed the socket
  });
  while (in_engine([this](auto&) { return server_->clients(); }) == 0) std::this_thread::yield();
  for (int i = 0; i < 3; ++i) (void)count();  // its promisc request is through
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_EQ(run_line(kAdd), kOk);
  ASSERT_EQ(run_line("-n get esp spi 0x2001 dst 5.6.7.8"), kOk);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  in_engine([this](auto&) { return server_.reset(), 0; });
  watcher.join();
  EXPECT_NE(seen.str().find("Timestamp: "), std::string::npos);
  EXPECT_NE(seen.str().find("type ADD, SA type ESP."), std::string::npos);
  EXPECT_NE(seen.str().find("type GET, SA type ESP."), std::string::npos);
  EXPECT_EQ(seen.str().find(kKey), std::string::npos);
}

TEST_F(IpseckeyCommandTest, WithoutADaemonItSaysSo) {
  in_engine([this](auto&) { return server_.reset(), 0; });
  EXPECT_EQ(run_line("dump"), kFailed);
  EXPECT_NE(err_.str().find("start it"), std::string::npos);
  EXPECT_EQ(run_line("help"), kOk);
}

}  // namespace
}  // namespace adit::cli
