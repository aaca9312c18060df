// Each test acts in a child process: what the cage refuses it refuses for good.
#include "linux/process/cage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

namespace adit::platform {
namespace {

namespace fs = std::filesystem;

class Cage : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<char, 32> pattern{"/tmp/adit-cage-XXXXXX"};
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    top = pattern.data();
    for (const char* folder : {"own", "other", "set"}) fs::create_directory(top + "/" + folder);
    for (const char* file : {"/own/a", "/other/a", "/set/a"}) std::ofstream(top + file) << "before";
  }
  void TearDown() override { fs::remove_all(top); }

  // As waitpid says how a child ended that did this in the cage.
  int status_of(CageRules::Calls calls, const std::function<int()>& act, std::vector<std::string> read = {}) {
    const pid_t child = fork();
    if (child == 0) {
      const auto open =
          close_cage({.calls = calls, .own = {top + "/own"}, .set = {top + "/set"}, .read = std::move(read)});
      _exit(open.empty() ? act() : 200);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }
  int exit_of(CageRules::Calls calls, const std::function<int()>& act, std::vector<std::string> read = {}) {
    const int status = status_of(calls, act, std::move(read));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  std::string top;
};

constexpr auto kBoth = {CageRules::Calls::daemon, CageRules::Calls::guardian};

bool refuses(int result) {
  return result < 0 && (errno == EACCES || errno == EPERM || errno == EXDEV);
}
bool writes(const std::string& path, int flags = 0) {
  const int fd = open(path.c_str(), O_WRONLY | flags, 0600);
  const bool wrote = fd >= 0 && write(fd, "x", 1) == 1;
  if (fd >= 0) close(fd);
  return wrote;
}

TEST_F(Cage, InItsOwnFoldersFilesAreMadeReplacedAndRemoved) {
  for (const auto calls : kBoth)
    EXPECT_EQ(exit_of(calls,
                      [&] {
                        const std::string own = top + "/own/";
                        if (!writes(own + "a") || !writes(own + "b", O_CREAT | O_EXCL)) return 1;
                        if (rename((own + "b").c_str(), (own + "a").c_str()) != 0) return 2;
                        if (truncate((own + "a").c_str(), 0) == 0) return 3;  // by name: nobody here does it
                        if (!writes(own + "a", O_TRUNC)) return 4;
                        if (mkdir((own + "d").c_str(), 0700) != 0 || !writes(own + "d/c", O_CREAT)) return 5;
                        return unlink((own + "d/c").c_str()) == 0 && rmdir((own + "d").c_str()) == 0 ? 0 : 6;
                      }),
              0);
}

TEST_F(Cage, ElsewhereNothingIsWrittenMadeMovedOrRemovedEvenByRoot) {
  for (const auto calls : kBoth)
    EXPECT_EQ(exit_of(calls,
                      [&] {
                        const std::string own = top + "/own/", other = top + "/other/";
                        if (writes(other + "a") || writes(other + "b", O_CREAT)) return 1;
                        if (!refuses(unlink((other + "a").c_str()))) return 2;
                        if (!refuses(rename((own + "a").c_str(), (other + "a").c_str()))) return 3;
                        if (!refuses(rename((other + "a").c_str(), (own + "a").c_str()))) return 4;
                        if (!refuses(mkdir((other + "d").c_str(), 0700))) return 5;
                        if (writes("/etc/passwd", O_APPEND) || writes("/proc/sys/kernel/core_pattern")) return 6;
                        return refuses(mknod((own + "dev").c_str(), S_IFCHR | 0600, 259)) ? 0 : 7;
                      }),
              0);
  std::string text;
  std::ifstream(top + "/other/a") >> text;
  EXPECT_EQ(text, "before");
}

TEST_F(Cage, WhatMayBeSetIsWrittenAndNotReplaced) {
  EXPECT_EQ(exit_of(CageRules::Calls::daemon,
                    [&] {
                      const std::string set = top + "/set/";
                      if (!writes(set + "a")) return 1;
                      return !writes(set + "b", O_CREAT) && refuses(unlink((set + "a").c_str())) ? 0 : 2;
                    }),
            0);
}

TEST_F(Cage, AFolderThatNobodyElseHasOpenKeepsItsRule) {
  EXPECT_EQ(exit_of(CageRules::Calls::daemon,
                    [&] {
                      std::ofstream("/proc/sys/vm/drop_caches");  // refused; what is looked up anew is still allowed
                      return writes(top + "/set/a") ? 0 : 1;
                    }),
            0);
}

TEST_F(Cage, ReadingIsBoundWhereItIsSaid) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SUCCEED() << "a sanitizer's report reads any file";
#else
  EXPECT_EQ(exit_of(CageRules::Calls::daemon,
                    [&] {
                      if (!refuses(open((top + "/other/a").c_str(), O_RDONLY))) return 1;
                      return open((top + "/own/a").c_str(), O_RDONLY) >= 0 && open("/etc/hosts", O_RDONLY) >= 0 ? 0 : 2;
                    },
                    {"/etc"}),
            0);
#endif
}

TEST_F(Cage, WhatAnAttackerNeedsNextEndsTheProcess) {
  const std::vector<std::pair<const char*, std::function<void()>>> acts = {
      {"execve", [] { execl("/bin/true", "true", nullptr); }},
      {"execveat", [] { syscall(SYS_execveat, AT_FDCWD, "/bin/true", nullptr, nullptr, 0); }},
      {"ptrace", [] { ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
      {"process_vm_readv", [] { syscall(SYS_process_vm_readv, getppid(), nullptr, 0, nullptr, 0, 0); }},
      {"mount", [] { mount("none", "/tmp", "tmpfs", 0, nullptr); }},
      {"unshare", [] { syscall(SYS_unshare, 0); }},
      {"setns", [] { syscall(SYS_setns, 0, 0); }},
      {"setuid", [] { syscall(SYS_setuid, 0); }},
      {"setresuid", [] { syscall(SYS_setresuid, 0, 0, 0); }},
      {"chroot", [] { syscall(SYS_chroot, "/"); }},
      {"init_module", [] { syscall(SYS_init_module, nullptr, 0, ""); }},
      {"finit_module", [] { syscall(SYS_finit_module, -1, "", 0); }},
      {"kexec_load", [] { syscall(SYS_kexec_load, 0, 0, nullptr, 0); }},
      {"bpf", [] { syscall(SYS_bpf, 0, nullptr, 0); }},
      {"io_uring_setup", [] { syscall(SYS_io_uring_setup, 1, nullptr); }},
      {"userfaultfd", [] { syscall(SYS_userfaultfd, 0); }},
      {"keyctl", [] { syscall(SYS_keyctl, 0, 0, 0, 0, 0); }},
      {"open_by_handle_at", [] { syscall(SYS_open_by_handle_at, AT_FDCWD, nullptr, 0); }},
  };
  for (const auto calls : kBoth)
    for (const auto& [name, act] : acts) {
      const int status = status_of(calls, [&act = act] {
        act();
        return 0;
      });
      EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << name << ' ' << status;
    }
}

TEST_F(Cage, AnyOtherCallIsRefusedToldOnceAndTheProcessLives) {
  for (const auto calls : kBoth)
    EXPECT_EQ(exit_of(calls,
                      [] {
                        if (syscall(SYS_sync_file_range, 0, 0, 0, 0) != -1 || errno != EPERM) return 1;
                        if (syscall(SYS_sync_file_range, 0, 0, 0, 0) != -1 || errno != EPERM) return 2;
                        if (fork() >= 0 || errno != EPERM) return 3;
                        if (kill(getppid(), 0) != -1 || errno != EPERM) return 4;
                        const auto told = refused_calls();
                        if (told.size() != 3) return 5;
                        bool named = false;
                        for (const auto& sentence : told)
                          named |= sentence.find("system call sync_file_range was refused") != std::string::npos;
                        return named && refused_calls().empty() ? 0 : 6;
                      }),
              0);
}

TEST_F(Cage, OnlySocketsOfItsTrade) {
  const auto can = [](int family, int type) { return socket(family, type, 0) >= 0; };
  EXPECT_EQ(exit_of(CageRules::Calls::daemon,
                    [&] {
                      if (!can(AF_UNIX, SOCK_STREAM) || !can(AF_INET, SOCK_DGRAM) || !can(AF_INET6, SOCK_DGRAM))
                        return 1;
                      return can(AF_NETLINK, SOCK_RAW) && !can(AF_PACKET, SOCK_RAW) && !can(AF_VSOCK, SOCK_STREAM) &&
                                     !can(AF_ALG, SOCK_SEQPACKET)
                                 ? 0
                                 : 2;
                    }),
            0);
  EXPECT_EQ(exit_of(CageRules::Calls::guardian,
                    [&] {
                      if (!can(AF_UNIX, SOCK_STREAM) || !can(AF_NETLINK, SOCK_RAW)) return 1;
                      return !can(AF_INET, SOCK_DGRAM) && !can(AF_INET6, SOCK_STREAM) ? 0 : 2;
                    }),
            0);
}

// As an old kernel, or a container that forbids both.
TEST_F(Cage, WhatTheKernelLacksIsSaidAndTheRestStands) {
  const auto without = [](const std::vector<const char*>& calls) {
    const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    for (const char* call : calls)
      (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), seccomp_syscall_resolve_name(call), 0);
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP));
    return seccomp_load(filter) == 0;
  };
  const auto in_child = [](const std::function<int()>& act) {
    const pid_t child = fork();
    if (child == 0) _exit(act());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
  };
  EXPECT_EQ(in_child([&] {
              if (!without({"landlock_create_ruleset"})) return 1;
              const auto open = close_cage({.own = {top + "/own"}});
              if (open.size() != 1 || open[0].find("no Landlock") == std::string::npos) return 2;
              return fork() < 0 ? 0 : 3;
            }),
            0);
  EXPECT_EQ(in_child([&] {
              if (!without({"seccomp"})) return 1;
              const auto open = close_cage({.own = {top + "/own"}});
              if (open.size() != 1 || open[0].find("any system call") == std::string::npos) return 2;
              return writes(top + "/other/a") ? 3 : 0;
            }),
            0);
}

TEST_F(Cage, ThreadsStartAndAreInItToo) {
  EXPECT_EQ(exit_of(CageRules::Calls::daemon,
                    [&] {
                      bool wrote = true, made = true;
                      std::thread([&] {
                        wrote = writes(top + "/other/a");
                        made = writes(top + "/own/b", O_CREAT);
                      }).join();
                      return !wrote && made ? 0 : 1;
                    }),
            0);
}

}  // namespace
}  // namespace adit::platform
