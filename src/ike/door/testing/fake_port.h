// The pair without sockets: a test is in.iked. Any thread.
#pragma once

#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "ike/door/port.h"
#include "ports/testing/fake_ports.h"

namespace adit::ike {

class FakePort final : public Port {
 public:
  using Bytes = std::vector<uint8_t>;
  struct Message {
    net::Address local, peer;
    uint16_t peer_port = 0;
    Bytes bytes;
  };
  explicit FakePort(size_t room = SIZE_MAX) : room_(room) {}

  // --- in.iked's end
  std::vector<Message> received() {
    const std::lock_guard lock(mutex_);
    return std::exchange(incoming_, {});
  }
  void send(Message message) {
    const std::lock_guard lock(mutex_);
    outgoing_.push_back(std::move(message));
    bell_.show(true);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    bell_.show(true);
  }

  // --- the workers'
  DropReason give(const Datagram& datagram) override {
    const std::lock_guard lock(mutex_);
    if (closed_) return DropReason::no_ike;
    if (incoming_.size() >= room_) return DropReason::ike_queue_full;
    incoming_.push_back(
        {datagram.local, datagram.peer, datagram.peer_port, Bytes(datagram.message.begin(), datagram.message.end())});
    return DropReason::none;
  }
  [[nodiscard]] bool closed() const override {
    const std::lock_guard lock(mutex_);
    return closed_;
  }
  [[nodiscard]] int fd() const override { return bell_.fd(); }
  Taken take(Outgoing& outgoing) override {
    const std::lock_guard lock(mutex_);
    if (outgoing_.empty()) return closed_ ? Taken::closed : Taken::nothing;
    const Message message = std::move(outgoing_.front());
    outgoing_.pop_front();
    bell_.show(closed_ || !outgoing_.empty());
    payload_.assign(4, 0);
    payload_.insert(payload_.end(), message.bytes.begin(), message.bytes.end());
    outgoing.payload = payload_;
    outgoing.datagram = {message.local, message.peer, message.peer_port, outgoing.payload.subspan(4)};
    FrameHeader header;
    outgoing.reason = write_frame_header(outgoing.datagram, header);
    return outgoing.reason == DropReason::none ? Taken::datagram : Taken::refused;
  }

 private:
  const size_t room_;
  mutable std::mutex mutex_;
  std::vector<Message> incoming_;
  std::deque<Message> outgoing_;
  Bytes payload_;
  bool closed_ = false;
  datapath::FakeBell bell_;
};

}  // namespace adit::ike
