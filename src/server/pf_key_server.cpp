#include "server/pf_key_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "protocol/pf_key/acquire.h"
#include "protocol/pf_key/codec.h"
#include "server/listener.h"
#include "server/pf_key_connection.h"

namespace adit::protocol {
namespace {
using namespace sad;

constexpr size_t kDumpPage = 32;

// The answer to what could not be done: the question's base header with errno and diagnostic, and the sentence for who
// asked for sentences.
KeyMessage error_answer(const KeyHeader& header, const KeyError& error, bool with_text) {
  KeyMessage message;
  if (with_text) message.text = error.text;
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
  Impl(engine::KeyAccess& keys, std::shared_ptr<Admission> a) : access(keys), admission(std::move(a)) {}

  void adopt(Listener::Client socket, const ucred& credentials) {
    auto seat = Admission::admit(admission, credentials.uid);
    if (!seat) return;
    const std::weak_ptr<Impl> weak = shared_from_this();
    KeyConnection::Hooks hooks;
    hooks.request = [weak](KeyConnection& client, ByteSpan bytes) {
      if (const auto self = weak.lock()) self->request(client, bytes);
    };
    hooks.failed = [weak](KeyConnection& client, ByteSpan bytes, const Error& wrong) {
      if (const auto self = weak.lock())
        self->refuse_request(client, read_key_header(bytes).value_or(KeyHeader{}), KeyError{wrong}, true);
    };
    hooks.more = [weak](KeyConnection& client) {
      const auto self = weak.lock();
      return self ? next_dump_page(client.session, self->access.keys(), kDumpPage) : std::vector<KeyMessage>{};
    };
    hooks.closed = [weak](KeyConnection& client) {
      const auto self = weak.lock();
      if (!self) return;
      std::erase_if(self->clients, [&](const auto& other) { return other.get() == &client; });
      self->access.connection_closed(client.session.peer);
    };
    const auto client = std::make_shared<KeyConnection>(
        std::move(socket), std::move(seat),
        engine::PeerCredentials{credentials.pid, credentials.uid, credentials.gid, ++last_connection},
        std::move(hooks));
    clients.push_back(client);
    client->start();
  }

  void request(KeyConnection& client, ByteSpan bytes) {
    const auto header = read_key_header(bytes);
    if (!header) return refuse_request(client, {}, {{EMSGSIZE, ""}});
    auto message = decode_key_message(bytes);
    if (!message) return refuse_request(client, *header, message.error());
    const bool with_text = message->text.has_value();
    message->text.reset();
    auto answers = answer_key_request(*message, client.session, access);
    if (!answers) return refuse_request(client, *header, answers.error(), with_text);
    for (const KeyAnswer& answer : *answers) deliver(client, answer);
    access.keys_changed();
  }

  void refuse_request(KeyConnection& client, const KeyHeader& header, const KeyError& error, bool with_text = false) {
    client.send(error_answer(header, error, with_text), true);
  }

  // News of a namespace are for its users and the privileged.
  [[nodiscard]] bool may_hear(const KeySession& session, const KeyMessage& message) const {
    return access.may_see(session.peer, message.name_space ? message.name_space->name : std::string());
  }

  // `clients` may shrink while we send: a broken one closes itself.
  void deliver(KeyConnection& sender, const KeyAnswer& answer) {
    for (const auto& client : std::vector(clients)) {
      const bool own = client.get() == &sender;
      const KeySession& session = client->session;
      bool hears = own || answer.audience == Audience::everyone;
      if (answer.audience == Audience::watched || answer.audience == Audience::registered) hears |= session.promiscuous;
      if (answer.audience == Audience::registered) hears |= !session.extended && session.hears(answer.message.satype);
      if (hears && (own || may_hear(session, answer.message)) && !client->send(answer.message, own)) ++lost;
    }
  }

  void tell(const KeyMessage& message, const std::function<bool(const KeySession&)>& hears) {
    for (const auto& client : std::vector(clients)) {
      if (hears(client->session) && may_hear(client->session, message) && !client->send(message, false)) ++lost;
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

  engine::KeyAccess& access;
  const std::shared_ptr<Admission> admission;
  std::shared_ptr<Listener> listener;
  std::vector<std::shared_ptr<KeyConnection>> clients;
  uint64_t lost = 0, last_connection = 0;
};

Result<std::unique_ptr<KeyServer>> KeyServer::listen(asio::io_context& io, const std::string& path,
                                                     engine::KeyAccess& access, mode_t mode,
                                                     std::shared_ptr<Admission> admission) {
  auto impl = std::make_shared<Impl>(access, std::move(admission));
  const auto adopt = [weak = std::weak_ptr(impl)](Listener::Client socket, const ucred& peer) {
    if (const auto self = weak.lock()) self->adopt(std::move(socket), peer);
  };
  TRY_ASSIGN(impl->listener, Listener::open(io, path, SOCK_SEQPACKET, mode, adopt));
  access.listen_to_keys([weak = std::weak_ptr(impl)](const Event& event) {
    if (const auto self = weak.lock()) self->on_event(event);
  });
  return std::unique_ptr<KeyServer>(new KeyServer(std::move(impl)));
}

KeyServer::KeyServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

KeyServer::~KeyServer() {
  impl_->listener->close();
  for (const auto& client : std::vector(impl_->clients)) client->close();
}

uint64_t KeyServer::lost_messages() const {
  return impl_->lost;
}
size_t KeyServer::clients() const {
  return impl_->clients.size();
}

}  // namespace adit::protocol
