// Addresses of Unix sockets, and the commands' way to a daemon's.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "base/result.h"

namespace adit {

// ENAMETOOLONG: the kernel takes 107 characters.
Result<sockaddr_un> unix_address(const std::string& path);

// Connects to a socket of aditd (SOCK_STREAM or SOCK_SEQPACKET, blocking, close-on-exec); the descriptor is the
// caller's. What keeps it from that is said with what to do: ENOENT, ECONNREFUSED (no daemon), EACCES, EPERM,
// ENAMETOOLONG, EMFILE.
Result<int> connect_to_aditd(const std::string& path, int type);

}  // namespace adit
