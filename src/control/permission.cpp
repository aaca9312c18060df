#include "control/permission.h"

#include <unistd.h>

namespace adit::engine {

bool is_privileged(uid_t uid) {
  return uid == 0 || uid == ::geteuid();
}

Result<> permit_peer(uid_t uid, std::string_view what) {
  if (is_privileged(uid)) return {};
  return fail(EPERM, "permission denied: user id {} may not {}; become root, or use sudo", uid, what);
}

}  // namespace adit::engine
