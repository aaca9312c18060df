#include "config/ipsecconf/policy_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "config/ipsecconf/policy_file.h"
#include "config/source/testing/fake_resolver.h"

namespace adit::config {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::string kUnderTunnel = "{ negotiate tunnel } ipsec { encr_algs aes-gcm }\n";

class PolicySetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/adit-set-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::create_directories(directory() + "/tunnels");
    for (const char* folder : {"/etc", "/etc/inet", "/etc/inet/ipsecinit.d", "/etc/inet/ipsecinit.d/tunnels"})
      fs::permissions(root_ + folder, fs::perms(0755));
  }
  void TearDown() override { fs::remove_all(root_); }

  [[nodiscard]] std::string inet() const { return root_ + "/etc/inet"; }
  [[nodiscard]] std::string directory() const { return inet() + "/ipsecinit.d"; }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    const std::string path = inet() + "/" + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }
  std::string link(const std::string& name, const std::string& target) const {
    fs::create_symlink(target, inet() + "/" + name);
    return inet() + "/" + name;
  }
  [[nodiscard]] PolicySet read() const { return read_policy_set(root_, table_, resolver_); }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> list;
    for (const auto& file : read().files) list.push_back(file.substr(inet().size() + 1));
    return list;
  }
  // The first line of each error, the root left out.
  [[nodiscard]] std::vector<std::string> errors() const {
    std::vector<std::string> list;
    for (const auto& problem : read().problems)
      if (problem.severity == Severity::error) list.push_back(problem.headline().substr(inet().size() + 1));
    return list;
  }

  std::string root_;
  crypto::AlgorithmTable table_ = crypto::AlgorithmTable::builtin();
  FakeResolver resolver_;
};

TEST_F(PolicySetTest, NothingThereIsNoPolicyAndNoError) {
  fs::remove_all(root_ + "/etc");
  EXPECT_TRUE(read().ok());
  EXPECT_THAT(read().files, IsEmpty());
}

TEST_F(PolicySetTest, FilesCountInByteOrderOfTheirNames) {
  write("ipsecinit.d/b.conf", "");
  write("ipsecinit.d/B.conf", "");
  write("ipsecinit.d/10.conf", "");
  write("ipsecinit.d/9.conf", "");
  write("ipsecinit.d/\xc3\xa4.conf", "");
  write("ipsecinit.d/.hidden.conf", "nonsense");
  write("ipsecinit.d/README", "nonsense");
  write("ipsecinit.d/b.conf~", "nonsense");
  write("ipsecinit.conf", "");
  write("ipsecinit.d/tunnels/t1.conf", "");
  write("ipsecinit.d/tunnels/t0.conf", "");
  EXPECT_THAT(names(), ElementsAre("ipsecinit.conf", "ipsecinit.d/10.conf", "ipsecinit.d/9.conf", "ipsecinit.d/B.conf",
                                   "ipsecinit.d/b.conf", "ipsecinit.d/\xc3\xa4.conf", "ipsecinit.d/tunnels/t0.conf",
                                   "ipsecinit.d/tunnels/t1.conf"));
}

TEST_F(PolicySetTest, AHigherRuleIsOneOfAnEarlierFileAndEachHeadCountsByItself) {
  write("ipsecinit.conf", "{ lport 1 } drop {}\n");
  write("ipsecinit.d/a.conf", "{ lport 2 } drop {}\n{ tunnel t0 negotiate tunnel lport 7 } drop {}\n");
  write("ipsecinit.d/tunnels/t0.conf", "{ negotiate tunnel lport 8 } drop {}\n");
  write("ipsecinit.d/tunnels/t1.conf", "{ negotiate tunnel lport 9 } drop {}\n");
  const auto rules = read().rules();
  EXPECT_EQ(rules.at("")[0].priority, 0xfffffu);
  EXPECT_EQ(rules.at("")[4].priority, 0xffffeu);
  EXPECT_EQ(rules.at("t0")[0].priority, 0xfffffu);
  EXPECT_EQ(rules.at("t0")[4].priority, 0xffffeu);
  EXPECT_EQ(rules.at("t1")[0].priority, 0xfffffu) << "other heads do not move it";
}

