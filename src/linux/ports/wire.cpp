#include "linux/ports/wire.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "linux/ports/late_udp.h"
#include "linux/ports/wire_batch.h"
#include "net/protocol.h"

namespace adit::platform {
namespace {

using net::Family;
constexpr size_t kSlots = 2 * kWireKinds, kInboxSlot = kSlots;

size_t slot_of(Family family, WireKind kind) {
  return (family == Family::v4 ? 0 : kWireKinds) + static_cast<size_t>(kind);
}

class LinuxWire final : public datapath::WirePort {
 public:
  LinuxWire(Descriptor epoll, uint32_t mark) : epoll_(std::move(epoll)), fds_{epoll_.get()}, mark_(mark) {}

  // Where sockets come late.
  Result<std::shared_ptr<WireInbox>> inbox() {
    if (inbox_) return inbox_;
    auto inbox = std::make_shared<WireInbox>();
    TRY(watch(inbox->fd(), kInboxSlot));
    inbox_ = std::move(inbox);
    return inbox_;
  }

  Result<> add(WireSocket socket) {
    const size_t slot = slot_of(socket.family, socket.kind);
    TRY(watch(socket.fd.get(), slot));
    sockets_[slot] = std::move(socket);
    return {};
  }

  // One descriptor that is readable when any socket is.
  std::span<const int> fds() const override { return fds_; }
  void send(std::span<const datapath::WireSend> items, std::span<datapath::WireResult> results) override;
  size_t receive(std::span<uint8_t* const> buffers, std::span<datapath::WireReceived> items) override;
  size_t errors(std::span<datapath::WireError> items) override;
  uint32_t path_mtu(const net::Address& source, const net::Address& destination) override;
  uint64_t overflow() const override;

 private:
  Result<> watch(int fd, size_t slot) {
    epoll_event event{};
    event.events = EPOLLIN;  // EPOLLERR always: an ICMP error came
    event.data.u64 = slot;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail(errno, "epoll: {}", std::strerror(errno));
    return {};
  }

