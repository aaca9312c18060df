// ICMP errors about outer packets, from the sockets' error queues (ip(7), IP_RECVERR).
#include <ctime>  // linux/errqueue.h wants it

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "linux/ports/wire_socket.h"

namespace adit::platform {
namespace {

constexpr uint8_t kTypeUnreachable4 = 3, kCodeTooBig4 = 4, kTypeTooBig6 = 2;

net::Address address_of(const sockaddr_storage& name) {
  sockaddr_in v4;
  sockaddr_in6 v6;
  if (name.ss_family == AF_INET6) {
    std::memcpy(&v6, &name, sizeof v6);
    return net::Address::from_v6(v6.sin6_addr.s6_addr);
  }
  std::memcpy(&v4, &name, sizeof v4);
  return net::Address::from_v4(reinterpret_cast<const uint8_t*>(&v4.sin_addr));
}

// Behind sock_extended_err stands the address of who sent the ICMP message.
void read_extended(const uint8_t* data, size_t size, datapath::WireError& error, bool& from_wire) {
  sock_extended_err extended;
  if (size < sizeof extended) return;
  std::memcpy(&extended, data, sizeof extended);
  from_wire = extended.ee_origin == SO_EE_ORIGIN_ICMP || extended.ee_origin == SO_EE_ORIGIN_ICMP6;
  error.is_v6 = extended.ee_origin == SO_EE_ORIGIN_ICMP6;
  error.icmp_type = extended.ee_type;
  error.icmp_code = extended.ee_code;
  const bool too_big = error.is_v6 ? extended.ee_type == kTypeTooBig6
                                   : extended.ee_type == kTypeUnreachable4 && extended.ee_code == kCodeTooBig4;
  error.mtu = too_big ? extended.ee_info : 0;
  sockaddr_storage offender{};
  std::memcpy(&offender, data + sizeof extended, std::min(size - sizeof extended, sizeof offender));
  if (offender.ss_family == AF_INET || offender.ss_family == AF_INET6) error.offender = address_of(offender);
}

void read_control(msghdr& message, datapath::WireError& error, bool& from_wire) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr; control = CMSG_NXTHDR(&message, control)) {
    const uint8_t* data = CMSG_DATA(control);
    const size_t size = control->cmsg_len - CMSG_LEN(0);
    const bool v4 = control->cmsg_level == IPPROTO_IP, v6 = control->cmsg_level == IPPROTO_IPV6;
    if ((v4 && control->cmsg_type == IP_RECVERR) || (v6 && control->cmsg_type == IPV6_RECVERR))
      read_extended(data, size, error, from_wire);
    else if (v4 && control->cmsg_type == IP_PKTINFO && size >= sizeof(in_pktinfo))
      error.source = net::Address::from_v4(data + offsetof(in_pktinfo, ipi_addr));
    else if (v6 && control->cmsg_type == IPV6_PKTINFO && size >= sizeof(in6_pktinfo))
      error.source = net::Address::from_v6(data + offsetof(in6_pktinfo, ipi6_addr));
  }
}

}  // namespace

bool next_error(const WireSocket& socket, datapath::WireError& error) {
  for (;;) {
    error = {};
    error.kind = socket.kind;
    alignas(cmsghdr) std::array<uint8_t, 512> control;
    sockaddr_storage name{};
    iovec part{error.quoted.data(), error.quoted.size()};
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(socket.fd.get(), &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    bool from_wire = false;
    read_control(message, error, from_wire);
    if (!from_wire) continue;
    error.destination = address_of(name);
    error.quoted_length = static_cast<uint32_t>(std::min<size_t>(static_cast<size_t>(got), error.quoted.size()));
    return true;
  }
}

}  // namespace adit::platform
