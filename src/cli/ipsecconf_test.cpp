// ipsecconf and ipsecalgs against a daemon's policy socket in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "cli/command_table.h"
#include "cli/policy/ipsecconf_options.h"
#include "cli/policy/policy_cache.h"
#include "server/pf_policy_server.h"
#include "server/testing/fake_policy_access.h"

namespace adit::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class PolicyCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/adit-cli-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    std::filesystem::create_directories(root_ + "/run");
    auto server = protocol::PolicyServer::listen(io_, root_ + "/run/pf_policy.sock", access_);
    ASSERT_TRUE(server.has_value());
    server_ = std::move(*server);
    thread_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    asio::post(io_, [this] { server_.reset(); });
    thread_.join();
    std::filesystem::remove_all(root_);
  }

  int run(Command command, std::vector<std::string> args, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out, err;
    Context context{.root = root_, .run_dir = root_ + "/run", .self = "ipsecconf", .in = in, .out = out, .err = err};
    const int status = command(context, args);
    out_ = out.str();
    err_ = err.str();
    return status;
  }
  int ipsecconf(std::vector<std::string> args, const std::string& input = "") {
    return run(cmd_ipsecconf, std::move(args), input);
  }
  int ipsecalgs(std::vector<std::string> args) { return run(cmd_ipsecalgs, std::move(args)); }
  std::string file(const std::string& text) {
    const std::string path = root_ + "/policy.conf";
    std::ofstream(path) << text;
    return path;
  }

  std::string root_, out_, err_;
  protocol::FakePolicyAccess access_;
  asio::io_context io_;
  std::unique_ptr<protocol::PolicyServer> server_;
  std::thread thread_;
};

const std::string kIpd =
    "{\n    tunnel mytun0\n    negotiate tunnel\n} ipsec {\n    encr_algs aes-gcm\n    encr_auth_algs hmac-sha256\n}\n";

