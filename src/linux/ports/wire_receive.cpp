#include <netinet/ip.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cstring>

#include "linux/ports/wire_batch.h"

namespace adit::platform {
namespace {

using datapath::WireReceived;

constexpr size_t kRoom = datapath::kBufferBytes - net::kHeadroom - net::kTailroom;

// A raw IPv4 socket gives the packet with its header, which tells all. False: not even that.
bool take_v4_header(uint8_t* packet, size_t length, WireReceived& item) {
  if (length < sizeof(iphdr)) return false;
  const size_t header = static_cast<size_t>(packet[0] & 0x0f) * 4;
  if (header < sizeof(iphdr) || header > length) return false;
  item.traffic_class = packet[1];
  item.hoplimit = packet[8];
  item.source = net::Address::from_v4(packet + 12);
  item.destination = net::Address::from_v4(packet + 16);
  item.outer_header = packet;
  item.outer_header_bytes = static_cast<uint32_t>(header);
  item.data = packet + header;
  item.length = static_cast<uint32_t>(length - header);
  return true;
}

int int_of(const cmsghdr* control) {
  int value;
  std::memcpy(&value, CMSG_DATA(control), sizeof value);
  return value;
}

void take_v4_control(const cmsghdr* control, WireReceived& item) {
  switch (control->cmsg_type) {
    case IP_PKTINFO:
      item.destination = net::Address::from_v4(CMSG_DATA(control) + offsetof(in_pktinfo, ipi_addr));
      break;
    case IP_TTL:
      item.hoplimit = static_cast<uint8_t>(int_of(control));
      break;
    case IP_TOS:
      item.traffic_class = *CMSG_DATA(control);
      break;  // one byte, alone of them all
    default:
      break;
  }
}

void take_v6_control(const cmsghdr* control, WireReceived& item) {
  switch (control->cmsg_type) {
    case IPV6_PKTINFO:
      item.destination = net::Address::from_v6(CMSG_DATA(control) + offsetof(in6_pktinfo, ipi6_addr));
      break;
    case IPV6_HOPLIMIT:
      item.hoplimit = static_cast<uint8_t>(int_of(control));
      break;
    case IPV6_TCLASS:
      item.traffic_class = static_cast<uint8_t>(int_of(control));
      break;
    default:
      break;
  }
}

void take_control(msghdr& message, WireReceived& item) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr; control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level == IPPROTO_IP)
      take_v4_control(control, item);
    else if (control->cmsg_level == IPPROTO_IPV6)
      take_v6_control(control, item);
    else if (control->cmsg_level == IPPROTO_UDP && control->cmsg_type == UDP_GRO)
      item.segment_bytes = static_cast<uint16_t>(int_of(control));
  }
}

void take_name(const WireSocket& socket, const sockaddr_in6& name, WireReceived& item) {
  if (!socket.is_v4()) {
    item.source = net::Address::from_v6(name.sin6_addr.s6_addr);
    item.source_port = socket.kind == WireKind::udp ? ntohs(name.sin6_port) : 0;
    return;
  }
  sockaddr_in v4;
  std::memcpy(&v4, &name, sizeof v4);
  item.source = net::Address::from_v4(reinterpret_cast<const uint8_t*>(&v4.sin_addr));
  item.source_port = ntohs(v4.sin_port);
}

}  // namespace

size_t WireReceiver::receive(const WireSocket& socket, std::span<uint8_t* const> buffers,
                             std::span<WireReceived> items) {
  const size_t most = std::min({buffers.size(), items.size(), kBurst});
  const bool header_tells = socket.is_v4() && socket.kind != WireKind::udp;
  for (size_t i = 0; i < most; ++i) {
    batch_.parts[i] = {buffers[i] + net::kHeadroom, kRoom};
    msghdr& message = batch_.messages[i].msg_hdr;
    message = {};
    message.msg_iov = &batch_.parts[i];
    message.msg_iovlen = 1;
    if (header_tells) continue;
    message.msg_name = &batch_.names[i];
    message.msg_namelen = sizeof batch_.names[i];
    message.msg_control = batch_.controls[i].bytes.data();
    message.msg_controllen = kControlBytes;
  }
  int got;
  do got = recvmmsg(socket.fd.get(), batch_.messages.data(), static_cast<unsigned>(most), MSG_DONTWAIT, nullptr);
  while (got < 0 && errno == EINTR);
  size_t count = 0;
  for (int i = 0; i < got; ++i) {
    // The i-th buffer goes with the i-th entry: a packet that is none leaves an entry of length 0, which no stage
    // takes.
    WireReceived& item = items[count++] = {};
    item.kind = socket.kind;
    const auto slot = static_cast<size_t>(i);
    uint8_t* packet = buffers[slot] + net::kHeadroom;
    item.data = packet;
    if (header_tells) {
      take_v4_header(packet, batch_.messages[slot].msg_len, item);
      continue;
    }
    item.length = batch_.messages[slot].msg_len;
    take_name(socket, batch_.names[slot], item);
    take_control(batch_.messages[slot].msg_hdr, item);
  }
  return count;
}

}  // namespace adit::platform
