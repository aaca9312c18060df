// The PF_POLICY socket: <run dir>/pf_policy.sock, SOCK_SEQPACKET, one message a packet. Everything runs on the
// io_context's thread, which is the engine's.
#pragma once

#include <memory>
#include <string>

#include <asio.hpp>

#include "control/policy_access.h"
#include "server/admission.h"

namespace adit::protocol {

class PolicyServer {
 public:
  // `access` outlives the server. The path must not be in use by a live daemon (the run directory's lock says so).
  // EADDRINUSE, EACCES, ENAMETOOLONG with a sentence.
  static Result<std::unique_ptr<PolicyServer>> listen(asio::io_context& io, const std::string& path,
                                                      engine::PolicyAccess& access, mode_t mode = 0660,
                                                      std::shared_ptr<Admission> admission = Admission::usual());
  ~PolicyServer();  // closes every connection; their drafts are gone
  [[nodiscard]] size_t clients() const;

 private:
  struct Impl;
  explicit PolicyServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace adit::protocol
