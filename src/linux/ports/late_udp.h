// UDP port 4500 is no privileged one: whoever holds it when aditd starts keeps it until he lets go. Then the workers'
// sockets are made late, and each comes to its port by an inbox.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "linux/ports/wire_socket.h"

namespace adit::platform {

// Given on the engine's thread, taken on the port's worker's.
class WireInbox {
 public:
  WireInbox();
  // Readable when something was given; -1: the system had none left, nothing comes late.
  [[nodiscard]] int fd() const { return bell_.get(); }
  void give(WireSocket socket);
  std::vector<WireSocket> take();

 private:
  Descriptor bell_;
  std::mutex mutex_;
  std::vector<WireSocket> given_;
};

// Engine thread.
class LateUdp {
 public:
  // That worker's port lacks its socket because somebody else has the port.
  void lacks(net::Family family, uint32_t worker, uint32_t workers, std::shared_ptr<WireInbox> inbox);
  // Tries again. What is still missing, a sentence a family.
  std::vector<std::string> retry(uint32_t mark);

 private:
  struct Lack {
    net::Family family;
    uint32_t worker, workers;
    std::shared_ptr<WireInbox> inbox;
  };
  std::vector<Lack> lacks_;
};

}  // namespace adit::platform