TEST_F(PolicyCommands, TheIpdsSession) {
  const std::string path = file(kIpd);
  ASSERT_EQ(ipsecconf({"-a", path, "-q"}), 0) << err_;
  ASSERT_EQ(ipsecconf({"-F", "-a", path, "-q"}), 0) << err_;
  ASSERT_EQ(ipsecconf({"-F", "-a", path, "-q"}), 0) << err_;
  ASSERT_EQ(ipsecconf({"-L"}), 0) << err_;
  EXPECT_EQ(out_,
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

TEST_F(PolicyCommands, WhatBecameOfTunnelsIsOnStandardError) {
  access_.opens = {"mytun0", "mytun1"};
  ASSERT_EQ(ipsecconf({"-q", "-F"}), 0);
  EXPECT_EQ(err_, "ipsecconf: mytun0 is OPEN\nipsecconf: mytun1 is OPEN\n");
  access_.opens.clear();
  ASSERT_EQ(ipsecconf({"-q", "-F"}), 0);
  EXPECT_EQ(err_, "");
}

TEST_F(PolicyCommands, CheckReportsTheWarningAndSucceeds) {  // decision 1
  const std::string path = file(kIpd);
  EXPECT_EQ(ipsecconf({"-c", path}), 0);
  EXPECT_EQ(out_, "IPsec configuration does not contain any errors.\nIPsec policy was not modified.\n");
  EXPECT_THAT(err_, StartsWith(path + ":6:20: warning: aes-gcm authenticates by itself"));
  EXPECT_EQ(access_.db.size(), 0u);
}

TEST_F(PolicyCommands, AnErrorChangesNothing) {
  ASSERT_EQ(ipsecconf({"-qa", "-"}, "{ lport 53 } bypass {}\n"), 0) << err_;
  EXPECT_EQ(ipsecconf({"-f", "-a", "-", "-q"}, "{ lport 1 } drop {}\n{ lport bogus } drop {}\n"), 1);
  EXPECT_THAT(err_, HasSubstr("standard input:2:9: error: Bad Source Port on line: 2"));
  EXPECT_THAT(err_, HasSubstr("1 policy rule(s) contained errors."));
  EXPECT_EQ(access_.db.size(), 4u);
}

TEST_F(PolicyCommands, AddsAreCumulativeAndDuplicatesAreIgnored) {
  ASSERT_EQ(ipsecconf({"-a", file("{ lport 53 } bypass {}\n")}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("svcadm(8)"));
  ASSERT_EQ(ipsecconf({"-a", file("{ lport 53 } bypass {}\n{ rport 53 } bypass {}\n")}), 0) << err_;
  EXPECT_THAT(err_, HasSubstr("Duplicate policy entry (ignored):\n{ lport 53 } bypass {}"));
  EXPECT_EQ(access_.db.size(), 8u);
  ASSERT_EQ(ipsecconf({"-ln"}), 0);
  EXPECT_THAT(
      out_, StartsWith("#INDEX 1\n{ lport 53 dir out } pass { }\n#INDEX 5\n{ rport 53 dir out } pass { }\n#INDEX 2\n"));
}

TEST_F(PolicyCommands, BareShowsWhatWasAddedAsTyped) {
  ASSERT_EQ(ipsecconf({}), 0);
  EXPECT_EQ(out_, "");
  ASSERT_EQ(ipsecconf({"-q", "-a", file(kIpd + "{ lport 53 }  bypass {}\n")}), 0) << err_;
  ASSERT_EQ(ipsecconf({}), 0);
  EXPECT_EQ(out_, "#INDEX mytun0,4\n" + kIpd + "\n#INDEX 4\n{ lport 53 }  bypass {}\n\n");
  ASSERT_EQ(ipsecconf({"-d", "4", "-q"}), 0) << err_;
  ASSERT_EQ(ipsecconf({}), 0);
  EXPECT_EQ(out_, "#INDEX mytun0,4\n" + kIpd + "\n");
  ASSERT_EQ(ipsecconf({"-F", "-q"}), 0) << err_;
  ASSERT_EQ(ipsecconf({}), 0);
  EXPECT_EQ(out_, "");
}

TEST_F(PolicyCommands, DeletesOneEntry) {
  ASSERT_EQ(ipsecconf({"-q", "-a", file(kIpd)}), 0) << err_;
  EXPECT_EQ(ipsecconf({"-q", "-d", "mytun0,2"}), 0) << err_;
  EXPECT_EQ(access_.db.size(), 3u);
  EXPECT_EQ(ipsecconf({"-q", "-d", "mytun0,2"}), 1);
  EXPECT_THAT(err_, HasSubstr("tunnel mytun0 has no rule of index 2"));
  EXPECT_EQ(ipsecconf({"-q", "-d", "nowhere0,2"}), 1);
  EXPECT_EQ(err_, "ipsecconf: Cannot find tunnel interface nowhere0.\n");
}

TEST_F(PolicyCommands, RemovesTheRulesOfAFile) {
  ASSERT_EQ(ipsecconf({"-q", "-a", file(kIpd + "{ lport 53 } bypass {}\n")}), 0) << err_;
  ASSERT_EQ(ipsecconf({"-q", "-r", file("{ lport 53 } bypass {}\n")}), 0) << err_;
  EXPECT_EQ(access_.db.size(), 4u);
  EXPECT_EQ(ipsecconf({"-q", "-r", file("{ lport 53 } bypass {}\n")}), 1);
  EXPECT_THAT(err_, HasSubstr("no such rule is in force"));
}

TEST_F(PolicyCommands, FlushesOneHeadOrAll) {
  ASSERT_EQ(ipsecconf({"-q", "-a", file(kIpd + "{ lport 53 } bypass {}\n")}), 0) << err_;
  ASSERT_EQ(ipsecconf({"-q", "-f", "-i", "mytun0"}), 0) << err_;
  EXPECT_EQ(access_.db.size(), 4u);
  ASSERT_EQ(ipsecconf({"-q", "-f"}), 0) << err_;
  EXPECT_EQ(access_.db.size(), 0u);
}

TEST_F(PolicyCommands, NamespacesAreApart) {
  ASSERT_EQ(ipsecconf({"-q", "-a", file(kIpd), "-N", "svc:/site/vpn:default"}), 0) << err_;
  ASSERT_EQ(ipsecconf({"-q", "-a", file("{ lport 53 } bypass {}\n")}), 0) << err_;
  ASSERT_EQ(ipsecconf({"-qF"}), 0);
  EXPECT_EQ(access_.db.size(), 4u);
  ASSERT_EQ(ipsecconf({"-L", "-v"}), 0);
  EXPECT_THAT(out_,
              StartsWith("#ORIGIN " + root_ + "/policy.conf:1\n#NAMESPACE svc:/site/vpn:default\n#INDEX mytun0,1\n"));
  EXPECT_EQ(ipsecconf({"-q", "-d", "mytun0,1"}), 1);
  EXPECT_THAT(err_, HasSubstr("belongs to svc:/site/vpn:default"));
  EXPECT_EQ(ipsecconf({"-q", "-d", "mytun0,1", "--override"}), 0) << err_;
}

TEST_F(PolicyCommands, ListsAsJson) {
  ASSERT_EQ(ipsecconf({"-q", "-a", file(kIpd)}), 0) << err_;
  ASSERT_EQ(ipsecconf({"-L", "--json"}), 0) << err_;
  const auto json = nlohmann::json::parse(out_);
  ASSERT_EQ(json.size(), 4u);
  EXPECT_EQ(json[0]["tunnel"], "mytun0");
  EXPECT_EQ(json[0]["actions"][0]["encryption"]["algorithm"], "aes-gcm");
  EXPECT_EQ(json[0]["origin"]["line"], 1);
  EXPECT_FALSE(json[0].contains("family"));
}

TEST_F(PolicyCommands, TheEnginesRefusalNamesTheEntry) {
  ASSERT_EQ(ipsecconf({"-q", "-a", file(kIpd)}), 0) << err_;
  EXPECT_EQ(ipsecconf({"-q", "-a", file("\n{ tunnel mytun0 negotiate transport } ipsec { encr_algs aes-gcm }\n")}), 1);
  EXPECT_THAT(err_, HasSubstr("policy.conf:2: Malformed command (fatal):\n{ tunnel mytun0 negotiate transport }"));
  EXPECT_THAT(err_, HasSubstr("would mix 'negotiate tunnel' and 'negotiate transport'"));
  EXPECT_EQ(access_.db.size(), 4u);
}

TEST_F(PolicyCommands, TheWholeSetIsCheckedWithoutADaemon) {
  std::filesystem::create_directories(root_ + "/etc/inet/ipsecinit.d");
  std::filesystem::permissions(root_ + "/etc/inet/ipsecinit.d", std::filesystem::perms(0755));
  std::filesystem::remove(root_ + "/run/pf_policy.sock");
  ASSERT_EQ(ipsecconf({"-c"}), 0) << err_;
  EXPECT_THAT(out_, StartsWith("IPsec configuration does not contain any errors.\n"));
  std::ofstream(root_ + "/etc/inet/ipsecinit.d/a.conf") << "{ lport x } drop {}\n";
  std::filesystem::permissions(root_ + "/etc/inet/ipsecinit.d/a.conf", std::filesystem::perms(0600));
  EXPECT_EQ(ipsecconf({"-c"}), 1);
  EXPECT_THAT(err_, StartsWith(root_ + "/etc/inet/ipsecinit.d/a.conf:1:9: error: Bad Source Port on line: 1"));
  EXPECT_THAT(err_, HasSubstr("\nipsecconf: 1 errors in the policy of 1 files.\n"));
  EXPECT_EQ(out_, "");
}

TEST_F(PolicyCommands, WithoutADaemonTheErrorSaysSo) {
  std::filesystem::remove(root_ + "/run/pf_policy.sock");
  EXPECT_EQ(ipsecconf({"-L"}), 1);
  EXPECT_THAT(err_, HasSubstr("aditd is not running"));
  EXPECT_EQ(ipsecconf({"-c", "-"}, "{ lport 53 } bypass {}"), 0);  // needs none
}

TEST_F(PolicyCommands, ABadLockFileIsNamed) {
  std::ofstream(root_ + "/run/ipsecconf.lock") << "x";
  EXPECT_EQ(ipsecconf({"-qF"}), 1);
  EXPECT_THAT(err_, HasSubstr("Bad lock file"));
}

TEST(PolicyOptions, UsageErrorsOfTheReference) {
  const auto error = [](std::vector<std::string> args) {
    const auto options = parse_policy_options(args);
    return options ? "" : options.error().text;
  };
  EXPECT_EQ(error({"-l", "-f"}), "Multiple commands specified");
  EXPECT_EQ(error({"-a", "f", "-a", "g"}), "Multiple commands or interface not required.");
  EXPECT_EQ(error({"-i", "t0", "-a", "f"}), "Multiple commands or interface not required.");
  EXPECT_EQ(error({"-L", "-i", "t0"}), "interface name not required.");
  EXPECT_EQ(error({"-i", "t0", "-i", "t1", "-l"}), "Interface name already selected");
  EXPECT_EQ(error({"-i", "", "-l"}), "Invalid interface name.");
  EXPECT_EQ(error({"-d", "x"}), "Invalid index");
  EXPECT_EQ(error({"-d", "0"}), "Invalid index");
  EXPECT_EQ(error({"-d", ",3"}), "Invalid index");
  EXPECT_EQ(error({"-q"}), "Bad usage.");
  EXPECT_EQ(error({"-Z"}), "Bad usage.");
  EXPECT_EQ(error({"-l", "extra"}), "Bad usage.");
  EXPECT_EQ(error({"-i", "t0"}), "Cannot view for one interface only.");
  EXPECT_EQ(error({"-a"}), "option '-a' requires a value");
  EXPECT_EQ(error({"diff", "-l"}), "Multiple commands specified");
  EXPECT_EQ(error({"-l", "diff"}), "Bad usage.");
  EXPECT_EQ(error({"-c", "-a", "f"}), "Multiple commands or interface not required.");
  EXPECT_EQ(error({"-c", "-i", "t0"}), "interface name not required.");
  EXPECT_EQ(parse_policy_options(std::vector<std::string>{"-c"})->act, PolicyAct::check_files);
  EXPECT_EQ(parse_policy_options(std::vector<std::string>{"-c", "-v"})->act, PolicyAct::check_files);
  EXPECT_EQ(parse_policy_options(std::vector<std::string>{"-vc"})->act, PolicyAct::check_files);
  EXPECT_EQ(parse_policy_options(std::vector<std::string>{"-c", "-"})->act, PolicyAct::check);
  EXPECT_EQ(parse_policy_options(std::vector<std::string>{"diff", "--json"})->act, PolicyAct::diff);
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"-f", "-a", "x"}, {"-a", "x", "-F"}, {"-qFa", "x"}})
    EXPECT_EQ(parse_policy_options(args)->act, PolicyAct::replace);
}