  Descriptor epoll_;
  std::array<int, 1> fds_;
  uint32_t mark_;
  std::array<WireSocket, kSlots> sockets_;
  std::shared_ptr<WireInbox> inbox_;
  std::array<bool, kSlots> has_errors_{};
  WireSender sender_;
  WireReceiver receiver_;
};

void LinuxWire::send(std::span<const datapath::WireSend> items, std::span<datapath::WireResult> results) {
  for (size_t start = 0; start < items.size();) {
    const size_t slot = slot_of(items[start].destination.family(), items[start].kind);
    size_t end = start + 1;
    while (end < items.size() && slot_of(items[end].destination.family(), items[end].kind) == slot) ++end;
    if (sockets_[slot].fd.valid())
      sender_.send(sockets_[slot], items.subspan(start, end - start), results.subspan(start, end - start));
    else
      for (size_t i = start; i < end; ++i) results[i] = {-EAFNOSUPPORT};
    start = end;
  }
}

size_t LinuxWire::receive(std::span<uint8_t* const> buffers, std::span<datapath::WireReceived> items) {
  std::array<epoll_event, kSlots + 1> ready;
  const int count = epoll_wait(epoll_.get(), ready.data(), kSlots + 1, 0);
  size_t filled = 0;
  for (int i = 0; i < count; ++i) {
    const size_t slot = ready[static_cast<size_t>(i)].data.u64;
    const uint32_t events = ready[static_cast<size_t>(i)].events;
    if (slot == kInboxSlot) {
      for (WireSocket& late : inbox_->take()) (void)add(std::move(late));
      continue;
    }
    if (events & EPOLLERR) has_errors_[slot] = true;
    if ((events & EPOLLIN) && filled < items.size())
      filled += receiver_.receive(sockets_[slot], buffers.subspan(filled), items.subspan(filled));
  }
  return filled;
}

size_t LinuxWire::errors(std::span<datapath::WireError> items) {
  size_t filled = 0;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    while (has_errors_[slot] && filled < items.size()) {
      if (next_error(sockets_[slot], items[filled]))
        ++filled;
      else
        has_errors_[slot] = false;
    }
  }
  return filled;
}

// The descriptors stand from construction to destruction, and the kernel's count is an atomic one.
uint64_t LinuxWire::overflow() const {
  uint64_t packets = 0;
  for (const WireSocket& socket : sockets_) {
    std::array<uint32_t, SK_MEMINFO_VARS> info{};
    socklen_t size = sizeof info;
    if (socket.fd.valid() && getsockopt(socket.fd.get(), SOL_SOCKET, SO_MEMINFO, info.data(), &size) == 0)
      packets += info[SK_MEMINFO_DROPS];
  }
  return packets;
}

// A connected socket of the same mark asks the same routing question as the packets do.
uint32_t LinuxWire::path_mtu(const net::Address& source, const net::Address& destination) {
  const bool v4 = destination.is_v4();
  const Descriptor asker(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!asker.valid()) return 0;
  setsockopt(asker.get(), SOL_SOCKET, SO_MARK, &mark_, sizeof mark_);
  const auto named = [v4](const net::Address& address, in_port_t port, sockaddr_storage& room) -> socklen_t {
    room = {};
    if (v4) {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = port;
      std::memcpy(&name.sin_addr, address.bytes().data(), 4);
      std::memcpy(&room, &name, sizeof name);
      return sizeof name;
    }
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = port;
    std::memcpy(&name.sin6_addr, address.bytes().data(), 16);
    std::memcpy(&room, &name, sizeof name);
    return sizeof name;
  };
  sockaddr_storage name;
  socklen_t size = named(source, 0, name);
  if (source.family() == destination.family() && !source.is_unspecified() &&
      bind(asker.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0)
    return 0;
  size = named(destination, htons(net::kPortIkeNat), name);
  if (connect(asker.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) return 0;
  int mtu = 0;
  socklen_t length = sizeof mtu;
  const int asked = v4 ? getsockopt(asker.get(), IPPROTO_IP, IP_MTU, &mtu, &length)
                       : getsockopt(asker.get(), IPPROTO_IPV6, IPV6_MTU, &mtu, &length);
  return asked == 0 && mtu > 0 ? static_cast<uint32_t>(mtu) : 0;
}

const char* name_of(WireKind kind) {
  constexpr std::array names = {"IP in IP (protocol 4)", "IPv6 in IP (protocol 41)", "ESP", "AH", "UDP port 4500"};
  return names[static_cast<size_t>(kind)];
}

}  // namespace

Result<std::unique_ptr<datapath::WirePort>> make_wire_port(uint32_t worker, uint32_t workers, uint32_t mark,
                                                           std::vector<std::string>& notices, LateUdp* late) {
  Descriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return fail(errno, "cannot open the sockets to the underlay: {}", std::strerror(errno));
  auto wire = std::make_unique<LinuxWire>(std::move(epoll), mark);
  size_t open = 0;
  std::optional<Error> last;
  for (const Family family : {Family::v4, Family::v6})
    for (const WireKind kind : {WireKind::ipip, WireKind::ipv6_in, WireKind::esp, WireKind::ah, WireKind::udp}) {
      auto socket = kind == WireKind::udp ? open_udp_socket(family, workers, mark)
                                          : open_raw_socket(kind, family, worker, workers, mark);
      const auto added = socket ? wire->add(std::move(*socket)) : Result<>(std::unexpected(socket.error()));
      if (added) {
        ++open;
        continue;
      }
      last = added.error();
      if (late != nullptr && kind == WireKind::udp && last->code == EADDRINUSE) {
        TRY_ASSIGN(auto inbox, wire->inbox());
        late->lacks(family, worker, workers, std::move(inbox));
        continue;
      }
      if (worker == 0)
        notices.push_back(
            fmt::format("no {} over {}: {}", name_of(kind), family == Family::v4 ? "IPv4" : "IPv6", last->text));
    }
  if (open > 0) return wire;
  return fail(last->code, "cannot open any socket to the underlay: {}; aditd needs CAP_NET_RAW and CAP_NET_ADMIN",
              last->text);
}

}  // namespace adit::platform
