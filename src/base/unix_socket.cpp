#include "base/unix_socket.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace adit {

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ENAMETOOLONG, "the socket path {} is too long ({} characters are allowed)", path,
                sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<int> connect_to_aditd(const std::string& path, int type) {
  TRY_ASSIGN(const sockaddr_un address, unix_address(path));
  const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(errno, "cannot make a socket: {}", std::strerror(errno));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const int error = errno;
  ::close(fd);
  if (error == ENOENT || error == ECONNREFUSED)
    return fail(error, "aditd is not running (no answer at {}); start it with 'aditd'", path);
  if (error == EACCES || error == EPERM)
    return fail(error, "no permission to use {}; run as root or as a member of the socket's group", path);
  return fail(error, "cannot connect to {}: {}", path, std::strerror(error));
}

}  // namespace adit
