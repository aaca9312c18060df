#include "linux/process/call_filter.h"

#include <seccomp.h>
#include <sys/socket.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <memory>
#include <span>

#include <linux/sched.h>

#include "linux/process/sanitized.h"

namespace adit::platform {
namespace {

// --- what is allowed

// Named, so that a kind of machine that lacks one (poll on aarch64) has one less.
constexpr const char* kBoth[] = {
    // descriptors
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2", "close",
    "close_range", "lseek", "dup", "dup2", "dup3", "fcntl", "ioctl", "flock", "poll", "ppoll", "select", "pselect6",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "timerfd_create",
    "timerfd_settime", "timerfd_gettime", "signalfd4", "pipe", "pipe2", "memfd_create",
    // files, as far as Landlock and their modes allow
    "open", "openat", "stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "rename", "renameat", "renameat2", "unlink",
    "unlinkat", "mkdir", "mkdirat", "rmdir", "chmod", "fchmod", "fchmodat", "umask", "ftruncate", "fallocate", "fsync",
    "fdatasync", "fadvise64",
    // sockets; which, below
    "bind", "connect", "listen", "accept", "accept4", "getsockname", "getpeername", "getsockopt", "setsockopt",
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "shutdown",
    // memory
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "mlock", "mlock2", "munlock", "msync",
    // time, signals, itself
    "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "futex", "getpid",
    "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getrandom", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "tgkill", "sched_yield", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "getrlimit", "prlimit64", "getrusage", "sysinfo", "uname", "prctl", "exit", "exit_group",
    "restart_syscall", "set_robust_list", "set_tid_address", "rseq", "membarrier", "getcpu"};

// Workers and look-ups are threads; nothing here starts a process (clone below).
// capset: raises and lowers what is permitted (AsReader), and can add nothing.
constexpr const char* kDaemonsOwn[] = {"sched_setaffinity", "capget", "capset"};

// The runtimes of sanitizers: stacks of threads, address space layout.
constexpr const char* kSanitizers[] = {"personality", "arch_prctl", "get_robust_list"};

// --- what ends the process

// None of these has a use after the start, and each is what an attacker needs next: programs, other processes, mounts,
// namespaces, users, the kernel itself, and ways around this filter (io_uring).
constexpr const char* kDeadly[] = {"execve",
                                   "execveat",
                                   "ptrace",
                                   "process_vm_readv",
                                   "process_vm_writev",
                                   "pidfd_getfd",
                                   "mount",
                                   "umount2",
                                   "mount_setattr",
                                   "move_mount",
                                   "fsopen",
                                   "fsmount",
                                   "open_tree",
                                   "pivot_root",
                                   "chroot",
                                   "unshare",
                                   "setns",
                                   "setuid",
                                   "setgid",
                                   "setreuid",
                                   "setregid",
                                   "setresuid",
                                   "setresgid",
                                   "setfsuid",
                                   "setfsgid",
                                   "setgroups",
                                   "init_module",
                                   "finit_module",
                                   "delete_module",
                                   "kexec_load",
                                   "kexec_file_load",
                                   "bpf",
                                   "perf_event_open",
                                   "userfaultfd",
                                   "io_uring_setup",
                                   "io_uring_enter",
                                   "iopl",
                                   "ioperm",
                                   "keyctl",
                                   "add_key",
                                   "request_key",
                                   "reboot",
                                   "swapon",
                                   "swapoff",
                                   "open_by_handle_at",
                                   "name_to_handle_at",
                                   "settimeofday",
                                   "clock_settime",
                                   "acct",
                                   "quotactl",
                                   "syslog",
                                   "sethostname",
                                   "setdomainname"};

constexpr int kDaemonsSockets[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
constexpr int kGuardiansSockets[] = {AF_UNIX, AF_NETLINK};

class Filter {
 public:
  explicit Filter(uint32_t otherwise) : filter_(seccomp_init(otherwise), seccomp_release) {}

  void add(uint32_t action, std::span<const char* const> names) {
    for (const char* name : names)
      if (const int number = seccomp_syscall_resolve_name(name); number >= 0)
        keep(seccomp_rule_add(filter_.get(), action, number, 0));
  }
  void add(uint32_t action, const char* name, scmp_arg_cmp condition) {
    if (const int number = seccomp_syscall_resolve_name(name); number >= 0)
      keep(seccomp_rule_add(filter_.get(), action, number, 1, condition));
  }
  Result<> load() {
    keep(seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_TSYNC, 1));
    if (worst_ == 0) keep(seccomp_load(filter_.get()));
    if (worst_ == 0) return {};
    return fail(-worst_, "cannot filter system calls: {}", std::strerror(-worst_));
  }

 private:
  void keep(int code) {
    if (code < 0 && worst_ == 0) worst_ = code;
  }
  std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter_;
  int worst_ = 0;
};

// --- what is told

// A bit a call; written in a signal handler.
constexpr unsigned kMostCalls = 1024, kBits = 64;
std::array<std::atomic<uint64_t>, kMostCalls / kBits> refused{};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

void set_result(ucontext_t& context, int64_t result) {
#if defined(__x86_64__)
  context.uc_mcontext.gregs[REG_RAX] = result;
#elif defined(__aarch64__)
  context.uc_mcontext.regs[0] = static_cast<uint64_t>(result);
#else
#error "how does a system call of this machine return?"
#endif
}

// The call was not made; it returns EPERM.
void on_refused(int /*signal*/, siginfo_t* info, void* context) {
  const auto call = static_cast<unsigned>(info->si_syscall);
  if (call < kMostCalls) refused[call / kBits].fetch_or(1ull << (call % kBits));
  set_result(*static_cast<ucontext_t*>(context), -EPERM);
}

Result<> take_signal() {
  struct sigaction action{};
  action.sa_sigaction = on_refused;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigset_t just{};
  sigemptyset(&just);
  sigaddset(&just, SIGSYS);
  if (sigaction(SIGSYS, &action, nullptr) == 0 && sigprocmask(SIG_UNBLOCK, &just, nullptr) == 0) return {};
  return fail(errno, "cannot take SIGSYS: {}", std::strerror(errno));
}

std::string name_of(unsigned call) {
  const std::unique_ptr<char, void (*)(void*)> name(
      seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(call)), std::free);
  return name ? std::string(name.get()) : fmt::format("number {}", call);
}

}  // namespace

