#include "server/listener.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/unix_socket.h"
#include "server/door.h"

namespace adit::protocol {
namespace {

constexpr std::chrono::milliseconds kRest{100};
constexpr int kQueue = 128;         // that wait to be taken in
constexpr int kClientsPerTurn = 8;  // then others have theirs

Result<int> make_socket(const std::string& path, int type, mode_t mode) {
  TRY_ASSIGN(const sockaddr_un address, unix_address(path));
  const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(errno, "cannot make a socket: {}", std::strerror(errno));
  ::unlink(path.c_str());  // left by a dead daemon
  const mode_t old = ::umask(0777 & ~mode);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::umask(old);
  if (!bound || ::listen(fd, kQueue) != 0) {
    const int error = errno;
    ::close(fd);
    return fail(error, "cannot listen on {}: {}", path, std::strerror(error));
  }
  return fd;
}

// The process or the machine has no more of something: the client waits in the queue until there is.
bool is_shortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Result<std::shared_ptr<Listener>> Listener::open(asio::io_context& io, const std::string& path, int type, mode_t mode,
                                                 Adopt adopt) {
  TRY_ASSIGN(const int fd, make_socket(path, type, mode));
  std::shared_ptr<Listener> listener(new Listener(io, fd, path, std::move(adopt)));
  listener->wait();
  return listener;
}

Listener::Listener(asio::io_context& io, int fd, std::string path, Adopt adopt)
    : socket_(io, fd), timer_(io), path_(std::move(path)), adopt_(std::move(adopt)) {}

void Listener::close() {
  if (!socket_.is_open()) return;
  asio::error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
  ::unlink(path_.c_str());
  adopt_ = nullptr;
}

void Listener::wait() {
  socket_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](asio::error_code error) {
    if (!error && self->socket_.is_open()) self->accept_some();
  });
}

void Listener::accept_some() {
  for (int i = 0; socket_.is_open() && i < kClientsPerTurn; ++i) {
    const int fd = ::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && is_shortage(errno)) return rest();
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return wait();
    adopt(fd);
  }
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->accept_some(); });
}

void Listener::adopt(int fd) {
  Client client(socket_.get_executor());
  asio::error_code error;
  client.assign(fd, error);
  if (error) {
    ::close(fd);
    return;
  }
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return;
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kClientSendBuffer, sizeof kClientSendBuffer);
  (void)at_the_door([&] { adopt_(std::move(client), peer); });
}

// The socket stays readable all the while: waiting for that again would spin.
void Listener::rest() {
  timer_.expires_after(kRest);
  timer_.async_wait([self = shared_from_this()](asio::error_code error) {
    if (!error && self->socket_.is_open()) self->wait();
  });
}

}  // namespace adit::protocol
