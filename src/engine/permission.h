// Who may change policy and keys: the kernel's word about the peer.
#pragma once

#include <sys/types.h>

#include <string_view>

#include "base/result.h"

namespace adit::engine {

// EPERM with a sentence unless the peer is root or runs as the daemon's own user.
Result<> permit_peer(uid_t uid, std::string_view what);

}  // namespace adit::engine
