#include "protocol/pf_policy_server.h"

#include <adit/pfpolicy.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "protocol/door.h"
#include "protocol/listener.h"
#include "protocol/pf_policy_session.h"

namespace adit::protocol {
namespace {

using asio::posix::stream_descriptor;

// One client. It is read only while nothing waits to be written, so that who does not read cannot ask for more.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Closed = std::function<void(const std::shared_ptr<Connection>&)>;

  Connection(asio::io_context& io, int fd, engine::PolicyAccess& access, engine::PolicyCaller caller,
             std::chrono::seconds stall, Closed closed)
      : socket_(io, fd),
        timer_(io),
        user_(caller.uid),
        session_(access, std::move(caller)),
        stall_(stall),
        closed_(std::move(closed)) {}

  void start() { wait_to_read(); }

  [[nodiscard]] uid_t user() const { return user_; }

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

  // A dump is made while it is written.
  void write() {
    if (at_the_door([this] { write_all(); })) close();
  }

  void write_all() {
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
  uid_t user_;
  PolicySession session_;
  std::chrono::seconds stall_;
  Closed closed_;
  std::vector<uint8_t> buffer_;  // kept only while a message is read
};

}  // namespace

struct PolicyServer::Impl : std::enable_shared_from_this<PolicyServer::Impl> {
  Impl(asio::io_context& context, engine::PolicyAccess& policy, Limits bounds)
      : io(context), access(policy), limits(bounds) {}

  void adopt(int fd, const ucred& peer) {
    if (connections.size() >= limits.clients || !has_room_for(peer.uid)) {
      ::close(fd);
      return;
    }
    bound_send_buffer(fd);
    engine::PolicyCaller caller{.uid = peer.uid, .gid = peer.gid, .pid = peer.pid, .connection = ++last_connection};
    const auto connection =
        std::make_shared<Connection>(io, fd, access, std::move(caller), limits.stall,
                                     [weak = weak_from_this()](const std::shared_ptr<Connection>& gone) {
                                       if (const auto self = weak.lock()) self->connections.erase(gone);
                                     });
    connections.insert(connection);
    connection->start();
  }

  // Whoever may do little cannot keep those out who may do all.
  [[nodiscard]] bool has_room_for(uid_t user) const {
    if (user == 0 || user == ::geteuid()) return true;
    size_t of_user = 0, of_users = 0;
    for (const auto& connection : connections) {
      of_user += connection->user() == user ? 1 : 0;
      of_users += connection->user() != 0 && connection->user() != ::geteuid() ? 1 : 0;
    }
    return of_user < limits.clients_of_user && of_users < limits.clients / 2;
  }

  void stop() {
    listener->close();
    for (const auto& connection : std::set(connections)) connection->close();
  }

  asio::io_context& io;
  engine::PolicyAccess& access;
  Limits limits;
  std::shared_ptr<Listener> listener;
  uint64_t last_connection = 0;
  std::set<std::shared_ptr<Connection>> connections;
};

Result<std::unique_ptr<PolicyServer>> PolicyServer::listen(asio::io_context& io, const std::string& path,
                                                           engine::PolicyAccess& access, mode_t mode, Limits limits) {
  auto impl = std::make_shared<Impl>(io, access, limits);
  const auto adopt = [weak = std::weak_ptr(impl)](int fd, const ucred& peer) {
    if (const auto self = weak.lock()) self->adopt(fd, peer);
  };
  TRY_ASSIGN(impl->listener, Listener::open(io, path, SOCK_SEQPACKET, mode, adopt));
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