TEST_F(PolicyCommands, IpsecalgsListsAddsAndRemoves) {
  ASSERT_EQ(ipsecalgs({}), 0) << err_;
  EXPECT_THAT(
      out_,
      StartsWith(
          "List of algorithms, grouped by IPsec protocol:\n\nProtocol 2/PROTO_IPSEC_AH (execution mode: sync)\n"));
  EXPECT_THAT(out_, HasSubstr("\tProtocol number: 3\n\tAlgorithm number: 12\n\tAlgorithm names: "
                              "aes-cbc,aes\n\tMechanism Name: CKM_AES_CBC\n"
                              "\tBlock sizes or MAC sizes: 16\n\tKey sizes: 128-256, increment 64, default "
                              "128\n\tAlgorithm flags: VALID\n\n"));
  ASSERT_EQ(ipsecalgs({"-r", "-P", "3", "-n", "des", "-s"}), 0) << err_;
  EXPECT_EQ(access_.table.find(crypto::AlgProto::esp, 2), nullptr);
  EXPECT_EQ(
      ipsecconf({"-q", "-a", "-"}, "{ tunnel t0 negotiate tunnel } ipsec { encr_algs des encr_auth_algs sha256 }"), 1);
  EXPECT_THAT(err_, HasSubstr("Bad Encryption Algorithm on line: 1"));
  ASSERT_EQ(ipsecalgs({"-a", "-p", "PROTO_IPSEC_ESP", "-N", "2", "-n", "des-cbc,des,lucifer", "-k", "64", "-s"}), 0)
      << err_;
  EXPECT_NE(access_.table.find(crypto::AlgProto::esp, 2), nullptr);
  ASSERT_EQ(ipsecconf({"-c", "-"}, "{ tunnel t0 negotiate tunnel } ipsec { encr_algs lucifer encr_auth_algs sha256 }"),
            0)
      << err_;
  ASSERT_EQ(ipsecalgs({"-l"}), 0) << err_;
  EXPECT_THAT(out_, StartsWith("Kernel list of algorithms:\n"));
  EXPECT_THAT(out_, ::testing::Not(HasSubstr("Algorithm names")));
}

