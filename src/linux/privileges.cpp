#include "linux/privileges.h"

#include <cap-ng.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <array>
#include <cstring>

namespace adit::platform {
namespace {

constexpr std::array kKept = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE, CAP_IPC_LOCK};

}  // namespace

Result<> check_privileges() {
  if (capng_get_caps_process() != 0) return fail(EPERM, "cannot read this process's capabilities");
  for (const int needed : {CAP_NET_ADMIN, CAP_NET_RAW})
    if (capng_have_capability(CAPNG_EFFECTIVE, static_cast<unsigned>(needed)) == 0)
      return fail(EPERM,
                  "aditd needs CAP_NET_ADMIN and CAP_NET_RAW and has not {}; start it as root, or from its service",
                  needed == CAP_NET_ADMIN ? "CAP_NET_ADMIN" : "CAP_NET_RAW");
  return {};
}

Result<> drop_privileges() {
  TRY(check_privileges());
  std::array<bool, kKept.size()> held{};
  for (size_t i = 0; i < kKept.size(); ++i)
    held[i] = capng_have_capability(CAPNG_PERMITTED, static_cast<unsigned>(kKept[i])) != 0;
  capng_clear(CAPNG_SELECT_ALL);
  const auto everywhere = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
                                                    CAPNG_BOUNDING_SET | CAPNG_AMBIENT);
  for (size_t i = 0; i < kKept.size(); ++i)
    if (held[i]) capng_update(CAPNG_ADD, everywhere, static_cast<unsigned>(kKept[i]));
  // The bounding set can only be narrowed with CAP_SETPCAP; without it (a service that was started narrow) it is narrow
  // already.
  const int narrowed = capng_apply(CAPNG_SELECT_ALL);
  if (narrowed != 0 && capng_apply(CAPNG_SELECT_CAPS) != 0)
    return fail(EPERM, "cannot give up capabilities (libcap-ng says {})", narrowed);
  capng_apply(CAPNG_SELECT_AMBIENT);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail(errno, "cannot set no_new_privs: {}", std::strerror(errno));
  return {};
}

Result<> keep_net_admin_only() {
  if (capng_get_caps_process() != 0) return fail(EPERM, "cannot read this process's capabilities");
  if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) == 0) return fail(EPERM, "CAP_NET_ADMIN is not held");
  capng_clear(CAPNG_SELECT_ALL);
  capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET),
               CAP_NET_ADMIN);
  if (const int narrowed = capng_apply(CAPNG_SELECT_ALL); narrowed != 0 && capng_apply(CAPNG_SELECT_CAPS) != 0)
    return fail(EPERM, "cannot give up capabilities (libcap-ng says {})", narrowed);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail(errno, "cannot set no_new_privs: {}", std::strerror(errno));
  return {};
}

Result<> forbid_dumps() {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail(errno, "cannot forbid dumps: {}", std::strerror(errno));
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return fail(errno, "cannot forbid core files: {}", std::strerror(errno));
  return {};
}

}  // namespace adit::platform
