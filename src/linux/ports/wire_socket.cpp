#include "linux/ports/wire_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstring>

namespace adit::platform {
namespace {

constexpr int kBufferBytes = 8 << 20;      // 100 ms at 0.6 Gbit/s, however the worker is scheduled
constexpr timeval kSendPatience{0, 5000};  // a full send buffer is waited for, this long

Result<> set(const WireSocket& socket, int level, int option, int value, const char* what) {
  if (setsockopt(socket.fd.get(), level, option, &value, sizeof value) == 0) return {};
  return fail(errno, "{}: {}", what, std::strerror(errno));
}

void set_buffer(const WireSocket& socket, int forced, int limited) {
  if (setsockopt(socket.fd.get(), SOL_SOCKET, forced, &kBufferBytes, sizeof kBufferBytes) != 0)
    setsockopt(socket.fd.get(), SOL_SOCKET, limited, &kBufferBytes, sizeof kBufferBytes);  // as far as rmem_max goes
}

Result<> set_up_v4(WireSocket& socket) {
  TRY(set(socket, IPPROTO_IP, IP_TTL, kDefaultHops, "IP_TTL"));
  TRY(set(socket, IPPROTO_IP, IP_RECVERR, 1, "IP_RECVERR"));
  TRY(set(socket, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, "IP_MTU_DISCOVER"));
  TRY(set(socket, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO"));  // the error queue says by it what our source was
  if (socket.kind != WireKind::udp) return {};                // raw: the header itself tells
  TRY(set(socket, IPPROTO_IP, IP_RECVTTL, 1, "IP_RECVTTL"));
  return set(socket, IPPROTO_IP, IP_RECVTOS, 1, "IP_RECVTOS");
}

Result<> set_up_v6(WireSocket& socket) {
  TRY(set(socket, IPPROTO_IPV6, IPV6_UNICAST_HOPS, kDefaultHops, "IPV6_UNICAST_HOPS"));
  TRY(set(socket, IPPROTO_IPV6, IPV6_RECVERR, 1, "IPV6_RECVERR"));
  TRY(set(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO, "IPV6_MTU_DISCOVER"));
  TRY(set(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"));
  TRY(set(socket, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, "IPV6_RECVHOPLIMIT"));
  return set(socket, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS");
}

}  // namespace

Result<> set_up_socket(WireSocket& socket, uint32_t mark) {
  TRY(set(socket, SOL_SOCKET, SO_MARK, static_cast<int>(mark), "SO_MARK"));
  set_buffer(socket, SO_RCVBUFFORCE, SO_RCVBUF);
  set_buffer(socket, SO_SNDBUFFORCE, SO_SNDBUF);
  setsockopt(socket.fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendPatience, sizeof kSendPatience);
  return socket.is_v4() ? set_up_v4(socket) : set_up_v6(socket);
}

void allow_fragmenting(WireSocket& socket, bool allow) {
  if (socket.may_fragment == allow) return;
  const int level = socket.is_v4() ? IPPROTO_IP : IPPROTO_IPV6;
  const int option = socket.is_v4() ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;
  const int allowed = socket.is_v4() ? IP_PMTUDISC_DONT : IPV6_PMTUDISC_WANT;
  static_assert(IP_PMTUDISC_DO == IPV6_PMTUDISC_DO);
  const int value = allow ? allowed : IP_PMTUDISC_DO;
  if (setsockopt(socket.fd.get(), level, option, &value, sizeof value) == 0) socket.may_fragment = allow;
}

}  // namespace adit::platform
