#include "server/key_manager_door.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "ike/door/handover.h"
#include "server/door.h"
#include "server/listener.h"

namespace adit::protocol {
namespace {

constexpr mode_t kOnlyOurs = 0600;  // root's may connect all the same

// Never waits: what is handed over is a few octets, and fits.
Result<> send_handover(int to, ike::Handed what, int error, int fd) {
  auto octets = ike::handover(what, error);
  iovec part{octets.data(), octets.size()};
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof fd)> room{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    cmsghdr* const control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
  }
  if (::sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return {};
  return fail(errno, "cannot hand a socket over: {}", std::strerror(errno));
}

}  // namespace

struct KeyManagerDoor::Impl : std::enable_shared_from_this<KeyManagerDoor::Impl> {
  Impl(engine::KeyManagerAccess& keys, uid_t user) : access(keys), who(user) {}

  void adopt(Listener::Client socket, const ucred& peer) {
    if (peer.uid != who) return refuse(socket, EPERM);
    const int fd = socket.native_handle();
    const std::weak_ptr<Impl> weak = shared_from_this();
    const auto admitted =
        access.admit({.pid = peer.pid,
                      .hand = [fd](ike::Handed what, int given) { return send_handover(fd, what, 0, given); },
                      .dismiss =
                          [weak] {
                            if (const auto self = weak.lock()) self->client.reset();
                          }});
    if (!admitted) return refuse(socket, admitted.error().code);
    client = std::make_shared<Listener::Client>(std::move(socket));
    wait();
  }

  static void refuse(Listener::Client& socket, int error) {
    (void)send_handover(socket.native_handle(), ike::Handed::refused, error, -1);
  }

  // It has nothing to say: what makes the connection readable is its end.
  void wait() {
    client->async_wait(Listener::Client::wait_read,
                       [weak = weak_from_this(), waited = std::weak_ptr(client)](const asio::error_code& error) {
                         const auto self = weak.lock();
                         if (error || !self || self->client == nullptr || self->client != waited.lock()) return;
                         (void)at_the_door([&] { self->end(); });
                       });
  }

  void end() {
    if (client == nullptr) return;
    client.reset();
    access.take_back();
  }

  engine::KeyManagerAccess& access;
  const uid_t who;
  std::shared_ptr<Listener> listener;
  std::shared_ptr<Listener::Client> client;
};

Result<std::unique_ptr<KeyManagerDoor>> KeyManagerDoor::open(asio::io_context& io, const std::string& path,
                                                             engine::KeyManagerAccess& access, uid_t who) {
  auto impl = std::make_shared<Impl>(access, who);
  const auto adopt = [weak = std::weak_ptr(impl)](Listener::Client socket, const ucred& peer) {
    if (const auto self = weak.lock()) self->adopt(std::move(socket), peer);
  };
  TRY_ASSIGN(impl->listener, Listener::open(io, path, SOCK_SEQPACKET, kOnlyOurs, adopt));
  return std::unique_ptr<KeyManagerDoor>(new KeyManagerDoor(std::move(impl)));
}

KeyManagerDoor::KeyManagerDoor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

KeyManagerDoor::~KeyManagerDoor() {
  impl_->listener->close();
  impl_->end();
}

}  // namespace adit::protocol
