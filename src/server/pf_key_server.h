// The PF_KEY socket: <run dir>/pf_key.sock, SOCK_SEQPACKET, one message a packet. Everything runs on the io_context's
// thread, which is the engine's.
#pragma once

#include <memory>
#include <string>

#include <asio.hpp>

#include "control/key_access.h"
#include "server/admission.h"

namespace adit::protocol {

class KeyServer {
 public:
  // `access` outlives the server. The socket is made with `mode` below a path that must not be in use by a live daemon
  // (the run directory's lock says so). EADDRINUSE, EACCES, ENAMETOOLONG with a sentence.
  static Result<std::unique_ptr<KeyServer>> listen(asio::io_context& io, const std::string& path,
                                                   engine::KeyAccess& access, mode_t mode = 0660,
                                                   std::shared_ptr<Admission> admission = Admission::usual());
  ~KeyServer();

  // What a socket that does not read lost; for the counters of `adit status`.
  [[nodiscard]] uint64_t lost_messages() const;
  [[nodiscard]] size_t clients() const;

 private:
  struct Impl;
  explicit KeyServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace adit::protocol
