// A Unix socket that takes clients in, for all three protocols: made with the mode it has for good, and patient when
// the process is out of descriptors. Everything runs on the io_context's thread.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include <asio.hpp>

#include "base/result.h"

namespace adit::protocol {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  // A new client, its kernel credentials known; it is non-blocking and what it leaves unread is bounded.
  using Client = asio::posix::stream_descriptor;
  using Adopt = std::function<void(Client client, const ucred& peer)>;

  // `type`: SOCK_SEQPACKET or SOCK_STREAM. The path must not be in use by a live daemon (the run directory's lock says
  // so); the socket is never there with wider permissions than `mode`. EADDRINUSE, EACCES, ENAMETOOLONG with a
  // sentence.
  static Result<std::shared_ptr<Listener>> open(asio::io_context& io, const std::string& path, int type, mode_t mode,
                                                Adopt adopt);
  // No more clients; the path is gone. Call before the last reference goes.
  void close();

 private:
  Listener(asio::io_context& io, int fd, std::string path, Adopt adopt);
  void wait();
  void accept_some();
  void adopt(int fd);
  void rest();

  asio::posix::stream_descriptor socket_;
  asio::steady_timer timer_;
  std::string path_;
  Adopt adopt_;
};

// What a client leaves unread in the kernel is bounded by this and not by a sysctl. The kernel doubles it for its own
// bookkeeping. It holds the longest message of either protocol.
constexpr int kClientSendBuffer = 128 * 1024;

}  // namespace adit::protocol
