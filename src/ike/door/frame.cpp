#include "ike/door/frame.h"

#include <algorithm>

namespace adit::ike {
namespace {

constexpr size_t kFamilyAt = 1, kPortAt = 2, kLocalAt = 4, kPeerAt = 20, kAddressRoom = 16;

bool is_unicast(const net::Address& address) {
  return !address.is_unspecified() && !address.is_multicast() && !address.is_limited_broadcast();
}

DropReason check(const Datagram& datagram) {
  if (datagram.message.size() < kLeastMessageBytes) return DropReason::truncated;
  if (datagram.message.size() > kMostMessageBytes || datagram.peer_port == 0) return DropReason::bad_header;
  if (datagram.local.family() != datagram.peer.family()) return DropReason::bad_header;
  return is_unicast(datagram.local) && is_unicast(datagram.peer) ? DropReason::none : DropReason::bad_header;
}

// False: what lies behind an IPv4 address is not zero.
bool read_address(net::Family family, const uint8_t* at, net::Address& address) {
  address = net::Address::from_bytes(family, at);
  return std::all_of(at + net::address_bytes(family), at + kAddressRoom, [](uint8_t octet) { return octet == 0; });
}

}  // namespace

DropReason write_frame_header(const Datagram& datagram, FrameHeader& header) {
  if (const DropReason wrong = check(datagram); wrong != DropReason::none) return wrong;
  header = {kFrameVersion, static_cast<uint8_t>(datagram.local.family())};
  store_be16(&header[kPortAt], datagram.peer_port);
  std::ranges::copy(datagram.local.bytes(), &header[kLocalAt]);
  std::ranges::copy(datagram.peer.bytes(), &header[kPeerAt]);
  return DropReason::none;
}

DropReason read_frame(ByteSpan frame, Datagram& datagram) {
  if (frame.size() < kFrameHeaderBytes) return DropReason::truncated;
  if (frame[0] != kFrameVersion) return DropReason::bad_header;
  const auto family = static_cast<net::Family>(frame[kFamilyAt]);
  if (family != net::Family::v4 && family != net::Family::v6) return DropReason::bad_header;
  datagram.peer_port = load_be16(&frame[kPortAt]);
  if (!read_address(family, &frame[kLocalAt], datagram.local) || !read_address(family, &frame[kPeerAt], datagram.peer))
    return DropReason::bad_header;
  datagram.message = frame.subspan(kFrameHeaderBytes);
  return check(datagram);
}

}  // namespace adit::ike
