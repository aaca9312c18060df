// UDP port 500, IPv4 and IPv6: made here, for in.iked may not. Kept as long as the daemon lives, so that no other
// program takes the port between two key managers; while there is none it hears nothing. Engine thread.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "linux/process/descriptor.h"
#include "net/address.h"

namespace adit::platform {

class Port500 {
 public:
  // Makes those that are not there yet. What is still missing: a sentence each, the same one as long as it lasts. Where
  // the system has no IPv6 nothing is missing.
  std::vector<std::string> open(uint32_t mark);
  // -1: it is missing. The descriptor stays ours.
  [[nodiscard]] int fd(net::Family family) const { return socket_of(family).get(); }
  // From here on they receive; what came before is not there. Those that come late, too.
  void listen();
  // Nothing that comes is received by anybody who has a copy, and what waits is gone.
  void stop_listening();

 private:
  [[nodiscard]] Descriptor& socket_of(net::Family family) { return sockets_[family == net::Family::v4 ? 0 : 1]; }
  [[nodiscard]] const Descriptor& socket_of(net::Family family) const {
    return sockets_[family == net::Family::v4 ? 0 : 1];
  }
  std::array<Descriptor, 2> sockets_;
  bool listening_ = false;
};

}  // namespace adit::platform