TEST_F(PolicyCommands, IpsecalgsRefuses) {
  EXPECT_EQ(ipsecalgs({"-a", "-P", "3", "-N", "200", "-n", "rot13"}), 1);
  EXPECT_THAT(err_, HasSubstr("it cannot add"));
  EXPECT_EQ(ipsecalgs({"-a", "-P", "3", "-N", "12", "-n", "aes"}), 1);
  EXPECT_THAT(err_, HasSubstr("-f replaces it"));
  EXPECT_EQ(ipsecalgs({"-a", "-P", "3", "-N", "12", "-n", "des", "-f"}), 1);
  EXPECT_THAT(err_, HasSubstr("the name des is that of algorithm 2"));
  EXPECT_EQ(ipsecalgs({"-r", "-P", "3", "-n", "rot13"}), 1);
  EXPECT_EQ(ipsecalgs({"-R", "-P", "3"}), 1);
  EXPECT_EQ(ipsecalgs({"-a", "-r"}), 1);
  EXPECT_EQ(ipsecalgs({"-e", "fast", "-P", "3"}), 1);
}

TEST_F(PolicyCommands, IpsecalgsNarrowsKeys) {
  ASSERT_EQ(ipsecalgs({"-a", "-f", "-P", "3", "-N", "20", "-n", "aes-gcm", "-k", "256", "-s"}), 0) << err_;
  EXPECT_EQ(ipsecconf({"-q", "-a", "-"}, "{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes-gcm(128) }"), 1);
  ASSERT_EQ(ipsecconf({"-q", "-a", "-"}, "{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes-gcm }"), 0) << err_;
  EXPECT_EQ(access_.db.current()->find("t0")->rules().front().actions.front().encr->bits, (spd::KeyBits{256, 256}));
}

