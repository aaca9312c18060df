#include "server/pf_key_connection.h"

#include <sys/socket.h>

#include <array>

#include "protocol/pf_key/codec.h"
#include "server/door.h"

namespace adit::protocol {
namespace {
constexpr int kRequestsPerTurn = 16;  // of the privileged; of others one; then others have theirs
}  // namespace

KeyConnection::KeyConnection(asio::posix::stream_descriptor socket, std::unique_ptr<Admission::Seat> seat,
                             const engine::PeerCredentials& peer, Hooks hooks)
    : socket_(std::move(socket)), patience_(socket_.get_executor()), seat_(std::move(seat)), hooks_(std::move(hooks)) {
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
  patience_.stop();
  hooks_.closed(*this);
}

void KeyConnection::wait_readable() {
  if (closed_ || reading_ || waiting_ > kMaxWaiting) return;  // pump() asks again when there is room
  if (const auto wait = seat_->turn_in(); wait > wait.zero())
    return patience_.rest(shared_from_this(), wait, &KeyConnection::wait_readable);
  // Who has a namespace owns it by being here, however silent.
  if (!writing_ && seat_->standing() == Standing::anyone)
    patience_.wait(weak_from_this(), seat_->limits().idle, &KeyConnection::close);
  reading_ = true;
  socket_.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](asio::error_code error) {
    self->reading_ = false;
    if (error) return self->close();
    self->read();
  });
}

void KeyConnection::read() {
  SecretBytes buffer(kMaxKeyRequest);
  const int turns = seat_->privileged() ? kRequestsPerTurn : 1;
  for (int i = 0; i < turns && !closed_ && waiting_ <= kMaxWaiting; ++i) {
    const ssize_t got = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (got <= 0) {
      close();
      break;
    }
    // Longer than we read: the header is there, the length will not agree, the answer is EMSGSIZE.
    const ByteSpan bytes = ByteSpan(buffer).first(std::min<size_t>(static_cast<size_t>(got), buffer.size()));
    if (const auto wrong = seat_->serve([&] { hooks_.request(*this, bytes); }); wrong && !closed_)
      hooks_.failed(*this, bytes, *wrong);
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
  bool fits = true;
  const auto wrong = at_the_door([&] {
    SecretBytes bytes = encode_key_message(message);
    fits = hold(bytes.size());
    if (fits) enqueue(std::move(bytes));
  });
  if (wrong || (own && !fits)) close();  // an answer is not lost in silence
  pump();
  return !wrong && fits;
}

bool KeyConnection::hold(size_t more) {
  return seat_->hold(Admission::Seat::Kind::traffic, waiting_ + more);
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
  (void)hold(0);
  return true;
}

// Called by whoever has news for it: what goes wrong is this client's loss.
void KeyConnection::pump() {
  if (writing_ || closed_) return;
  if (at_the_door([this] { write_all(); })) return close();
  if (closed_) return;
  if (outbox_.empty()) return wait_readable();
  writing_ = true;
  if (!seat_->privileged()) patience_.wait(weak_from_this(), seat_->limits().unread, &KeyConnection::close);
  socket_.async_wait(asio::posix::stream_descriptor::wait_write, [self = shared_from_this()](asio::error_code error) {
    self->writing_ = false;
    self->patience_.stop();
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
