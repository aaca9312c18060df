// This host's own subnets and the addresses on its tunnels, from the kernel's addresses: what the guard must let be.
#pragma once

#include <string>
#include <vector>

#include "control/seams.h"
#include "linux/platform/platform.h"

namespace adit::engine {

struct LocalNetwork {
  net::Prefix network;  // masked
  int interface = 0;    // index
  std::string device;   // its name
  friend auto operator<=>(const LocalNetwork&, const LocalNetwork&) = default;
};

// Subnets of interfaces that are not tunnels of ours, each once, longer than one host. Costs what there is of those.
std::vector<LocalNetwork> local_networks(platform::Platform& platform, const LinkView& links);

// Addresses on tunnels of ours.
std::vector<platform::OwnAddress> tunnel_addresses(platform::Platform& platform, const LinkView& links);

}  // namespace adit::engine
