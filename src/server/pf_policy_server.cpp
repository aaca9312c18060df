#include "server/pf_policy_server.h"

#include <adit/pfpolicy.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <utility>
#include <vector>

#include "server/door.h"
#include "server/listener.h"
#include "server/patience.h"
#include "server/pf_policy_session.h"

namespace adit::protocol {
namespace {

using asio::posix::stream_descriptor;

// One client. It is read only while nothing waits to be written, so that who does not read cannot ask for more.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Closed = std::function<void(const std::shared_ptr<Connection>&)>;

  Connection(Listener::Client socket, engine::PolicyAccess& access, engine::PolicyCaller caller,
             std::unique_ptr<Admission::Seat> seat, Closed closed)
      : socket_(std::move(socket)),
        patience_(socket_.get_executor()),
        seat_(std::move(seat)),
        session_(access, std::move(caller),
                 [this](Admission::Seat::Kind kind, size_t bytes) { return seat_->hold(kind, bytes); }),
        closed_(std::move(closed)) {}

  void start() { next(); }

  void close() {
    if (!socket_.is_open()) return;
    asio::error_code ignored;
    socket_.close(ignored);
    patience_.stop();
    if (closed_) std::exchange(closed_, nullptr)(shared_from_this());
  }

 private:
  // Its next request, when its user has paid for those before.
  void next() {
    if (!socket_.is_open()) return;
    const auto wait = seat_->turn_in();
    if (wait > wait.zero()) return patience_.rest(shared_from_this(), wait, &Connection::next);
    // Who has a namespace owns it by being here, however silent.
    if (seat_->standing() == Standing::anyone)
      patience_.wait(weak_from_this(), seat_->limits().idle, &Connection::close);
    else
      patience_.stop();
    socket_.async_wait(stream_descriptor::wait_read, [self = shared_from_this()](asio::error_code error) {
      if (error) return self->close();
      self->read();
    });
  }

  void read() {
    std::vector<uint8_t> buffer(SPD_MAX_MESSAGE);
    // MSG_TRUNC: the true length of a message that does not fit.
    const ssize_t got = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return next();
    if (got <= 0) return close();
    const size_t have = std::min(static_cast<size_t>(got), buffer.size());
    if (seat_->serve([&] { session_.handle(ByteSpan(buffer).first(have)); })) return close();
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
    next();
  }

  void wait_to_write() {
    patience_.wait(weak_from_this(), seat_->limits().unread, &Connection::close);
    socket_.async_wait(stream_descriptor::wait_write, [self = shared_from_this()](asio::error_code error) {
      if (error) return self->close();
      self->write();
    });
  }

  Listener::Client socket_;
  Patience patience_;
  const std::unique_ptr<Admission::Seat> seat_;
  PolicySession session_;
  Closed closed_;
};

}  // namespace

struct PolicyServer::Impl : std::enable_shared_from_this<PolicyServer::Impl> {
  Impl(engine::PolicyAccess& policy, std::shared_ptr<Admission> a) : access(policy), admission(std::move(a)) {}

  void adopt(Listener::Client client, const ucred& peer) {
    auto seat = Admission::admit(admission, peer.uid);
    if (!seat) return;
    engine::PolicyCaller caller{.uid = peer.uid, .gid = peer.gid, .pid = peer.pid, .connection = ++last_connection};
    const auto connection =
        std::make_shared<Connection>(std::move(client), access, std::move(caller), std::move(seat),
                                     [weak = weak_from_this()](const std::shared_ptr<Connection>& gone) {
                                       if (const auto self = weak.lock()) self->connections.erase(gone);
                                     });
    connections.insert(connection);
    connection->start();
  }

  void stop() {
    listener->close();
    const auto open = std::exchange(connections, {});  // each takes itself out as it closes
    for (const auto& connection : open) connection->close();
  }

  engine::PolicyAccess& access;
  const std::shared_ptr<Admission> admission;
  std::shared_ptr<Listener> listener;
  uint64_t last_connection = 0;
  std::set<std::shared_ptr<Connection>> connections;
};

Result<std::unique_ptr<PolicyServer>> PolicyServer::listen(asio::io_context& io, const std::string& path,
                                                           engine::PolicyAccess& access, mode_t mode,
                                                           std::shared_ptr<Admission> admission) {
  auto impl = std::make_shared<Impl>(access, std::move(admission));
  const auto adopt = [weak = std::weak_ptr(impl)](Listener::Client client, const ucred& peer) {
    if (const auto self = weak.lock()) self->adopt(std::move(client), peer);
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
