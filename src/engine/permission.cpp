#include "engine/permission.h"

#include <unistd.h>

namespace adit::engine {

Result<> permit_peer(uid_t uid, std::string_view what) {
  if (uid == 0 || uid == ::geteuid()) return {};
  return fail(EPERM, "permission denied: user id {} may not {}; become root, or use sudo", uid, what);
}

}  // namespace adit::engine
