// One queue of a persistent TUN: the descriptor and the two translations between struct virtio_net_hdr and Offload.
// What the device is and stays (persistence, group, carrier) is platform_devices.cpp's.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "linux/process/descriptor.h"
#include "ports/ports.h"

namespace adit::platform {

// struct virtio_net_hdr of virtio 1.2 §5.1.6, in host byte order (the kernel's header does not compile as C++).
struct VnetHeader {
  static constexpr uint8_t kNeedsChecksum = 1;
  static constexpr uint8_t kTcp4 = 1, kTcp6 = 4, kUdpSegments = 5, kEcn = 0x80;
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t header_length = 0;
  uint16_t segment_bytes = 0;
  uint16_t checksum_start = 0, checksum_offset = 0;
};
static_assert(sizeof(VnetHeader) == 10);

// /dev/net/tun. ENOENT: it is not there; EACCES: it is root's alone.
Result<Descriptor> open_tun_device();

// Attaches one queue (of open_tun_device) to the device `name`, making it (not persistent, not up) when there is none.
// Carrier is off afterwards, of a device that was there too. EPERM; EBUSY or EINVAL: the name is another kind of
// device.
Result<Descriptor> attach_tun_queue(Descriptor queue, const std::string& name);
Result<> set_tun_persistent(const Descriptor& queue, const std::string& name);

// The port of an attached queue: non-blocking, offloads set as far as the kernel has them (USO since 6.2).
Result<std::unique_ptr<datapath::TunPort>> make_tun_port(Descriptor queue, const std::string& name);

// The header of a packet that was read, and the packet's first bytes. A kind that we did not ask for gives none.
datapath::Offload offload_of(const VnetHeader& header, ByteSpan packet);
VnetHeader header_of(const datapath::Offload& offload);

}  // namespace adit::platform
