// What a program of ours may do, brought down to what it needs. Call before threads are started.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace adit::platform {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
};

// What a program is once it works: whose, and with which capabilities.
struct Role {
  const char* program;
  const char* user;
  std::span<const int> kept;
  std::span<const int> at_times;  // permitted, and not in effect but where it is asked for
};
// aditd: CAP_NET_ADMIN (devices, addresses, routes, nftables, marks, settings below net), CAP_NET_RAW (raw sockets),
// CAP_NET_BIND_SERVICE (UDP 500), CAP_IPC_LOCK (secret memory); at times CAP_DAC_READ_SEARCH (AsReader).
extern const Role kDaemonRole;
// adit-guard: CAP_NET_ADMIN.
extern const Role kGuardianRole;

// EPERM, naming what is missing: CAP_NET_ADMIN and CAP_NET_RAW.
Result<> check_privileges();

// nullopt: this system has no such user.
std::optional<User> find_user(const char* name);
// As whom the guardian works, if not as root: nullopt where its user is not made. Reads the system's users, which a
// caged process may not.
std::optional<uid_t> guardian_uid();

// Whom the program goes over to. Without a user it stays who it is; `why_not` says why, and is empty where it was
// started as somebody else than root.
struct OwnUser {
  std::optional<User> user;
  std::string why_not;
};
OwnUser own_user(const Role& role);

// Goes over to the user and keeps what the role keeps, as far as it is held; nothing in the inheritable, ambient and
// bounding sets, and no way to more: no_new_privs. Without a user root stays user 0 without root's powers.
// EPERM: CAP_NET_ADMIN is not held.
Result<> drop_privileges(const Role& role, const std::optional<User>& user);

// Keeps just these, in every set: for a process that starts programs. `user`: goes over to it, and what it starts has
// them too (ambient).
Result<> keep_only(std::span<const int> capabilities, const std::optional<User>& user = std::nullopt);

// While it lives the calling thread may read root's files: policy and keys, which a refresh reads again. Which files at
// all is the cage's (cage.h). Without CAP_DAC_READ_SEARCH permitted it changes nothing.
class AsReader {
 public:
  AsReader();
  ~AsReader();
  AsReader(const AsReader&) = delete;
  AsReader& operator=(const AsReader&) = delete;

 private:
  bool raised_;
};

// I8: no core file, no ptrace by others of the user, no /proc/self/mem for them.
Result<> forbid_dumps();

}  // namespace adit::platform
