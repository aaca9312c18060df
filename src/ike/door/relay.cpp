#include "ike/door/relay.h"

namespace adit::ike {
namespace {

constexpr size_t kSendsARound = 16;

// In fragments if it must be (RFC 7296 §2; the sender decides with RFC 7383 how large they are).
int send(datapath::WirePort& wire, const Port::Outgoing& outgoing) {
  const Datagram& datagram = outgoing.datagram;
  const datapath::WireSend item{.kind = datapath::WireKind::udp,
                                .source = datagram.local,
                                .destination = datagram.peer,
                                .destination_port = datagram.peer_port,
                                .dont_fragment = false,
                                .payload = outgoing.payload};
  datapath::WireResult result;
  wire.send({&item, 1}, {&result, 1});
  return -result.error;
}

}  // namespace

DropReason Relay::give(const Datagram& datagram, MonoTime now) {
  if (port_ == nullptr) return DropReason::no_ike;
  if (!bucket_.take(now)) return DropReason::ike_queue_full;
  return port_->give(datagram);
}

size_t Relay::carry(datapath::WirePort& wire, const Lost& lost) {
  size_t taken = 0;
  for (; open_ && taken < kSendsARound; ++taken) {
    Port::Outgoing outgoing;
    switch (port_->take(outgoing)) {
      case Port::Taken::nothing:
        return taken;
      case Port::Taken::closed:
        open_ = false;
        return taken;
      case Port::Taken::refused:
        lost(0, outgoing.reason);
        break;
      case Port::Taken::datagram:
        if (const int error = send(wire, outgoing); error != 0) lost(error, DropReason::none);
        break;
    }
  }
  return taken;
}

}  // namespace adit::ike
