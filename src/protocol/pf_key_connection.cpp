#include "protocol/pf_key_connection.h"

#include <sys/socket.h>

#include <array>

#include "protocol/door.h"
#include "protocol/pf_key_codec.h"

namespace adit::protocol {
namespace {
constexpr int kRequestsPerTurn = 16;  // then others have theirs
}  // namespace

KeyConnection::KeyConnection(asio::io_context& io, int fd, const engine::PeerCredentials& peer, Hooks hooks)
    : socket_(io, fd), hooks_(std::move(hooks)) {
  session.peer = peer;
}

KeyConnection::~KeyConnection() = default;

void KeyConnection::start() {
  wait_readable();
}

void KeyConnection::close() {
  if (std::exchange(closed_, true)) return;
  asio::error_code ignored;
  socket_.close(ignored);
  hooks_.closed(*this);
}

void KeyConnection::wait_readable() {
  if (closed_ || reading_ || waiting_ > kMaxWaiting) return;  // pump() asks again when there is room
  reading_ = true;
  socket_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](asio::error_code error) {
    self->reading_ = false;
    if (error) return self->close();
    self->read();
  });
}

void KeyConnection::read() {
  SecretBytes buffer(kMaxKeyRequest);
  for (int i = 0; i < kRequestsPerTurn && !closed_ && waiting_ <= kMaxWaiting; ++i) {
    const ssize_t got = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (got <= 0) {
      close();
      break;
    }
    // Longer than we read: the header is there, the length will not agree, the answer is EMSGSIZE.
    hooks_.request(*this, ByteSpan(buffer).first(std::min<size_t>(static_cast<size_t>(got), buffer.size())));
  }
  if (closed_) return;
  pump();
  wait_readable();
}

void KeyConnection::enqueue(SecretBytes bytes) {
  waiting_ += bytes.size();
  outbox_.push_back(std::move(bytes));
}

bool KeyConnection::send(const sad::KeyMessage& message, bool own) {
  if (closed_) return true;
  if (!own && waiting_ > kMaxWaiting) return false;
  const auto wrong = at_the_door([&] { enqueue(encode_key_message(message)); });
  if (wrong) close();
  pump();
  return !wrong;
}

bool KeyConnection::write_front() {
  const SecretBytes& bytes = outbox_.front();
  const ssize_t sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)) return false;
  if (sent < 0) {
    close();
    return false;
  }
  waiting_ -= bytes.size();
  outbox_.pop_front();
  return true;
}

// Called by whoever has news for it: what goes wrong is this client's loss.
void KeyConnection::pump() {
  if (writing_ || closed_) return;
  if (at_the_door([this] { write_all(); })) return close();
  if (closed_) return;
  if (outbox_.empty()) return wait_readable();
  writing_ = true;
  socket_.async_wait(asio::posix::stream_descriptor::wait_write, [self = shared_from_this()](asio::error_code error) {
    self->writing_ = false;
    if (error) return self->close();
    self->pump();
  });
}

void KeyConnection::write_all() {
  while (!closed_) {
    if (outbox_.empty()) {
      for (const sad::KeyMessage& message : hooks_.more(*this)) enqueue(encode_key_message(message));
      if (outbox_.empty()) break;
    }
    if (!write_front()) break;
  }
}

}  // namespace adit::protocol
