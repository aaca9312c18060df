// Each test acts in a child process: what is given up does not come back.
#include "linux/process/privileges.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <functional>

#include "linux/host/linux_platform.h"
#include "linux/launcher/launcher.h"
#include "linux/nft/nft_program.h"
#include "linux/process/cage.h"
#include "linux/process/testing/own_namespace.h"

namespace adit::platform {
namespace {

// The line of /proc/self/status, as a number.
uint64_t capabilities(const std::string& set) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(set + ":")) return std::stoull(line.substr(set.size() + 1), nullptr, 16);
  return ~0ull;
}

int in_child(const std::function<int()>& act) {
  const pid_t child = fork();
  if (child == 0) _exit(act());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

// Bind service, net admin, net raw, ipc lock; at times: read any file.
constexpr uint64_t kKept = 1ull << 10 | 1ull << 12 | 1ull << 13 | 1ull << 14, kAtTimes = 1ull << 2;
constexpr User kSomebody{65534, 65534};

class Privileges : public OwnNamespace {};

TEST_F(Privileges, OfAnotherUserJustWhatTheRoleKeepsRemains) {
  EXPECT_EQ(in_child([] {
              if (!drop_privileges(kDaemonRole, kSomebody)) return 1;
              if (geteuid() != kSomebody.uid || getuid() != kSomebody.uid || getegid() != kSomebody.gid) return 2;
              if (getgroups(0, nullptr) != 0) return 3;
              if (capabilities("CapPrm") != (kKept | kAtTimes) || capabilities("CapEff") != kKept) return 4;
              for (const char* set : {"CapInh", "CapBnd", "CapAmb"})
                if (capabilities(set) != 0) return 5;
              if (setuid(0) == 0) return 6;
              return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 7;
            }),
            0);
  EXPECT_EQ(in_child([] {
              if (!drop_privileges(kGuardianRole, kSomebody)) return 1;
              return capabilities("CapPrm") == 1ull << 12 && capabilities("CapEff") == 1ull << 12 ? 0 : 2;
            }),
            0);
}

TEST_F(Privileges, RootsFilesAreReadOnlyWhereItIsAskedFor) {
  const auto reads = [] {
    const int fd = open("/etc/shadow", O_RDONLY);
    if (fd >= 0) close(fd);
    return fd >= 0;
  };
  EXPECT_EQ(in_child([&] {
              if (!drop_privileges(kDaemonRole, kSomebody) || reads()) return 1;
              {
                const AsReader reader;
                const AsReader again;
                if (!reads() || open("/etc/shadow", O_WRONLY) >= 0) return 2;
              }
              return reads() ? 3 : 0;
            }),
            0);
}

TEST_F(Privileges, WithoutAUserRootStaysWithoutItsPowers) {
  EXPECT_EQ(in_child([] {
              if (!drop_privileges(kDaemonRole, std::nullopt)) return 1;
              if (geteuid() != 0) return 2;
              if (capabilities("CapPrm") != (kKept | kAtTimes) || capabilities("CapEff") != kKept) return 3;
              return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 4;
            }),
            0);
}

TEST_F(Privileges, WhyAProgramStaysRootIsSaid) {
  const Role unknown{"aditd", "_adit-nobody-has-this", {}};
  EXPECT_NE(own_user(unknown).why_not.find("there is no user _adit-nobody-has-this"), std::string::npos);
  EXPECT_EQ(in_child([] {
              const std::array all{CAP_NET_ADMIN, CAP_NET_RAW};
              if (!keep_only(all)) return 1;
              const Role known{"aditd", "nobody", {}};
              const auto own = own_user(known);
              return !own.user && own.why_not.find("without CAP_SETUID") != std::string::npos ? 0 : 2;
            }),
            0);
  const Role known{"aditd", "nobody", {}};
  EXPECT_TRUE(own_user(known).user && own_user(known).why_not.empty());
}

TEST_F(Privileges, EverythingOfThePlatformStillWorksAfterwards) {
  EXPECT_EQ(in_child([] {
              const auto launcher = Launcher::start({.guardian = {"/nonexistent"}, .nft_user = kSomebody});
              if (!launcher || !drop_privileges(kDaemonRole, kSomebody) || !forbid_dumps()) return 1;
              CageRules rules{.set = {"/proc/sys/net", "/dev/net/tun"}, .read = {"/"}};
              if (!close_cage(rules).empty()) return 9;
              auto platform = make_linux_platform(PlatformSettings{.run_dir = "/nonexistent", .launcher = *launcher});
              if (!platform) return 2;
              auto& it = **platform;
              Firewall firewall;
              firewall.host_rules = {{.drop = true, .outbound = true, .remote = *net::Prefix::parse("10.0.1.0/24")}};
              if (!it.apply_firewall(firewall) || it.firewall_stands() != true) return 3;
              const auto ports = it.open_tun("t0", 2, DeviceName::fresh);
              if (!ports || !it.set_link_up("t0", true) || !it.set_carrier("t0", true)) return 4;
              if (!it.add_address("t0", *net::Prefix::parse("10.0.0.1/32"), *net::Address::parse("10.0.1.1"))) return 5;
              if (!it.open_wire(0, 2)) return 6;
              if (!it.set_sysctl("net/ipv4/ip_forward", "1")) return 7;
              return it.notices().empty() && it.retry_wires().empty() ? 0 : 8;
            }),
            0);
}

TEST_F(Privileges, WithoutThemTheErrorSaysWhatIsMissing) {
  EXPECT_EQ(in_child([] {
              if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return 1;
              const auto checked = check_privileges();
              if (checked || checked.error().code != EPERM) return 2;
              if (checked.error().text.find("CAP_NET_ADMIN") == std::string::npos) return 3;
              auto platform = make_linux_platform("", "/nonexistent");
              if (!platform) return 4;
              const auto opened = (*platform)->open_tun("t0", 1, DeviceName::fresh);
              // EACCES: where the device node is root's alone.
              if (opened || (opened.error().code != EPERM && opened.error().code != EACCES)) return 5;
              Firewall firewall;
              firewall.host_rules = {{.drop = true, .outbound = true}};
              const auto applied = (*platform)->apply_firewall(firewall);
              if (applied || applied.error().code != EPERM) return 6;
              return (*platform)->open_wire(0, 1).has_value() ? 7 : 0;
            }),
            0);
}

TEST_F(Privileges, NoDumps) {
  EXPECT_EQ(in_child([] {
              if (!forbid_dumps()) return 1;
              rlimit core{};
              getrlimit(RLIMIT_CORE, &core);
              return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && core.rlim_max == 0 ? 0 : 2;
            }),
            0);
}

TEST(NftProgram, SaysInItsOwnWordsWhatItRefuses) {
  const auto refused = run_nft({"-c", "-f", "-"}, "nonsense here\n");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().text.starts_with("nft refuses: ")) << refused.error().text;
}

}  // namespace
}  // namespace adit::platform
