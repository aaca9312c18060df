#include "linux/guard/layers/lwtunnel_hooks.h"

#include "linux/process/sysctl_file.h"

namespace adit::platform {
namespace {

constexpr const char* kSwitch = "net/netfilter/nf_hooks_lwtunnel";
constexpr const char* kMachinesOwn = "net/core/netdev_max_backlog";  // the kernel shows it in the first namespace only

}  // namespace

LwtunnelHooks turn_on_lwtunnel_hooks() {
  const auto now = read_sysctl(kSwitch);
  if (!now) return {.on = now.error().code == ENOENT, .why_not = {}};
  if (*now == "1") return {.on = true, .why_not = {}};
  const std::string consequence = "; forwarded packets to closed networks are checked at prerouting instead";
  if (!read_sysctl(kMachinesOwn))
    return {.on = false,
            .why_not =
                "net.netfilter.nf_hooks_lwtunnel is 0, and is the whole machine's: set it to 1 outside of this "
                "network namespace" +
                consequence};
  if (const auto set = write_sysctl(kSwitch, "1"); !set)
    return {.on = false, .why_not = "net.netfilter.nf_hooks_lwtunnel cannot be set: " + set.error().text + consequence};
  return {.on = true, .why_not = {}};
}

}  // namespace adit::platform