TEST_F(PolicyCommands, AChangeMayWaitToBeConfirmed) {
  ASSERT_EQ(ipsecconf({"-a", file(kIpd), "--confirm", "30"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("The change is undone in 30 s unless 'ipsecconf confirm' comes.\n"));
  EXPECT_EQ(access_.last_flip.confirm_seconds, 30u);
  ASSERT_EQ(ipsecconf({}), 0);
  EXPECT_EQ(out_, "") << "what is not confirmed is not yet what was added";
  EXPECT_EQ(ipsecconf({"confirm"}), 1);
  EXPECT_EQ(err_, "ipsecconf: no flip waits\n");
}

TEST(PolicyCacheTest, WhatIsHeldIsShownWhenItIsConfirmed) {
  std::string folder = "/tmp/adit-cache-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const PolicyCache cache(folder + "/cache");
  ASSERT_TRUE(cache.append({{"", 1, "{ } pass { }"}}));
  ASSERT_TRUE(cache.hold(7, {{"t0", 2, "{ tunnel t0 } drop { }"}}, true));
  ASSERT_TRUE(cache.finish(8)) << "of another change";
  EXPECT_EQ(cache.shown().value(), "#INDEX 1\n{ } pass { }\n\n");
  ASSERT_TRUE(cache.hold(9, {{"t0", 2, "{ tunnel t0 } drop { }"}}, true));
  ASSERT_TRUE(cache.finish(9));
  EXPECT_EQ(cache.shown().value(), "#INDEX 1\n{ } pass { }\n\n#INDEX t0,2\n{ tunnel t0 } drop { }\n\n");
  ASSERT_TRUE(cache.hold(10, {}, false));
  ASSERT_TRUE(cache.finish(std::nullopt)) << "undone";
  EXPECT_NE(cache.shown().value(), "");
  ASSERT_TRUE(cache.hold(11, {}, false));
  ASSERT_TRUE(cache.finish(11));
  EXPECT_EQ(cache.shown().value(), "");
  std::filesystem::remove_all(folder);
}

TEST(PolicyOptionsTest, ConfirmGoesWithWhatFlips) {
  const auto parse = [](std::vector<std::string> args) { return parse_policy_options(args); };
  EXPECT_EQ(parse({"-a", "f", "--confirm", "5"})->confirm_seconds, 5u);
  EXPECT_EQ(parse({"-f", "-a", "f", "--confirm", "86400"})->act, PolicyAct::replace);
  EXPECT_TRUE(parse({"-r", "f", "--confirm", "5"}));
  EXPECT_EQ(parse({"undo", "-N", "svc:/a"})->act, PolicyAct::undo);
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"-l", "--confirm", "5"},
                                                {"-a", "f", "--confirm", "0"},
                                                {"-a", "f", "--confirm", "x"},
                                                {"-a", "f", "--confirm", "86401"},
                                                {"-a", "f", "--confirm"},
                                                {"confirm", "-a", "f"},
                                                {"confirm", "undo"}})
    EXPECT_FALSE(parse(wrong)) << wrong.back();
}

}  // namespace
}  // namespace adit::cli
