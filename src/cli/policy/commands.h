// Commands about IPsec policy and its algorithms.
#pragma once

#include <span>
#include <string>

#include "cli/frame/context.h"

namespace adit::cli {

int cmd_ipsecconf(Context&, std::span<const std::string>);
int cmd_ipsecalgs(Context&, std::span<const std::string>);

}  // namespace adit::cli
