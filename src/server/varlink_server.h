// Serves VarlinkMethods on a Unix stream socket. Everything runs on the io_context's thread, which is the engine's.
#pragma once

#include <memory>
#include <string>

#include <asio.hpp>

#include "protocol/varlink/varlink.h"
#include "server/admission.h"

namespace adit::protocol {

class VarlinkServer {
 public:
  // `methods` outlives the server. The socket is made with `mode` (0660) below a path that must not be in use; a socket
  // left by a dead daemon is replaced (the run directory's lock says that it is dead).
  static Result<std::unique_ptr<VarlinkServer>> listen(asio::io_context& io, const std::string& path,
                                                       const VarlinkMethods& methods, mode_t mode = 0660,
                                                       std::shared_ptr<Admission> admission = Admission::usual());
  ~VarlinkServer();

 private:
  struct Impl;
  explicit VarlinkServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace adit::protocol
