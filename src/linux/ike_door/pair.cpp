#include "linux/ike_door/pair.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace adit::platform {
namespace {

constexpr size_t kMarkerBytes = 4;  // RFC 3948 §2.2
static_assert(kMarkerBytes <= ike::kFrameHeaderBytes);

class SeqpacketPort final : public ike::Port {
 public:
  explicit SeqpacketPort(Descriptor end) : end_(std::move(end)) {}
  DropReason give(const ike::Datagram& datagram) override;
  [[nodiscard]] int fd() const override { return end_.get(); }
  Taken take(Outgoing& outgoing) override;
  [[nodiscard]] bool closed() const override;

 private:
  Descriptor end_;
  std::array<uint8_t, ike::kMostFrameBytes> frame_;  // the last one taken
};

DropReason SeqpacketPort::give(const ike::Datagram& datagram) {
  ike::FrameHeader header;
  if (const DropReason wrong = ike::write_frame_header(datagram, header); wrong != DropReason::none) return wrong;
  std::array<iovec, 2> parts{iovec{header.data(), header.size()},
                             iovec{const_cast<uint8_t*>(datagram.message.data()), datagram.message.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ssize_t sent;
  do sent = sendmsg(end_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) return DropReason::none;
  return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? DropReason::no_ike : DropReason::ike_queue_full;
}

bool SeqpacketPort::closed() const {
  pollfd end{end_.get(), 0, 0};
  return ::poll(&end, 1, 0) == 1 && (end.revents & (POLLHUP | POLLERR)) != 0;
}

// No room for control messages: descriptors that came along are closed by the kernel.
ike::Port::Taken SeqpacketPort::take(Outgoing& outgoing) {
  iovec part{frame_.data(), frame_.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t got;
  do got = recvmsg(end_.get(), &message, MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0) return errno == EAGAIN ? Taken::nothing : Taken::closed;
  if (got == 0 && closed()) return Taken::closed;  // else an empty packet
  const auto length = static_cast<size_t>(got);
  outgoing.reason = (message.msg_flags & MSG_TRUNC) != 0 ? DropReason::bad_header
                                                         : ike::read_frame({frame_.data(), length}, outgoing.datagram);
  if (outgoing.reason != DropReason::none) return Taken::refused;
  // The marker goes where the header ended: nothing is copied.
  uint8_t* const payload = frame_.data() + ike::kFrameHeaderBytes - kMarkerBytes;
  std::memset(payload, 0, kMarkerBytes);
  outgoing.payload = {payload, length - ike::kFrameHeaderBytes + kMarkerBytes};
  return Taken::datagram;
}

void bound_queue(const Descriptor& end) {
  if (setsockopt(end.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kIkePairBytes, sizeof kIkePairBytes) != 0)
    setsockopt(end.get(), SOL_SOCKET, SO_SNDBUF, &kIkePairBytes, sizeof kIkePairBytes);  // as far as wmem_max goes
}

}  // namespace

Result<IkePair> make_ike_pair() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
    return fail(errno, "cannot make the sockets for IKE: {}", std::strerror(errno));
  Descriptor near(ends[0]), far(ends[1]);
  bound_queue(near);
  bound_queue(far);
  return IkePair{std::make_shared<SeqpacketPort>(std::move(near)), std::move(far)};
}

}  // namespace adit::platform
