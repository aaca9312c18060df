#include "linux/ports/late_udp.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "net/protocol.h"

namespace adit::platform {

WireInbox::WireInbox() : bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void WireInbox::give(WireSocket socket) {
  const std::lock_guard lock(mutex_);
  given_.push_back(std::move(socket));
  eventfd_write(bell_.get(), 1);
}

std::vector<WireSocket> WireInbox::take() {
  eventfd_t rung;
  eventfd_read(bell_.get(), &rung);
  const std::lock_guard lock(mutex_);
  return std::exchange(given_, {});
}

void LateUdp::lacks(net::Family family, uint32_t worker, uint32_t workers, std::shared_ptr<WireInbox> inbox) {
  lacks_.push_back({family, worker, workers, std::move(inbox)});
}

std::vector<std::string> LateUdp::retry(uint32_t mark) {
  std::erase_if(lacks_, [&](const Lack& lack) {
    auto socket = open_udp_socket(lack.family, lack.workers, mark);
    if (socket) lack.inbox->give(std::move(*socket));
    return socket.has_value();
  });
  std::vector<std::string> sentences;
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    if (std::ranges::find(lacks_, family, &Lack::family) == lacks_.end()) continue;
    sentences.push_back(
        fmt::format("another program has UDP port {} over IPv{}: ESP in UDP does not work there; who has it, `ss -ulpn "
                    "sport = :{}` tells; aditd takes it when it is let go",
                    net::kPortIkeNat, static_cast<int>(family), net::kPortIkeNat));
  }
  return sentences;
}

}  // namespace adit::platform
