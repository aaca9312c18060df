#include "protocol/varlink/varlink_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <limits>
#include <utility>

#include "base/unix_socket.h"
#include "protocol/varlink/varlink.h"
#include "protocol/varlink/varlink_message.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

// An answer is an error, or the parameters.
Result<json> unwrap(const json& answer) {
  const auto found = answer.find("parameters");
  json parameters = found != answer.end() && found->is_object() ? *found : json::object();
  const auto error = optional_text(answer, "error");
  if (!error) return parameters;
  if (*error != kVarlinkFailed) return fail(EPROTO, "{} {}", *error, parameters.dump());
  const auto code = number_parameter(parameters, "code", std::numeric_limits<int>::max());
  return fail(code && *code ? static_cast<int>(**code) : EIO, "{}",
              optional_text(parameters, "text").value_or("no reason given"));
}

}  // namespace

Result<VarlinkClient> VarlinkClient::connect(const std::string& socket_path) {
  TRY_ASSIGN(const int fd, connect_to_aditd(socket_path, SOCK_STREAM));
  return VarlinkClient(fd);
}

VarlinkClient::VarlinkClient(VarlinkClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}

VarlinkClient& VarlinkClient::operator=(VarlinkClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

VarlinkClient::~VarlinkClient() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> VarlinkClient::send(const json& message) {
  std::string bytes = message.dump(-1, ' ', false, json::error_handler_t::replace);
  bytes += '\0';
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t sent = ::send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail(errno, "aditd closed the connection: {}", std::strerror(errno));
    done += static_cast<size_t>(sent);
  }
  return {};
}

Result<json> VarlinkClient::receive() {
  for (;;) {
    if (const size_t end = buffer_.find('\0'); end != std::string::npos) {
      auto message = parse_varlink(std::string_view(buffer_).substr(0, end));
      buffer_.erase(0, end + 1);
      if (!message) return fail(EPROTO, "aditd sent what is not a varlink answer");
      return std::move(*message);
    }
    char chunk[65536];
    const ssize_t got = ::recv(fd_, chunk, sizeof chunk, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail(EPIPE, "aditd went away before it answered; see 'svcs -x' once it is back");
    buffer_.append(chunk, static_cast<size_t>(got));
  }
}

Result<json> VarlinkClient::call(const std::string& method, const json& parameters) {
  TRY(send({{"method", method}, {"parameters", parameters}}));
  TRY_ASSIGN(const json answer, receive());
  return unwrap(answer);
}

Result<> VarlinkClient::follow(const std::string& method, const json& parameters,
                               const std::function<bool(const json&)>& each) {
  TRY(send({{"method", method}, {"parameters", parameters}, {"more", true}}));
  for (;;) {
    TRY_ASSIGN(const json answer, receive());
    TRY_ASSIGN(const json part, unwrap(answer));
    if (!each(part) || !flag_parameter(answer, "continues")) return {};
  }
}

}  // namespace adit::protocol
