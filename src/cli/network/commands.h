// Commands about tunnels, addresses and routes.
#pragma once

#include <span>
#include <string>

#include "cli/frame/context.h"

namespace adit::cli {

int cmd_dladm(Context&, std::span<const std::string>);
int cmd_ipadm(Context&, std::span<const std::string>);
int cmd_route(Context&, std::span<const std::string>);
int cmd_netstat(Context&, std::span<const std::string>);

}  // namespace adit::cli