TEST_F(PolicySetTest, AFileNameImpliesTheTunnel) {
  write("ipsecinit.d/tunnels/t0.conf", kUnderTunnel + "{ tunnel t0 negotiate tunnel lport 1 } drop {}\n");
  EXPECT_THAT(errors(), IsEmpty());
  EXPECT_EQ(read().rules().at("t0").size(), 8u);
  write("ipsecinit.d/tunnels/t0.conf", "\n{ negotiate tunnel\n  tunnel t1 } ipsec { encr_algs aes-gcm }\n");
  ASSERT_EQ(errors().size(), 1u);
  EXPECT_THAT(errors()[0], StartsWith("ipsecinit.d/tunnels/t0.conf:3:10: error: Bad Tunnel on line: 3; "
                                      "this file is for tunnel t0, by its name"));
}

TEST_F(PolicySetTest, LinksToOneFileGiveManyTunnelsItsPolicyAndOriginsNameTheLink) {
  write("everybody.policy", "# for all\n" + kUnderTunnel);
  const std::string one = link("ipsecinit.d/tunnels/t0.conf", "../../everybody.policy");
  const std::string other = link("ipsecinit.d/tunnels/t1.conf", inet() + "/everybody.policy");
  const auto set = read();
  EXPECT_TRUE(set.ok()) << set.errors();
  EXPECT_EQ(set.rules().at("t0").front().origin.file, one);
  EXPECT_EQ(set.rules().at("t1").front().origin.file, other);
  EXPECT_EQ(set.rules().at("t1").front().origin.line, 2u);
}

TEST_F(PolicySetTest, EveryErrorOfEveryFileIsToldWithItsFile) {
  write("ipsecinit.conf", "{ lport 1 } drop {}\n{ lport x } drop {}\n");
  write("ipsecinit.d/a.conf", "{ lport 1 } drop {}\n", 0664);
  write("ipsecinit.d/b.conf", "{ lport 1 } frop {}\n{ nothing } drop {}\n");
  link("ipsecinit.d/c.conf", "../nowhere");
  fs::create_directory(directory() + "/d.conf");
  write("ipsecinit.d/tunnels/9x.conf", kUnderTunnel);
  write("ipsecinit.d/tunnels/averyverylongname0.conf", kUnderTunnel);
  const auto told = errors();
  ASSERT_EQ(told.size(), 8u);
  EXPECT_THAT(told[0], StartsWith("ipsecinit.conf:2:9: error: Bad Source Port on line: 2"));
  EXPECT_EQ(told[1], "ipsecinit.d/a.conf: error: others may write it (mode 0664); chmod go-w it first");
  EXPECT_THAT(told[2], StartsWith("ipsecinit.d/b.conf:1:"));
  EXPECT_THAT(told[3], StartsWith("ipsecinit.d/b.conf:2:"));
  EXPECT_EQ(told[4], "ipsecinit.d/c.conf: error: leads to ../nowhere, which is not there");
  EXPECT_EQ(told[5], "ipsecinit.d/d.conf: error: not a regular file");
  EXPECT_THAT(told[6], StartsWith("ipsecinit.d/tunnels/9x.conf: error: the file's name must be that of a tunnel: "));
  EXPECT_THAT(told[7], StartsWith("ipsecinit.d/tunnels/averyverylongname0.conf: error: the file's name must be that"));
  EXPECT_THAT(read().entries, IsEmpty());
  EXPECT_THAT(read().rules(), IsEmpty()) << "one error, and nothing of it is to be applied";
}

TEST_F(PolicySetTest, ADanglingMainFileIsAnErrorAnAbsentOneIsNot) {
  EXPECT_TRUE(read().ok());
  link("ipsecinit.conf", "gone");
  EXPECT_THAT(errors(), ElementsAre("ipsecinit.conf: error: leads to gone, which is not there"));
}

TEST_F(PolicySetTest, TheTargetOfALinkIsHeldToTheSameAndSoIsItsDirectory) {
  fs::create_directory(inet() + "/shared");
  const std::string target = write("shared/p", kUnderTunnel, 0666);
  link("ipsecinit.d/tunnels/t0.conf", "../../shared/p");
  EXPECT_THAT(errors(), ElementsAre(HasSubstr("t0.conf: error: leads to " + target + ": others may write it")));
  fs::permissions(target, fs::perms(0644));
  fs::permissions(inet() + "/shared", fs::perms(0777));
  EXPECT_THAT(errors(), ElementsAre(HasSubstr("in " + inet() + "/shared: others may write it (mode 0777)")));
  ::chmod((inet() + "/shared").c_str(), 01777);
  EXPECT_THAT(errors(), IsEmpty()) << "in a sticky directory nobody else can replace it";
}

