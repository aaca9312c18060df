// Numbers by which Adit's things are known in the kernel. An operator who uses one of them for something else must
// change that.
#pragma once

#include <cstdint>

namespace adit::platform {

constexpr uint32_t kOuterMark = 0xad17;   // SO_MARK of every outer packet: passes the guard, keeps to the underlay
constexpr uint32_t kUnderlayTable = 173;  // routing table: main's routes without those that lead into a tunnel
constexpr uint32_t kUnderlayRulePriority = 32760;  // before main (32766), behind an operator's own rules
constexpr uint8_t kRouteProtocol = 173;            // "adit" in rt_protos: every route that Adit made
constexpr uint32_t kGuardMetric = 0xffffffff;      // the worst there is: the guard's unreachable routes
constexpr uint32_t kLinkGroup = 173;  // interface group of every TUN of ours: how a crashed daemon's are known again

}  // namespace adit::platform
