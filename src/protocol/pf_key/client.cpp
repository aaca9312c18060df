#include "protocol/pf_key/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "base/unix_socket.h"
#include "protocol/pf_key/codec.h"

namespace adit::protocol {

Result<KeyClient> KeyClient::connect(const std::string& socket_path) {
  TRY_ASSIGN(const int fd, connect_to_aditd(socket_path, SOCK_SEQPACKET));
  return KeyClient(fd);
}

KeyClient::KeyClient(KeyClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)), seq_(other.seq_) {}

KeyClient& KeyClient::operator=(KeyClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  seq_ = other.seq_;
  return *this;
}

KeyClient::~KeyClient() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> KeyClient::send(sad::KeyMessage& message) {
  message.seq = ++seq_;
  message.pid = static_cast<uint32_t>(::getpid());
  const SecretBytes bytes = encode_key_message(message);
  const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  const int error = errno;
  if (sent < 0) return fail(error, "PF_KEY message could not be sent: {}", std::strerror(error));
  return {};
}

Result<sad::KeyMessage> KeyClient::receive(Millis wait) {
  pollfd ready{fd_, POLLIN, 0};
  const int count = ::poll(&ready, 1, wait.count() == 0 ? -1 : static_cast<int>(wait.count()));
  if (count < 0) return fail(errno, "{}", std::strerror(errno));
  if (count == 0) return fail(ETIMEDOUT, "Reply message from PF_KEY timed out.");
  SecretBytes buffer(kMaxKeyRequest);  // no message of the daemon is longer
  const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
  if (got < 0) return fail(errno, "{}", std::strerror(errno));
  if (got == 0) return fail(EPIPE, "aditd closed the PF_KEY socket");
  buffer.resize(static_cast<size_t>(got));
  auto message = decode_key_message(buffer);
  if (!message) return fail(message.error().code, "aditd sent a message that cannot be read: {}", message.error().text);
  return std::move(*message);
}

Result<sad::KeyMessage> KeyClient::ask(sad::KeyMessage& message, Millis wait) {
  TRY(send(message));
  const auto deadline = std::chrono::steady_clock::now() + wait;
  while (true) {
    const auto left = std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(ETIMEDOUT, "Reply message from PF_KEY timed out.");
    TRY_ASSIGN(sad::KeyMessage answer, receive(left));
    if (answer.seq == message.seq && answer.pid == message.pid && answer.type == message.type) return answer;
  }
}

}  // namespace adit::protocol
