#include "linux/ike_door/port_500.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "base/result.h"
#include "net/protocol.h"

namespace adit::platform {
namespace {

using net::Family;

// Received and dropped in the kernel, whoever holds a copy of the socket.
void hear_nothing(const Descriptor& socket) {
  sock_filter drop{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &drop};
  setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  // Bounded by the socket's buffer, since nothing new comes.
  uint8_t octet;
  while (recv(socket.get(), &octet, sizeof octet, MSG_DONTWAIT) >= 0 || errno == EINTR) {
  }
}

void hear(const Descriptor& socket) {
  const int unused = 0;
  setsockopt(socket.get(), SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
}

Result<> set(const Descriptor& socket, int level, int option, int value) {
  if (setsockopt(socket.get(), level, option, &value, sizeof value) == 0) return {};
  return fail(errno, "{}", std::strerror(errno));
}

// No IP_RECVERR: anybody can send an ICMP error.
Result<> set_up(const Descriptor& socket, Family family, uint32_t mark) {
  TRY(set(socket, SOL_SOCKET, SO_MARK, static_cast<int>(mark)));
  if (family == Family::v4) {
    TRY(set(socket, IPPROTO_IP, IP_PKTINFO, 1));
    return set(socket, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  }
  TRY(set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  TRY(set(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
  return set(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_WANT);  // the kernel fragments; no router does
}

Result<> bind_500(const Descriptor& socket, Family family) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(net::kPortIke);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(net::kPortIke);
  const int done = family == Family::v4 ? bind(socket.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof v4)
                                        : bind(socket.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  if (done == 0) return {};
  return fail(errno, "{}", std::strerror(errno));
}

Result<Descriptor> open_500(Family family, uint32_t mark) {
  const int domain = family == Family::v4 ? AF_INET : AF_INET6;
  Descriptor made(socket(domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.valid()) return fail(errno, "{}", std::strerror(errno));
  TRY(set_up(made, family, mark));
  hear_nothing(made);
  TRY(bind_500(made, family));
  return made;
}

// Nothing to say where there is no IPv6.
std::optional<std::string> sentence(Family family, const Error& why) {
  if (why.code == EAFNOSUPPORT) return std::nullopt;
  if (why.code == EADDRINUSE)
    return fmt::format(
        "another program has UDP port {} over IPv{}: IKE does not work there; who has it, `ss -ulpn sport = :{}` "
        "tells; "
        "aditd takes it when it is let go",
        net::kPortIke, static_cast<int>(family), net::kPortIke);
  return fmt::format("no UDP port {} over IPv{}: {}: IKE does not work there", net::kPortIke, static_cast<int>(family),
                     why.text);
}

}  // namespace

std::vector<std::string> Port500::open(uint32_t mark) {
  std::vector<std::string> missing;
  for (const Family family : {Family::v4, Family::v6}) {
    if (socket_of(family).valid()) continue;
    auto made = open_500(family, mark);
    if (made) {
      socket_of(family) = std::move(*made);
      if (listening_) hear(socket_of(family));
    } else if (auto said = sentence(family, made.error())) {
      missing.push_back(std::move(*said));
    }
  }
  return missing;
}

void Port500::listen() {
  listening_ = true;
  for (const Descriptor& socket : sockets_)
    if (socket.valid()) hear(socket);
}

void Port500::stop_listening() {
  listening_ = false;
  for (const Descriptor& socket : sockets_)
    if (socket.valid()) hear_nothing(socket);
}

}  // namespace adit::platform
