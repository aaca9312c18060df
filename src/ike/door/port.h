// The workers' end of the pair. linux/ike_door/pair.h implements it, ike/door/testing/fake_port.h stands in for it.
#pragma once

#include "ike/door/frame.h"

namespace adit::ike {

class Port {
 public:
  virtual ~Port() = default;

  // Any worker's thread, several at once. Never waits, allocates nothing. none: it is on its way; ike_queue_full: the
  // other end does not read; no_ike: the other end is closed; truncated, bad_header: of write_frame_header.
  virtual DropReason give(const Datagram& datagram) = 0;
  // Any thread: whether the other end is closed.
  [[nodiscard]] virtual bool closed() const = 0;

  // One worker's thread, from here on.
  [[nodiscard]] virtual int fd() const = 0;  // readable: take() has something to say
  enum class Taken : uint8_t {
    nothing,   // there is none now
    datagram,  // `payload` is what to send: the non-ESP marker and the message; valid until the next call
    refused,   // it is dropped, for `reason`
    closed,    // nothing will come any more; do not wait on fd()
  };
  struct Outgoing {
    Datagram datagram;
    ByteSpan payload;
    DropReason reason = DropReason::none;
  };
  virtual Taken take(Outgoing& outgoing) = 0;
};

}  // namespace adit::ike