Result<> filter_calls(CageRules::Calls calls) {
  const bool daemon = calls == CageRules::Calls::daemon;
  Filter filter(SCMP_ACT_TRAP);
  filter.add(SCMP_ACT_ALLOW, kBoth);
  if (daemon) filter.add(SCMP_ACT_ALLOW, kDaemonsOwn);
  if (kSanitized) filter.add(SCMP_ACT_ALLOW, kSanitizers);
  filter.add(SCMP_ACT_KILL_PROCESS, kDeadly);
  for (const int family : daemon ? std::span<const int>(kDaemonsSockets) : std::span<const int>(kGuardiansSockets))
    filter.add(SCMP_ACT_ALLOW, "socket", SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family)));
  filter.add(SCMP_ACT_ALLOW, "socketpair", SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
  if (daemon) filter.add(SCMP_ACT_ALLOW, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  // Its flags lie in memory, where no filter sees them; the C library then takes clone.
  constexpr const char* kNewClone[] = {"clone3"};
  filter.add(SCMP_ACT_ERRNO(ENOSYS), kNewClone);
  TRY(take_signal());
  return filter.load();
}

std::vector<std::string> refused_calls() {
  static std::array<std::atomic<uint64_t>, kMostCalls / kBits> told{};
  std::vector<std::string> sentences;
  for (unsigned i = 0; i < refused.size(); ++i) {
    const uint64_t now = refused[i].load();
    const uint64_t fresh = now & ~told[i].fetch_or(now);
    for (unsigned bit = 0; bit < kBits; ++bit)
      if (fresh >> bit & 1)
        sentences.push_back(
            fmt::format("the system call {} was refused: it is on no list of what this program does; if nothing "
                        "attacks it, report this",
                        name_of(i * kBits + bit)));
  }
  return sentences;
}

}  // namespace adit::platform
