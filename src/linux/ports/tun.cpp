#include "linux/ports/tun.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "net/coalesce.h"

// Younger than the build machine's headers (Linux 6.2).
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace adit::platform {
namespace {

constexpr size_t kMaxPieces = net::Coalescer::kMaxPackets;  // as TunPort::write promises
constexpr uint16_t kTcpOffsetByte = 12;                     // data offset, high nibble (RFC 9293 §3.1)
constexpr uint16_t kUdpHeader = 8;

class LinuxTun final : public datapath::TunPort {
 public:
  explicit LinuxTun(Descriptor queue) : queue_(std::move(queue)) {}
  int fd() const override { return queue_.get(); }

  ssize_t read(MutByteSpan buffer, datapath::Offload& offload) override {
    VnetHeader header;
    std::array<iovec, 2> parts{{{&header, sizeof header}, {buffer.data(), buffer.size()}}};
    ssize_t got;
    do got = readv(queue_.get(), parts.data(), parts.size());
    while (got < 0 && errno == EINTR);
    if (got < 0) return errno == EAGAIN ? 0 : -errno;
    if (got < static_cast<ssize_t>(sizeof header)) return -EIO;
    const size_t length = static_cast<size_t>(got) - sizeof header;
    offload = offload_of(header, buffer.first(length));
    return static_cast<ssize_t>(length);
  }

  int write(std::span<const ByteSpan> pieces, const datapath::Offload& offload) override {
    if (pieces.size() > kMaxPieces) return -EMSGSIZE;
    VnetHeader header = header_of(offload);
    std::array<iovec, kMaxPieces + 1> parts;
    parts[0] = {&header, sizeof header};
    for (size_t i = 0; i < pieces.size(); ++i)
      parts[i + 1] = {const_cast<uint8_t*>(pieces[i].data()), pieces[i].size()};
    ssize_t sent;
    do sent = writev(queue_.get(), parts.data(), static_cast<int>(pieces.size() + 1));
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
  }

 private:
  Descriptor queue_;
};

Result<> set_offloads(const Descriptor& queue, const std::string& name) {
  const unsigned basic = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(queue.get(), TUNSETOFFLOAD, basic | TUN_F_USO4 | TUN_F_USO6) == 0) return {};
  if (ioctl(queue.get(), TUNSETOFFLOAD, basic) == 0) return {};
  return fail(errno, "{}: cannot set the offloads of the TUN device: {}", name, std::strerror(errno));
}

}  // namespace

Result<Descriptor> open_tun_device() {
  Descriptor device(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (device.valid()) return device;
  if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
    return fail(ENOENT, "/dev/net/tun is not there; load the module with `modprobe tun`, or give it to the container");
  return fail(errno, "cannot open /dev/net/tun: {}", std::strerror(errno));
}

Result<Descriptor> attach_tun_queue(Descriptor queue, const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ)
    return fail(EINVAL, "{}: an interface name has 1 to {} characters", name, IFNAMSIZ - 1);
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = static_cast<int16_t>(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_NO_CARRIER);
  if (ioctl(queue.get(), TUNSETIFF, &request) == 0) return queue;
  const int code = errno;
  if (code == EPERM)
    return fail(EPERM, "{}: not allowed to make a TUN device; aditd needs CAP_NET_ADMIN (start it as root)", name);
  if (code == EINVAL || code == EBUSY)
    return fail(EEXIST,
                "{}: there is an interface of that name that is not a tunnel of Adit; delete it or choose another name",
                name);
  return fail(code, "{}: cannot make the TUN device: {}", name, std::strerror(code));
}

Result<> set_tun_persistent(const Descriptor& queue, const std::string& name) {
  if (ioctl(queue.get(), TUNSETPERSIST, 1) == 0) return {};
  return fail(errno, "{}: cannot make the TUN device persistent: {}", name, std::strerror(errno));
}

Result<std::unique_ptr<datapath::TunPort>> make_tun_port(Descriptor queue, const std::string& name) {
  TRY(set_offloads(queue, name));
  return std::make_unique<LinuxTun>(std::move(queue));
}

datapath::Offload offload_of(const VnetHeader& header, ByteSpan packet) {
  using Kind = datapath::Offload::Kind;
  datapath::Offload offload;
  if (header.flags & VnetHeader::kNeedsChecksum) {
    offload.needs_checksum = true;
    offload.checksum_start = header.checksum_start;
    offload.checksum_offset = header.checksum_offset;
  }
  switch (header.gso_type & ~VnetHeader::kEcn) {
    case VnetHeader::kTcp4:
      offload.kind = Kind::tcp4;
      break;
    case VnetHeader::kTcp6:
      offload.kind = Kind::tcp6;
      break;
    case VnetHeader::kUdpSegments:
      offload.kind = Kind::udp;
      break;
    default:
      return offload;
  }
  offload.ecn = (header.gso_type & VnetHeader::kEcn) != 0;
  offload.segment_bytes = header.segment_bytes;
  // The kernel's hdr_len is the length of the skb's linear part, which may hold payload too: the transport header
  // tells.
  const size_t transport = header.checksum_start;
  if (offload.kind == Kind::udp)
    offload.header_length = static_cast<uint16_t>(transport + kUdpHeader);
  else if (transport + kTcpOffsetByte < packet.size())
    offload.header_length = static_cast<uint16_t>(transport + (packet[transport + kTcpOffsetByte] >> 4U) * size_t{4});
  return offload;
}

VnetHeader header_of(const datapath::Offload& offload) {
  using Kind = datapath::Offload::Kind;
  VnetHeader header{};
  if (offload.needs_checksum) {
    header.flags = VnetHeader::kNeedsChecksum;
    header.checksum_start = offload.checksum_start;
    header.checksum_offset = offload.checksum_offset;
  }
  switch (offload.kind) {
    case Kind::none:
      return header;
    case Kind::tcp4:
      header.gso_type = VnetHeader::kTcp4;
      break;
    case Kind::tcp6:
      header.gso_type = VnetHeader::kTcp6;
      break;
    case Kind::udp:
      header.gso_type = VnetHeader::kUdpSegments;
      break;
  }
  if (offload.ecn) header.gso_type |= VnetHeader::kEcn;
  header.header_length = offload.header_length;
  header.segment_bytes = offload.segment_bytes;
  return header;
}

}  // namespace adit::platform