TEST_F(PolicySetTest, ADirectoryThatOthersMayWriteIsAnError) {
  write("ipsecinit.d/tunnels/t0.conf", kUnderTunnel);
  ::chmod((directory() + "/tunnels").c_str(), 01777);
  EXPECT_THAT(errors(),
              ElementsAre("ipsecinit.d/tunnels: error: others may write it (mode 1777); chmod go-w it first"));
  fs::permissions(directory() + "/tunnels", fs::perms(0755));
  fs::permissions(directory(), fs::perms(0775));
  EXPECT_THAT(errors(), ElementsAre(StartsWith("ipsecinit.d: error: others may write it")));
  fs::permissions(directory(), fs::perms(0755));
  fs::permissions(inet(), fs::perms(0777));
  write("ipsecinit.conf", "");
  const auto set = read();
  EXPECT_THAT(set.errors(), inet() + ": error: others may write it (mode 0777); chmod go-w it first");
}

TEST_F(PolicySetTest, AFileWhereADirectoryShouldBeIsAnError) {
  fs::remove_all(directory());
  write("ipsecinit.d", "");
  EXPECT_THAT(errors(), ElementsAre("ipsecinit.d: error: not a directory"));
}

TEST_F(PolicySetTest, FilesAreCheckedAgainstEachOther) {
  const std::string first = write("ipsecinit.conf", "{ tunnel t0 negotiate tunnel } ipsec { encr_algs aes-gcm }\n");
  write("ipsecinit.d/tunnels/t0.conf", "\n{ negotiate transport } ipsec { encr_algs aes-gcm }\n");
  ASSERT_EQ(errors().size(), 1u);
  EXPECT_THAT(errors()[0], StartsWith("ipsecinit.d/tunnels/t0.conf:2:1: error: tunnel t0 mixes"));
  EXPECT_THAT(errors()[0], HasSubstr(first + ":1 has the other"));
  write("ipsecinit.d/tunnels/t0.conf", kUnderTunnel);
  const auto set = read();
  EXPECT_TRUE(set.ok());
  ASSERT_EQ(set.problems.size(), 1u);
  EXPECT_THAT(set.problems[0].headline(), HasSubstr("Duplicate policy entry (ignored); " + first + ":1 has the same"));
  EXPECT_EQ(set.rules().at("t0").size(), 4u);
}

TEST_F(PolicySetTest, AWeakAlgorithmIsWarnedAboutOnceALoad) {
  const std::string weak = "{ negotiate tunnel } ipsec { encr_algs 3des encr_auth_algs sha256 }\n";
  write("ipsecinit.d/tunnels/t0.conf", weak);
  write("ipsecinit.d/tunnels/t1.conf", weak);
  EXPECT_EQ(read().problems.size(), 1u);
  EXPECT_TRUE(read().ok());
}

TEST_F(PolicySetTest, ThousandsOfErrorsAreToldUpToALimit) {
  std::string text;
  for (int line = 0; line < 40; ++line) text += "{ lport x } drop {}\n";
  for (int file = 0; file < 10; ++file) write(fmt::format("ipsecinit.d/{}.conf", file), text);
  const auto set = read();
  EXPECT_EQ(count_errors(set.problems), 400u);
  EXPECT_THAT(set.errors(), ::testing::EndsWith("\nand 200 errors more"));
  EXPECT_EQ(std::ranges::count(set.errors(), '^'), 200);
}

TEST_F(PolicySetTest, AFileThatNobodyMayReadIsAnError) {
  constexpr uid_t kNobody = 65534;
  write("ipsecinit.conf", "", 0);
  fs::permissions(root_, fs::perms(0755));
  const uid_t before = ::geteuid();  // root reads everything
  if (before == 0) ASSERT_EQ(::seteuid(kNobody), 0);
  const auto told = errors();
  ASSERT_EQ(::seteuid(before), 0);
  EXPECT_THAT(told, ElementsAre("ipsecinit.conf: error: Permission denied"));
}

}  // namespace
}  // namespace adit::config
