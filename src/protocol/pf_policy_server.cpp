#include "protocol/pf_policy_server.h"

#include <adit/pfpolicy.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <set>
#include <vector>

#include "protocol/pf_policy_session.h"

namespace adit::protocol {
namespace {

using asio::posix::stream_descriptor;

Result<int> make_socket(const std::string& path, mode_t mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ENAMETOOLONG, "the socket path {} is too long ({} characters are allowed)", path,
                sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(errno, "cannot make a socket: {}", std::strerror(errno));
  ::unlink(path.c_str());  // left by a dead daemon
  const mode_t old = ::umask(0777 & ~mode);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::umask(old);
  if (!bound || ::listen(fd, 64) != 0) {
    const int error = errno;
    ::close(fd);
    return fail(error, "cannot listen on {}: {}", path, std::strerror(error));
  }
  return fd;
}

// One client. It is read only while nothing waits to be written, so that who does not read cannot ask for more.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Closed = std::function<void(const std::shared_ptr<Connection>&)>;

  Connection(asio::io_context& io, int fd, engine::PolicyAccess& access, engine::PolicyCaller caller,
             std::chrono::seconds stall, Closed closed)
      : socket_(io, fd), timer_(io), session_(access, std::move(caller)), stall_(stall), closed_(std::move(closed)) {}

  void start() { wait_to_read(); }

  void close() {
    if (!socket_.is_open()) return;
    asio::error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
    if (closed_) std::exchange(closed_, nullptr)(shared_from_this());
  }

 private:
  void wait_to_read() {
    socket_.async_wait(stream_descriptor::wait_read, [self = shared_from_this()](asio::error_code error) {
      if (error) return self->close();
      self->read();
    });
  }

  void read() {
    buffer_.resize(SPD_MAX_MESSAGE);
    // MSG_TRUNC: the true length of a message that does not fit.
    const ssize_t got = ::recv(socket_.native_handle(), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return wait_to_read();
    if (got <= 0) return close();
    const size_t have = std::min(static_cast<size_t>(got), buffer_.size());
    session_.handle(ByteSpan(buffer_).first(have));
    buffer_ = {};
    write();
  }

  void write() {
    while (session_.pending()) {
      const ByteSpan message = session_.front();
      if (::send(socket_.native_handle(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == ENOBUFS) return wait_to_write();
        return close();
      }
      session_.pop();
    }
    wait_to_read();
  }

  void wait_to_write() {
    timer_.expires_after(stall_);
    timer_.async_wait([weak = weak_from_this()](asio::error_code error) {
      if (const auto self = weak.lock(); self && !error) self->close();
    });
    socket_.async_wait(stream_descriptor::wait_write, [self = shared_from_this()](asio::error_code error) {
      self->timer_.cancel();
      if (error) return self->close();
      self->write();
    });
  }

  stream_descriptor socket_;
  asio::steady_timer timer_;
  PolicySession session_;
  std::chrono::seconds stall_;
  Closed closed_;
  std::vector<uint8_t> buffer_;  // kept only while a message is read
};

}  // namespace

struct PolicyServer::Impl : std::enable_shared_from_this<PolicyServer::Impl> {
  Impl(asio::io_context& context, int fd, engine::PolicyAccess& policy, std::string at, Limits bounds)
      : io(context), socket(context, fd), access(policy), path(std::move(at)), limits(bounds) {}

  void accept() {
    socket.async_wait(stream_descriptor::wait_read, [self = shared_from_this()](asio::error_code error) {
      if (error) return;
      for (int fd; (fd = ::accept4(self->socket.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
        self->adopt(fd);
      self->accept();
    });
  }

  void adopt(int fd) {
    ucred peer{};
    socklen_t length = sizeof peer;
    if (connections.size() >= limits.clients || ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
      ::close(fd);
      return;
    }
    engine::PolicyCaller caller{.uid = peer.uid, .gid = peer.gid, .pid = peer.pid};
    const auto connection =
        std::make_shared<Connection>(io, fd, access, std::move(caller), limits.stall,
                                     [weak = weak_from_this()](const std::shared_ptr<Connection>& gone) {
                                       if (const auto self = weak.lock()) self->connections.erase(gone);
                                     });
    connections.insert(connection);
    connection->start();
  }

  void stop() {
    asio::error_code ignored;
    socket.close(ignored);
    ::unlink(path.c_str());
    for (const auto& connection : std::set(connections)) connection->close();
  }

  asio::io_context& io;
  stream_descriptor socket;
  engine::PolicyAccess& access;
  std::string path;
  Limits limits;
  std::set<std::shared_ptr<Connection>> connections;
};

Result<std::unique_ptr<PolicyServer>> PolicyServer::listen(asio::io_context& io, const std::string& path,
                                                           engine::PolicyAccess& access, mode_t mode, Limits limits) {
  TRY_ASSIGN(const int fd, make_socket(path, mode));
  auto impl = std::make_shared<Impl>(io, fd, access, path, limits);
  impl->accept();
  return std::unique_ptr<PolicyServer>(new PolicyServer(std::move(impl)));
}

PolicyServer::PolicyServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
PolicyServer::~PolicyServer() {
  impl_->stop();
}
size_t PolicyServer::clients() const {
  return impl_->connections.size();
}

}  // namespace adit::protocol
