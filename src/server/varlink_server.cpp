#include "server/varlink_server.h"

#include <unistd.h>

#include "server/listener.h"
#include "server/varlink_connection.h"

namespace adit::protocol {

struct VarlinkServer::Impl : std::enable_shared_from_this<VarlinkServer::Impl> {
  Impl(const VarlinkMethods& m, std::shared_ptr<Admission> a) : methods(m), admission(std::move(a)) {}

  void adopt(Listener::Client client, const ucred& peer) {
    std::erase_if(connections, [](const auto& weak) { return weak.expired(); });
    auto seat = Admission::admit(admission, peer.uid);
    if (!seat) return;
    VarlinkConnection::Socket socket(client.get_executor());
    socket.assign(asio::local::stream_protocol(), client.release());
    const auto connection = std::make_shared<VarlinkConnection>(std::move(socket), methods,
                                                                Caller{peer.pid, peer.uid, peer.gid}, std::move(seat));
    connections.push_back(connection);
    connection->start();
  }

  const VarlinkMethods& methods;
  const std::shared_ptr<Admission> admission;
  std::shared_ptr<Listener> listener;
  std::vector<std::weak_ptr<VarlinkConnection>> connections;
};

VarlinkServer::VarlinkServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

VarlinkServer::~VarlinkServer() {
  impl_->listener->close();
  for (const auto& weak : impl_->connections)
    if (const auto connection = weak.lock()) connection->close();
}

Result<std::unique_ptr<VarlinkServer>> VarlinkServer::listen(asio::io_context& io, const std::string& path,
                                                             const VarlinkMethods& methods, mode_t mode,
                                                             std::shared_ptr<Admission> admission) {
  auto impl = std::make_shared<Impl>(methods, std::move(admission));
  const auto adopt = [weak = std::weak_ptr(impl)](Listener::Client client, const ucred& peer) {
    if (const auto self = weak.lock()) self->adopt(std::move(client), peer);
  };
  TRY_ASSIGN(impl->listener, Listener::open(io, path, SOCK_STREAM, mode, adopt));
  return std::unique_ptr<VarlinkServer>(new VarlinkServer(std::move(impl)));
}

}  // namespace adit::protocol
