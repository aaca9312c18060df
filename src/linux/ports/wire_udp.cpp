#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstring>

#include "linux/ports/wire_socket.h"
#include "net/protocol.h"

namespace adit::platform {
namespace {

#ifndef UDP_NO_CHECK6_RX
constexpr int UDP_NO_CHECK6_RX = 102;
#endif

Result<> bind_port(const WireSocket& socket) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(net::kPortIkeNat);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(net::kPortIkeNat);
  const int done = socket.is_v4() ? bind(socket.fd.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof v4)
                                  : bind(socket.fd.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  if (done == 0) return {};
  if (errno == EADDRINUSE) return fail(EADDRINUSE, "another program has the port; stop it (another IKE daemon?)");
  return fail(errno, "{}", std::strerror(errno));
}

}  // namespace

Result<WireSocket> open_udp_socket(net::Family family, uint32_t workers, uint32_t mark) {
  const int domain = family == net::Family::v4 ? AF_INET : AF_INET6;
  WireSocket socket{Descriptor(::socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0)), WireKind::udp, family};
  if (!socket.fd.valid()) return fail(errno, "{}", std::strerror(errno));
  const int on = 1;
  if (workers > 1) setsockopt(socket.fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (!socket.is_v4()) {
    setsockopt(socket.fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    setsockopt(socket.fd.get(), IPPROTO_UDP, UDP_NO_CHECK6_RX, &on, sizeof on);  // RFC 6935: tunnels may send none
  }
  setsockopt(socket.fd.get(), IPPROTO_UDP, UDP_GRO, &on, sizeof on);  // without it: single datagrams
  TRY(set_up_socket(socket, mark));
  TRY(bind_port(socket));
  return socket;
}

}  // namespace adit::platform
