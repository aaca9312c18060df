// One client of the PF_KEY socket: reads requests, writes what waits for it, bounded.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include <asio.hpp>

#include "base/secret_bytes.h"
#include "server/admission.h"
#include "server/patience.h"
#include "server/pf_key_requests.h"

namespace adit::protocol {

class KeyConnection : public std::enable_shared_from_this<KeyConnection> {
 public:
  // A client that does not read may keep so much waiting; what comes on top is lost to it, and requests of its own
  // wait.
  static constexpr size_t kMaxWaiting = 256 * 1024;

  struct Hooks {
    std::function<void(KeyConnection&, ByteSpan)> request;  // one message; what it throws ends it
    std::function<void(KeyConnection&, ByteSpan, const Error&)> failed;
    std::function<std::vector<sad::KeyMessage>(KeyConnection&)>
        more;  // the outbox is empty: a dump's next page, if any
    std::function<void(KeyConnection&)> closed;
  };

  KeyConnection(asio::posix::stream_descriptor socket, std::unique_ptr<Admission::Seat> seat,
                const engine::PeerCredentials& peer, Hooks hooks);
  ~KeyConnection();
  void start();
  void close();

  // False: it does not fit and is lost. `own`: an answer to this client's request, always queued.
  bool send(const sad::KeyMessage& message, bool own);

  KeySession session;

 private:
  void wait_readable();
  void read();
  void pump();  // writes until the socket or the work is exhausted
  void write_all();
  bool write_front();
  void enqueue(SecretBytes bytes);
  [[nodiscard]] bool hold(size_t more);

  asio::posix::stream_descriptor socket_;
  Patience patience_;
  const std::unique_ptr<Admission::Seat> seat_;
  Hooks hooks_;
  std::deque<SecretBytes> outbox_;
  size_t waiting_ = 0;
  bool reading_ = false, writing_ = false, closed_ = false;
};

}  // namespace adit::protocol
