#include "linux/process/privileges.h"

#include <cap-ng.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace adit::platform {
namespace {

constexpr std::array kDaemonKeeps = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_IPC_LOCK};
constexpr std::array kDaemonAtTimes = {CAP_DAC_READ_SEARCH};
constexpr std::array kGuardianKeeps = {CAP_NET_ADMIN};

constexpr auto kUsed = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED);
constexpr auto kEverywhere =
    static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_BOUNDING_SET);

bool holds(int capability) {
  return capng_have_capability(CAPNG_PERMITTED, static_cast<unsigned>(capability)) != 0;
}

// What libcap-ng is to apply: those of `wanted` that are held, and of `at_times` as permitted. Whether the bounding set
// can be narrowed: without CAP_SETPCAP (a service that was started narrow) it is narrow already.
Result<bool> choose(std::span<const int> wanted, capng_type_t sets, std::span<const int> at_times = {}) {
  if (capng_get_caps_process() != 0) return fail(EPERM, "cannot read this process's capabilities");
  const bool may_narrow = holds(CAP_SETPCAP);
  std::vector<std::pair<capng_type_t, unsigned>> held;
  for (const int one : wanted)
    if (holds(one)) held.emplace_back(sets, one);
  for (const int one : at_times)
    if (holds(one)) held.emplace_back(CAPNG_PERMITTED, one);
  capng_clear(CAPNG_SELECT_ALL);
  for (const auto& [where, one] : held) capng_update(CAPNG_ADD, where, one);
  return may_narrow;
}

Result<> apply(const std::optional<User>& user, bool may_narrow) {
  int code = 0;
  if (user) {
    // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): the library's flags are bits, and their sum is no
    // name
    const auto both = static_cast<capng_flags_t>(CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    code = capng_change_id(static_cast<int>(user->uid), static_cast<int>(user->gid),
                           may_narrow ? both : CAPNG_DROP_SUPP_GRP);
  } else {
    code = capng_apply(may_narrow ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
  }
  if (code != 0) return fail(EPERM, "cannot give up capabilities (libcap-ng says {})", code);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail(errno, "cannot set no_new_privs: {}", std::strerror(errno));
  return {};
}

// True: it was changed.
bool set_effective(int capability, bool on) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (syscall(SYS_capget, &header, sets.data()) != 0) return false;
  auto& word = sets.at(CAP_TO_INDEX(capability));
  const uint32_t bit = CAP_TO_MASK(capability);
  if ((word.permitted & bit) == 0 || ((word.effective & bit) != 0) == on) return false;
  word.effective ^= bit;
  return syscall(SYS_capset, &header, sets.data()) == 0;
}

// A namespace of users may not know it.
bool can_be(const User& user) {
  return seteuid(user.uid) == 0 && seteuid(0) == 0;
}

}  // namespace

const Role kDaemonRole{"aditd", "_adit", kDaemonKeeps, kDaemonAtTimes};
const Role kGuardianRole{"adit-guard", "_adit-guard", kGuardianKeeps, {}};

Result<> check_privileges() {
  if (capng_get_caps_process() != 0) return fail(EPERM, "cannot read this process's capabilities");
  for (const int needed : {CAP_NET_ADMIN, CAP_NET_RAW})
    if (capng_have_capability(CAPNG_EFFECTIVE, static_cast<unsigned>(needed)) == 0)
      return fail(EPERM,
                  "aditd needs CAP_NET_ADMIN and CAP_NET_RAW and has not {}; start it as root, or from its service",
                  needed == CAP_NET_ADMIN ? "CAP_NET_ADMIN" : "CAP_NET_RAW");
  return {};
}

std::optional<User> find_user(const char* name) {
  const passwd* entry = ::getpwnam(name);
  if (entry == nullptr) return std::nullopt;
  return User{entry->pw_uid, entry->pw_gid};
}

std::optional<uid_t> guardian_uid() {
  const auto user = find_user(kGuardianRole.user);
  return user ? std::optional(user->uid) : std::nullopt;
}

OwnUser own_user(const Role& role) {
  if (::geteuid() != 0) return {};
  const auto because = [&](const std::string& why) {
    return OwnUser{std::nullopt, fmt::format("{} stays user root, without root's powers: {}", role.program, why)};
  };
  const auto user = find_user(role.user);
  if (!user) return because(fmt::format("there is no user {}; make it (systemd-sysusers) and restart", role.user));
  if (capng_get_caps_process() != 0 || !holds(CAP_SETUID) || !holds(CAP_SETGID))
    return because("it was started without CAP_SETUID and CAP_SETGID");
  if (!can_be(*user)) return because(fmt::format("user {} does not exist in this user namespace", role.user));
  return {user, {}};
}

Result<> drop_privileges(const Role& role, const std::optional<User>& user) {
  TRY_ASSIGN(const bool may_narrow, choose(role.kept, kUsed, role.at_times));
  if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) == 0) return fail(EPERM, "CAP_NET_ADMIN is not held");
  TRY(apply(user, may_narrow));
  return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 || errno == EINVAL
             ? Result<>{}
             : fail(errno, "cannot clear the ambient capabilities: {}", std::strerror(errno));
}

Result<> keep_only(std::span<const int> capabilities, const std::optional<User>& user) {
  TRY_ASSIGN(const bool may_narrow, choose(capabilities, kEverywhere));
  TRY(apply(user, may_narrow));
  const bool root = ::geteuid() == 0;  // to whom the kernel gives them anyhow when a program starts
  for (const int one : capabilities)
    if (!root && holds(one)) (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, one, 0, 0);
  return {};
}

// The calls themselves: of this thread only, and without the files that the library reads.
AsReader::AsReader() : raised_(set_effective(CAP_DAC_READ_SEARCH, true)) {}

AsReader::~AsReader() {
  if (raised_) (void)set_effective(CAP_DAC_READ_SEARCH, false);
}

Result<> forbid_dumps() {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail(errno, "cannot forbid dumps: {}", std::strerror(errno));
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return fail(errno, "cannot forbid core files: {}", std::strerror(errno));
  return {};
}

}  // namespace adit::platform
