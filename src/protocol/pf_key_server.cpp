#include "protocol/pf_key_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "protocol/pf_key_acquire.h"
#include "protocol/pf_key_codec.h"
#include "protocol/pf_key_connection.h"

namespace adit::protocol {
namespace {
using namespace sad;

constexpr size_t kDumpPage = 32;

Result<int> make_socket(const std::string& path, mode_t mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(ENAMETOOLONG, "the socket path {} is too long ({} characters are allowed)", path,
                sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(errno, "cannot make a socket: {}", std::strerror(errno));
  ::unlink(path.c_str());  // left by a dead daemon: the caller holds the run directory's lock
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

// The answer to what could not be done: the question's base header with errno and diagnostic.
KeyMessage error_answer(const KeyHeader& header, const KeyError& error) {
  KeyMessage message;
  message.type = static_cast<KeyMessageType>(header.type);
  message.satype = header.satype;
  message.error = static_cast<uint8_t>(error.code);
  message.diagnostic = static_cast<uint16_t>(error.diagnostic);
  message.seq = header.seq;
  message.pid = header.pid;
  return message;
}
}  // namespace

struct KeyServer::Impl : std::enable_shared_from_this<KeyServer::Impl> {
  Impl(asio::io_context& i, int fd, engine::KeyAccess& a, std::string p)
      : io(i), socket(i, fd), access(a), path(std::move(p)) {}

  void accept() {
    socket.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](asio::error_code error) {
      if (error) return;
      for (int fd; (fd = ::accept4(self->socket.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
        self->adopt(fd);
      self->accept();
    });
  }

  void adopt(int fd) {
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
      ::close(fd);
      return;
    }
    const std::weak_ptr<Impl> weak = shared_from_this();
    KeyConnection::Hooks hooks;
    hooks.request = [weak](KeyConnection& client, ByteSpan bytes) {
      if (const auto self = weak.lock()) self->request(client, bytes);
    };
    hooks.more = [weak](KeyConnection& client) {
      const auto self = weak.lock();
      return self ? next_dump_page(client.session, self->access.keys(), kDumpPage) : std::vector<KeyMessage>{};
    };
    hooks.closed = [weak](KeyConnection& client) {
      if (const auto self = weak.lock())
        std::erase_if(self->clients, [&](const auto& other) { return other.get() == &client; });
    };
    const auto client = std::make_shared<KeyConnection>(
        io, fd, engine::PeerCredentials{credentials.pid, credentials.uid, credentials.gid}, std::move(hooks));
    clients.push_back(client);
    client->start();
  }

  void request(KeyConnection& client, ByteSpan bytes) {
    const auto header = read_key_header(bytes);
    if (!header) return refuse_request(client, {}, {{EMSGSIZE, ""}});
    auto message = decode_key_message(bytes);
    if (!message) return refuse_request(client, *header, message.error());
    auto answers = answer_key_request(*message, client.session, access);
    if (!answers) return refuse_request(client, *header, answers.error());
    for (const KeyAnswer& answer : *answers) deliver(client, answer);
    access.keys_changed();
  }

  void refuse_request(KeyConnection& client, const KeyHeader& header, const KeyError& error) {
    client.send(error_answer(header, error), true);
  }

  // `clients` may shrink while we send: a broken one closes itself.
  void deliver(KeyConnection& sender, const KeyAnswer& answer) {
    for (const auto& client : std::vector(clients)) {
      const bool own = client.get() == &sender;
      const KeySession& session = client->session;
      bool hears = own || answer.audience == Audience::everyone;
      if (answer.audience == Audience::watched || answer.audience == Audience::registered) hears |= session.promiscuous;
      if (answer.audience == Audience::registered) hears |= !session.extended && session.hears(answer.message.satype);
      if (hears && !client->send(answer.message, own)) ++lost;
    }
  }

  void tell(const KeyMessage& message, const std::function<bool(const KeySession&)>& hears) {
    for (const auto& client : std::vector(clients)) {
      if (hears(client->session) && !client->send(message, false)) ++lost;
    }
  }

  void on_event(const Event& event) {
    if (const auto* expired = std::get_if<SaExpired>(&event)) {
      if (expired->sa->transform == nullptr) return;  // a larval SA that nobody completed
      tell(expire_message(*expired->sa, expired->expiry), [](const KeySession&) { return true; });
    } else if (const auto* raised = std::get_if<AcquireRaised>(&event)) {
      tell_acquire(raised->acquire);
    }
  }

  void tell_acquire(const Acquire& acquire) {
    tell(extended_acquire(acquire, access.algorithms()),
         [](const KeySession& s) { return s.extended || s.promiscuous; });
    for (const SaType type : {SaType::ah, SaType::esp}) {
      const auto plain = plain_acquire(acquire, type, access.algorithms());
      if (!plain) continue;
      tell(*plain, [&](const KeySession& s) { return !s.extended && s.hears(static_cast<uint8_t>(type)); });
    }
  }

  asio::io_context& io;
  asio::posix::stream_descriptor socket;
  engine::KeyAccess& access;
  std::string path;
  std::vector<std::shared_ptr<KeyConnection>> clients;
  uint64_t lost = 0;
};

Result<std::unique_ptr<KeyServer>> KeyServer::listen(asio::io_context& io, const std::string& path,
                                                     engine::KeyAccess& access, mode_t mode) {
  TRY_ASSIGN(const int fd, make_socket(path, mode));
  auto impl = std::make_shared<Impl>(io, fd, access, path);
  access.listen_to_keys([weak = std::weak_ptr(impl)](const Event& event) {
    if (const auto self = weak.lock()) self->on_event(event);
  });
  impl->accept();
  return std::unique_ptr<KeyServer>(new KeyServer(std::move(impl)));
}

KeyServer::KeyServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

KeyServer::~KeyServer() {
  asio::error_code ignored;
  impl_->socket.close(ignored);
  ::unlink(impl_->path.c_str());
  for (const auto& client : std::vector(impl_->clients)) client->close();
}

uint64_t KeyServer::lost_messages() const {
  return impl_->lost;
}
size_t KeyServer::clients() const {
  return impl_->clients.size();
}

}  // namespace adit::protocol
