// Who may change policy and keys: the kernel's word about the peer.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "base/result.h"

namespace adit::engine {

// Root, or the user that the daemon runs as.
bool is_privileged(uid_t uid);

// EPERM with a sentence unless the peer is privileged.
Result<> permit_peer(uid_t uid, std::string_view what);

}  // namespace adit::engine
