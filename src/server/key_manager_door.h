// Where a key manager gets the sockets of IKE: <run dir>/ike.sock, SOCK_SEQPACKET; ike/door/handover.h says what goes
// over it. The connection is the key manager's life: when it ends, what was handed over works no more. Everything runs
// on the io_context's thread, which is the engine's.
#pragma once

#include <memory>
#include <string>

#include <asio.hpp>

#include "base/result.h"
#include "control/key_manager_access.h"

namespace adit::protocol {

class KeyManagerDoor {
 public:
  // `access` outlives the door. `who`: the only user that is let in, by the kernel's word. Errors as of Listener::open.
  static Result<std::unique_ptr<KeyManagerDoor>> open(asio::io_context& io, const std::string& path,
                                                      engine::KeyManagerAccess& access, uid_t who = 0);
  ~KeyManagerDoor();

 private:
  struct Impl;
  explicit KeyManagerDoor(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace adit::protocol
