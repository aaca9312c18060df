// Numbers by which Adit's things are known in the kernel. An operator who uses one of them for something else must
// change that.
#pragma once

#include <cstdint>

namespace adit::platform {

constexpr uint32_t kOuterMark = 0xad17;        // SO_MARK of every outer packet
constexpr uint32_t kGuardTable = 174;          // routing table: Adit's routes into tunnels, and what the guard closes
constexpr uint8_t kRouteProtocol = 173;        // "adit" in rt_protos: every route that Adit made
constexpr uint8_t kKernelProtocol = 2;         // RTPROT_KERNEL: of an address's own routes
constexpr uint32_t kGuardMetric = 0xffffffff;  // the worst there is: the guard's unreachable routes
constexpr uint32_t kCopyMetric = 4000000000u;  // the guard's copies of others' routes: behind Adit's own
constexpr uint32_t kLinkGroup = 173;  // interface group of every TUN of ours: how a crashed daemon's are known again

}  // namespace adit::platform
