// The commands' side of PF_KEY: blocking, one socket. Not thread-safe.
#pragma once

#include <string>

#include "base/clock.h"
#include "protocol/pf_key/message.h"

namespace adit::protocol {

class KeyClient {
 public:
  // ENOENT, ECONNREFUSED: no daemon there; EACCES. The text says what to do.
  static Result<KeyClient> connect(const std::string& socket_path);
  KeyClient(KeyClient&& other) noexcept;
  KeyClient& operator=(KeyClient&& other) noexcept;
  ~KeyClient();

  // Numbers the message (seq, pid) and sends it. EPIPE: the daemon went away.
  Result<> send(sad::KeyMessage& message);
  // The next message, whoever it is for. ETIMEDOUT: none within `wait` (zero: wait for ever; EINTR: a signal). EPIPE.
  Result<sad::KeyMessage> receive(Millis wait);
  // send, then the answer of that seq, type and pid (others are skipped). ETIMEDOUT: `Reply message from PF_KEY timed
  // out.` An answer that refuses is no Error here: look at its error and diagnostic.
  Result<sad::KeyMessage> ask(sad::KeyMessage& message, Millis wait = Seconds(10));

  [[nodiscard]] int fd() const { return fd_; }

 private:
  explicit KeyClient(int fd) : fd_(fd) {}
  int fd_ = -1;
  uint32_t seq_ = 0;
};

}  // namespace adit::protocol
