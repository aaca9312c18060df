// A worker's part of IKE on port 4500. The worker's thread only.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "ike/door/port.h"
#include "net/icmp.h"
#include "ports/ports.h"

namespace adit::ike {

// What one worker passes on, so that a flood of markers costs ESP no more than its receiving: IKE with thousands of
// peers sends less.
constexpr uint32_t kMessagesASecond = 5000, kMessagesAtOnce = 1000;

class Relay {
 public:
  // Null: nobody is there. Returns the one before.
  std::shared_ptr<Port> set_port(std::shared_ptr<Port> port) {
    open_ = port != nullptr;
    return std::exchange(port_, std::move(port));
  }

  // What came, the marker taken off. none: it is on its way; no_ike, ike_queue_full, truncated, bad_header.
  DropReason give(const Datagram& datagram, MonoTime now);

  // Sends what in.iked asks for, some of it: a round stays short. Returns how many were taken. Each that is not sent is
  // told: the errno of a send that failed, or 0 and why it was refused.
  using Lost = std::function<void(int error, DropReason reason)>;
  size_t carry(datapath::WirePort& wire, const Lost& lost);
  // False: nothing will come any more.
  [[nodiscard]] bool open() const { return open_; }

 private:
  std::shared_ptr<Port> port_;
  bool open_ = false;
  net::TokenBucket bucket_{kMessagesASecond, kMessagesAtOnce};
};

}  // namespace adit::ike
